// plot draws numbers over time as lines. Text stands beside the drawing, so that it stretches to any width.
import {h} from "./dom.js";
import {bytes, bytesPerSecond, clock, whole} from "./format.js";

const width = 1000, height = 100;

// nice is a round number that is not smaller; of bytes, a round number of their unit.
function nice(max, format) {
  const binary = format === bytes || format === bytesPerSecond;
  if (!(max > 0)) return binary ? 1024 : format === whole ? 2 : 1;
  const unit = binary ? 1024 ** Math.floor(Math.log2(max) / 10) : 1;
  const power = 10 ** Math.floor(Math.log10(max / unit)) * unit;
  const steps = format === whole && power === 1 ? [2, 4, 6, 8, 10] : [1, 2, 3, 4, 5, 6, 8, 10]; // half of it is shown as well
  return steps.find(step => step * power >= max) * power;
}

const known = v => v !== null && v !== undefined;
const place = (values, i, top) => `${(i / Math.max(1, values.length - 1) * width).toFixed(1)} ${(height - values[i] / top * height).toFixed(1)}`;

// path is a line through values, with gaps where none is known.
const path = (values, top) => values.map((v, i) => !known(v) ? "" : (i > 0 && known(values[i - 1]) ? "L" : "M") + place(values, i, top)).join("");

// dots are the values between two gaps, through which there is no line.
const dots = (values, top) => values.map((v, i) => !known(v) || known(values[i - 1]) || known(values[i + 1]) ? "" : `M${place(values, i, top)}h.1`).join("");

// area is what lies below a line.
function area(values, top) {
  const from = values.findIndex(known);
  if (from < 0 || !values.slice(from).every(known)) return "";
  const x = i => i / Math.max(1, values.length - 1) * width;
  return `${path(values, top)}V${height}H${x(from).toFixed(1)}Z`;
}

// padded is values of the same end and of a length: what was before them is not known.
export const padded = (values, length) => [...Array(Math.max(0, length - values.length)).fill(null), ...values];

// plot describes a drawing of series, each {name, values}.
export function plot({title, times, series: given, format, note}) {
  const series = given.map(s => ({...s, values: padded(s.values, times.length)}));
  const all = series.flatMap(s => s.values).filter(known), last = s => s.values.at(-1);
  const top = nice(Math.max(0, ...all), format);
  const words = all.length ? series.map(s => `${s.name}: now ${format(last(s))}, at most ${format(Math.max(0, ...s.values.filter(known)))}`).join("; ") : "nothing yet";
  const point = event => {
    const box = event.currentTarget.getBoundingClientRect(), at = Math.round((event.clientX - box.left) / box.width * (times.length - 1));
    const readout = event.currentTarget.closest("figure").querySelector(".readout");
    if (times[at]) readout.textContent = `${clock(times[at])}  ${series.map(s => `${s.name} ${format(s.values[at])}`).join(" · ")}`;
  };
  const leave = event => { event.currentTarget.closest("figure").querySelector(".readout").textContent = "" };
  return h("figure", {class: "plot", key: title},
    h("figcaption", {}, h("strong", {}, title)),
    h("div", {class: "sub"}, h("small", {}, note || ""), h("span", {class: "readout", "aria-hidden": "true", key: "readout"})),
    h("div", {class: "drawing"},
      h("div", {class: "scale", "aria-hidden": "true"}, h("span", {}, format(top)), h("span", {}, format(top / 2)), h("span", {}, format(0))),
      h("svg", {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}. ${words}`, onpointermove: point, onpointerleave: leave},
        [0, 50, 100].map(y => h("line", {x1: 0, x2: width, y1: y, y2: y, class: "grid"})),
        series.length === 1 ? h("path", {d: area(series[0].values, top), class: "area"}) : null,
        series.map((s, i) => h("path", {d: path(s.values, top), class: `line c${i % 4}`})), series.map((s, i) => h("path", {d: dots(s.values, top), class: `dot c${i % 4}`})))),
    h("div", {class: "below"}, h("span", {}, times.length ? clock(times[0]) : ""), h("span", {}, times.length ? clock(times.at(-1)) : "")),
    h("ul", {class: "legend"}, series.map((s, i) => h("li", {class: `c${i % 4}`}, s.name, " ", h("b", {}, format(last(s)))))));
}

// together makes one series of several that end at the same time.
function together(lists, join) {
  const length = Math.max(0, ...lists.map(l => l.length)), all = lists.map(l => padded(l, length));
  return Array.from({length}, (_, i) => join(all.map(values => values[i]), i));
}

// sum is known from where the shortest begins: without the past of a node that has begun anew it would be too small. What a node has a
// sample of and no number has not happened there.
export function sum(lists) {
  const lengths = lists.map(l => l.length), from = Math.max(0, ...lengths) - Math.min(...lengths);
  return together(lists, (values, i) => i >= from && values.some(known) ? values.reduce((a, b) => a + (b ?? 0), 0) : null);
}

// most is the largest that is known.
export const most = lists => together(lists, values => values.some(known) ? Math.max(...values.filter(known)) : null);
