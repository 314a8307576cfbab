// record shows one record: as a tree, as text, in hexadecimal, its headers; and says how to get it elsewhere.
import {h} from "./dom.js";
import {bytes, moment} from "./format.js";
import {button, copy, table} from "./parts.js";
import {command, curl} from "./command.js";
import {path, size} from "./reader.js";

// Bounds of what is shown of a record, which anybody may have written.
const maxChildren = 200, maxNodes = 2000, maxDepth = 40, maxText = 200_000, maxHex = 4096;

// text is a key or a value as text.
function text(v) {
  if (typeof v !== "string") return v === null ? "null" : `${bytes(size(v))} of bytes`;
  return v.length > maxText ? `${v.slice(0, maxText)}\n… ${bytes(v.length - maxText)} more` : v;
}

// asCurl and asKcat are commands that print a record.
const asCurl = (topic, r, session) => curl(session, path, {topic, partition: r.partition}, {offset: r.offset, max_records: 1});
const asKcat = (topic, r, kafka) => command("kcat", "-b", kafka || "HOST:9092", "-C", "-t", topic, "-p", r.partition, "-o", r.offset, "-c", 1, "-e", "-f", "%T %k %h %s\\n");

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

// Written is a number as it was written: JSON's may have more digits than the browser's.
class Written {
  constructor(text) { this.text = text }
}

// exact keeps numbers as they were written; browsers that do not tell are only trusted with those that they keep.
function exact(_, v, context) {
  if (typeof v !== "number") return v;
  if (context?.source !== undefined) return new Written(context.source);
  if (!(Math.abs(v) <= Number.MAX_SAFE_INTEGER)) throw new RangeError("the number has too many digits");
  return v;
}

// parsed is a JSON value; undefined if it is none, or one that is nested too deeply to be read.
export function parsed(v) {
  if (typeof v !== "string" || !/^\s*[[{"\d-tfn]/.test(v)) return undefined;
  try { return JSON.parse(v, exact) } catch { return undefined }
}

// tree is a JSON value as nested lists that open and close, of which room.nodes may still be shown.
export function tree(name, value, depth = 0, room = {nodes: maxNodes}) {
  room.nodes--;
  const label = name === null ? null : h("span", {class: "json-key"}, name + ": ");
  if (value instanceof Written) return h("div", {class: "json-leaf"}, label, h("span", {class: "json-number"}, value.text));
  if (value === null || typeof value !== "object") return h("div", {class: "json-leaf"}, label, h("span", {class: "json-" + (value === null ? "null" : typeof value)}, JSON.stringify(value)));
  const list = Array.isArray(value), entries = Object.entries(value);
  if (!entries.length) return h("div", {class: "json-leaf"}, label, list ? "[]" : "{}");
  const shown = [];
  for (const [k, v] of entries.slice(0, depth < maxDepth ? maxChildren : 0)) if (room.nodes > 0) shown.push(tree(k, v, depth + 1, room));
  return h("details", {open: depth < 3}, h("summary", {}, label, h("span", {class: "soft"}, list ? `[${entries.length}]` : `{${entries.length}}`)),
    shown, entries.length > shown.length ? h("div", {class: "soft"}, `… ${entries.length - shown.length} more`) : null);
}

// views are the ways in which a value can be shown.
function views(value, json) {
  return [json !== null && typeof json === "object" && !(json instanceof Written) && "Tree", typeof value === "string" && "Text", value !== null && "Hex"].filter(Boolean);
}

// detail describes a record, state.record. state keeps how its reader looks at it, and what is made of it once.
export function detail({topic, state, session, kafka, say, changed}) {
  const r = state.record;
  if (!("json" in state)) state.json = parsed(r.value);
  const ways = views(r.value, state.json), way = ways.includes(state.way) ? state.way : ways[0];
  const choose = name => button(name, () => { state.way = name; changed() }, {"aria-pressed": String(name === way), key: name});
  return h("div", {class: "record"},
    h("dl", {class: "facts"}, [["Partition", String(r.partition)], ["Offset", String(r.offset)], ["Timestamp", moment(r.timestamp)], ["Key", h("code", {}, text(r.key))], ["Value", bytes(size(r.value))]]
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    r.headers?.length ? table({caption: "Headers", rows: r.headers.slice(0, maxChildren).map((header, i) => ({...header, i})), key: header => header.i, columns: [
      {head: "Header", name: true, cell: header => header.key}, {head: "Value", cell: header => h("code", {}, text(header.value))}]}) : h("p", {class: "soft small"}, "No headers."),
    r.headers?.length > maxChildren ? h("p", {class: "soft small"}, `… ${r.headers.length - maxChildren} more`) : null,
    ways.length > 1 ? h("div", {class: "actions start", role: "group", "aria-label": "How the value is shown"}, ways.map(choose)) : null,
    way === "Tree" ? h("div", {class: "value json", key: "tree"}, state.tree ??= tree(null, state.json))
      : h("pre", {class: "value", key: way || "null", tabindex: "0"}, way === "Hex" ? hex(r.value) : text(r.value)),
    h("div", {class: "actions start", role: "group", "aria-label": "Copy"},
      button("Copy value", () => copy(typeof r.value === "string" ? r.value : r.value?.base64 || "", say)), button("Copy as JSON", () => copy(JSON.stringify(r), say)),
      button("Copy as curl", () => copy(asCurl(topic, r, session), say)), button("Copy as kcat", () => copy(asKcat(topic, r, kafka), say))));
}
