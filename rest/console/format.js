// format makes text of numbers, sizes and times, each with its unit.
const round = (n, digits) => n.toLocaleString("en", {maximumFractionDigits: digits, minimumFractionDigits: 0});

export const whole = n => n === null || n === undefined ? "–" : Math.abs(n) < 1e7 ? round(n, 0) : scaled(n, 1000, ["", "k", "M", "G", "T", "P", "E"]);
export const count = (n, one, many = one + "s") => `${whole(n)} ${n === 1 ? one : many}`;

function scaled(n, base, units) {
  let u = 0;
  while (Math.abs(n) >= base && u < units.length - 1) { n /= base; u++ }
  return `${round(n, u === 0 && Number.isInteger(n) || Math.abs(n) >= 100 ? 0 : Math.abs(n) >= 10 ? 1 : 2)} ${units[u]}`.trim();
}

const orDash = text => n => n === null || n === undefined || Number.isNaN(n) ? "–" : text(n);
export const bytes = orDash(n => scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]));
export const bytesPerSecond = orDash(n => bytes(n) + "/s");
export const perSecond = orDash(n => (n >= 1000 ? scaled(n, 1000, ["", "k", "M"]) : round(n, n >= 100 ? 0 : n >= 10 ? 1 : 2)) + "/s");
export const millis = orDash(n => n >= 1000 ? round(n / 1000, 2) + " s" : round(n, n >= 100 ? 0 : n >= 10 ? 1 : 2) + " ms");
export const dollars = orDash(n => "$" + (n >= 100 ? round(n, 0) : n >= 0.1 || n === 0 ? n.toFixed(2) : n.toPrecision(2)));

// duration is milliseconds in the largest unit that has no fraction worth telling.
export function duration(ms) {
  for (const [unit, size] of [["d", 86400e3], ["h", 3600e3], ["min", 60e3], ["s", 1e3]]) if (ms >= size) return `${round(ms / size, 1)} ${unit}`;
  return `${round(ms, 0)} ms`;
}
export function ago(time) {
  const ms = Date.now() - new Date(time);
  return !time || time < 0 || Number.isNaN(ms) ? "–" : `${duration(Math.max(0, ms))} ago`; // a producer may write any timestamp
}
const two = n => String(n).padStart(2, "0");
export const clock = time => { const d = new Date(time); return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}` };
export function moment(time) {
  const d = new Date(time);
  return Number.isNaN(d.getTime()) ? String(time) : `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(d)}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

// meant says what the value of a config stands for, where its name tells a unit.
export function meant(name, value) {
  const n = Number(value);
  if (value === "" || !Number.isFinite(n)) return "";
  if (!/\.(ms|bytes|messages)$/.test(name)) return "";
  if (n === -1) return "no limit";
  if (n >= 2 ** 62 || n === 2 ** 63) return "never";
  if (name.endsWith(".ms")) return n >= 1000 ? duration(n) : "";
  return name.endsWith(".bytes") && n >= 1024 ? bytes(n) : "";
}

// pairs reads lines of NAME=VALUE. It returns [name, value] of each that is not empty.
export function pairs(text) {
  return text.split("\n").map(line => line.trim()).filter(Boolean).map(line => {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`“${line}” is no NAME=VALUE`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}
