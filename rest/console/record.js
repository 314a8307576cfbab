// record shows one record: as a tree, as text, in hexadecimal, its headers; and says how to get it elsewhere.
import {h} from "./dom.js";
import {bytes, moment} from "./format.js";
import {button, copy, table} from "./parts.js";
import {url} from "./api.js";
import {size} from "./reader.js";

const maxChildren = 200, maxHex = 4096;

// text is a key or a value as text that has no line ends; for lists.
export const text = v => v === null ? "null" : typeof v === "string" ? v : `${bytes(size(v))} of bytes`;

const shell = word => "'" + word.replaceAll("'", `'\\''`) + "'";

// asCurl and asKcat are commands that print a record.
export const asCurl = (topic, r, session) => `curl ${session?.until ? `-u ${shell(session.principal.replace(/^User:/, ""))} ` : ""}${shell(new URL(url("/v1/topics/{topic}/partitions/{partition}/records", {topic, partition: r.partition}, {offset: r.offset, max_records: 1}), document.baseURI.split("#")[0]).href)}`;
export const asKcat = (topic, r, kafka) => `kcat -b ${kafka || "HOST:9092"} -C -t ${shell(topic)} -p ${r.partition} -o ${r.offset} -c 1 -e -f '%T %k %h %s\\n'`;

function bytesOf(v) {
  if (v === null) return new Uint8Array();
  return typeof v === "string" ? new TextEncoder().encode(v) : Uint8Array.from(atob(v.base64), c => c.charCodeAt(0));
}

// hex is bytes as hexdump has them.
function hex(v) {
  const b = bytesOf(v), lines = [];
  for (let at = 0; at < Math.min(b.length, maxHex); at += 16) {
    const row = [...b.subarray(at, at + 16)];
    lines.push(at.toString(16).padStart(8, "0") + "  " + row.map(n => n.toString(16).padStart(2, "0")).join(" ").padEnd(48) + " " + row.map(n => n >= 32 && n < 127 ? String.fromCharCode(n) : "·").join(""));
  }
  return lines.join("\n") + (b.length > maxHex ? `\n… ${bytes(b.length - maxHex)} more` : "") || "(empty)";
}

// tree is a JSON value as nested lists that open and close.
function tree(name, value, depth) {
  const label = name === null ? null : h("span", {class: "json-key"}, name + ": ");
  if (value === null || typeof value !== "object") return h("div", {class: "json-leaf"}, label, h("span", {class: "json-" + (value === null ? "null" : typeof value)}, JSON.stringify(value)));
  const list = Array.isArray(value), entries = Object.entries(value);
  if (!entries.length) return h("div", {class: "json-leaf"}, label, list ? "[]" : "{}");
  return h("details", {open: depth < 3}, h("summary", {}, label, h("span", {class: "soft"}, list ? `[${entries.length}]` : `{${entries.length}}`)),
    entries.slice(0, maxChildren).map(([k, v]) => tree(k, v, depth + 1)), entries.length > maxChildren ? h("div", {class: "soft"}, `… ${entries.length - maxChildren} more`) : null);
}

function parsed(v) {
  if (typeof v !== "string" || !/^\s*[[{"\d-tfn]/.test(v)) return undefined;
  try { return JSON.parse(v) } catch { return undefined }
}

// views are the ways in which a value can be shown.
function views(value) {
  const json = parsed(value);
  return [json !== null && typeof json === "object" && "Tree", typeof value === "string" && "Text", value !== null && "Hex"].filter(Boolean);
}

// detail describes a record. state keeps how its reader looks at it.
export function detail({topic, record: r, state, session, kafka, say, changed}) {
  const ways = views(r.value), way = ways.includes(state.way) ? state.way : ways[0];
  const choose = name => button(name, () => { state.way = name; changed() }, {"aria-pressed": String(name === way), key: name});
  return h("div", {class: "record"},
    h("dl", {class: "facts"}, [["Partition", String(r.partition)], ["Offset", String(r.offset)], ["Timestamp", moment(r.timestamp)], ["Key", h("code", {}, text(r.key))], ["Value", bytes(size(r.value))]]
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    r.headers?.length ? table({caption: "Headers", rows: r.headers.map((header, i) => ({...header, i})), key: header => header.i, columns: [
      {head: "Header", name: true, cell: header => header.key}, {head: "Value", cell: header => h("code", {}, text(header.value))}]}) : h("p", {class: "soft small"}, "No headers."),
    ways.length > 1 ? h("div", {class: "actions start", role: "group", "aria-label": "How the value is shown"}, ways.map(choose)) : null,
    way === "Tree" ? h("div", {class: "value json", key: "tree"}, tree(null, parsed(r.value), 0))
      : h("pre", {class: "value", key: way || "null", tabindex: "0"}, way === "Hex" ? hex(r.value) : text(r.value)),
    h("div", {class: "actions start", role: "group", "aria-label": "Copy"},
      button("Copy value", () => copy(typeof r.value === "string" ? r.value : r.value?.base64 || "", say)), button("Copy as JSON", () => copy(JSON.stringify(r), say)),
      button("Copy as curl", () => copy(asCurl(topic, r, session), say)), button("Copy as kcat", () => copy(asKcat(topic, r, kafka), say))));
}
