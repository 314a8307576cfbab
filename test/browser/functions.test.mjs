// What the console's modules compute, without a browser.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {test} from "node:test";
import {command} from "../../rest/console/command.js";
import {ago, pairs} from "../../rest/console/format.js";
import {partitionsOf} from "../../rest/console/group.js";
import {most, padded, plot, sum} from "../../rest/console/plot.js";
import {recordOf} from "../../rest/console/produce.js";
import {Search, follow} from "../../rest/console/reader.js";
import {parsed, tree} from "../../rest/console/record.js";

test("a shell takes the words of a command as they are", () => {
  const words = ["plain", "it's", "$(touch owned) `id` $HOME", "two\nlines", "", "a  b\t*?!~#", '"\\', "=ls", "[::1]:9092"];
  assert.equal(execFileSync("sh", ["-c", command("printf", "%s|", ...words)], {encoding: "utf8"}), words.map(w => w + "|").join(""));
});

test("what is typed as JSON is written as it was typed", () => {
  const given = {key: "", value: "", headers: "", partition: "", as: "json"};
  for (const value of ["12345678901234567890", "null", '"quoted"', '{"base64": "AAAA"}', "{ \"a\" : 1.0 }"]) assert.equal(recordOf({...given, value}).value, value);
  assert.throws(() => recordOf({...given, value: "{no"}), SyntaxError);
  assert.deepEqual(recordOf({...given, as: "base64", value: " AAAA\n"}).value, {base64: "AAAA"});
  assert.equal(recordOf({...given, as: "null"}).value, null);
  assert.deepEqual(recordOf({...given, as: "text", headers: "a=1\n\na=2=3"}).headers, [{key: "a", value: "1"}, {key: "a", value: "2=3"}]);
});

test("lines of NAME=VALUE", () => {
  assert.deepEqual(pairs(" a = b \n\nc="), [["a", "b"], ["c", ""]]);
  for (const text of ["retention.ms", "=1"]) assert.throws(() => pairs(text), /is no NAME=VALUE/);
});

test("partitions are numbers and ranges", () => {
  assert.deepEqual(partitionsOf(" "), []);
  assert.deepEqual(partitionsOf("0-2, 5 2"), [0, 1, 2, 5]);
  for (const text of ["x", "0-x", "2-1", "-1", "1.5", "1e3", ",", "99999999"]) assert.throws(() => partitionsOf(text), /is no partition/);
});

test("histories of several lengths end at the same time", () => {
  assert.deepEqual(padded([1], 3), [null, null, 1]);
  assert.deepEqual(sum([[1, 2, 3], [10, null]]), [null, 12, 3], "a node that began anew, and has counted once");
  assert.deepEqual(sum([]), []);
  assert.deepEqual(most([[1, null, 3], [5]]), [1, null, 5]);
  const text = JSON.stringify(plot({title: "T", times: [0, 1, 2], series: [{name: "s", values: [7, null]}], format: v => v ?? "–"}));
  assert.match(text, /s: now –, at most 7/);
  assert.match(text, /M500\.0 /, "seven is in the middle");
});

test("times that are none", () => {
  for (const time of [undefined, null, "", "never", -1, 9e18]) assert.equal(ago(time), "–");
  assert.match(ago(new Date().toISOString()), / ago$/);
});

test("a record that somebody has made to be large is shown in part", () => {
  const exact = parsed("[12345678901234567890]"); // undefined where numbers lose digits: then it is shown as text
  if (exact) assert.match(JSON.stringify(tree(null, exact)), /"12345678901234567890"/);
  const deep = parsed("[".repeat(1000) + "]".repeat(1000)), wide = parsed(JSON.stringify(Array(300).fill(Array(300).fill(1))));
  const count = (d, depth = 0) => typeof d === "string" ? {nodes: 0, depth} : d.children.map(c => count(c, depth + 1)).reduce((a, b) => ({nodes: a.nodes + b.nodes, depth: Math.max(a.depth, b.depth)}), {nodes: 1, depth});
  assert.ok(count(tree(null, deep)).depth < 100);
  assert.ok(count(tree(null, wide)).nodes < 20_000);
  parsed("[".repeat(200_000) + "]".repeat(200_000)); // a tree or none, and no error
});

// answering has fetch answer as a function says, until the test ends.
function answering(t, answer) {
  const before = globalThis.fetch;
  t.after(() => { globalThis.fetch = before });
  globalThis.fetch = async (url, options) => answer(new URL(url, "http://firn/"), options);
}

// partition answers from a partition of records with these timestamps.
const partition = (timestamps, value = "v") => query => {
  const from = query.has("offset") ? Number(query.get("offset")) : 0, most = Number(query.get("max_records"));
  const records = timestamps.map((timestamp, offset) => ({offset, timestamp, key: null, value})).slice(from, from + most);
  return {records, next_offset: from + records.length, high_watermark: timestamps.length, log_start_offset: 0};
};

test("a search shows the oldest, or the newest, of all partitions", async t => {
  const logs = [[1000, 1001, 1002, 1003], [1, 2, 3, 4, 5], [500]].map(l => partition(l));
  answering(t, url => Response.json(logs[url.pathname.match(/partitions\/(\d)/)[1]](url.searchParams)));
  const partitions = [4, 5, 1].map((n, p) => ({partition: p, log_start_offset: 0, high_watermark: n}));
  for (const [order, from, first, then] of [["oldest", "earliest", [1, 2, 3], [4, 5, 500]], ["newest", "latest", [1003, 1002, 1001], [1000, 500, 5]]]) {
    const search = new Search({topic: "t", partitions, order, from, limit: 3, filter: {}, changed() {}});
    await search.more();
    assert.deepEqual(search.list().map(r => r.timestamp), first, order);
    await search.more();
    assert.deepEqual(search.list().map(r => r.timestamp), [...first, ...then], order);
  }
});

test("a search keeps previews, and no more than it shows next", async t => {
  const log = partition(Array.from({length: 5000}, (_, i) => i), "x".repeat(10_000));
  answering(t, url => { assert.ok(Number(url.searchParams.get("max_bytes")) <= 1 << 20); return Response.json(log(url.searchParams)) });
  const search = new Search({topic: "t", partitions: [{partition: 0, log_start_offset: 0, high_watermark: 5000}], order: "newest", from: "latest", limit: 50, filter: {contains: "x"}, changed() {}});
  for (let i = 0; i < 3; i++) await search.more();
  assert.deepEqual(search.list().map(r => r.offset), Array.from({length: 150}, (_, i) => 4999 - i));
  assert.equal(search.found, 150);
  assert.ok(search.list().every(r => r.value.text.length === 200 && r.size === 10_000));
});

test("following goes on after a broken connection, and ends with the server's reason", async t => {
  const event = text => new TextEncoder().encode(text + "\n\n");
  const record = offset => `id: 0:${offset + 1}\ndata: ${JSON.stringify({partition: 0, offset, timestamp: 1, key: null, value: "v"})}`;
  const streams = [
    () => new ReadableStream({start(c) { c.enqueue(event("retry: 1000\nid: 0:0")); c.enqueue(event(record(0))) }, pull(c) { c.error(new TypeError("cut")) }}, {highWaterMark: 0}),
    () => { throw new TypeError("refused") },
    () => new ReadableStream({start(c) { c.enqueue(event('event: gap\nid: 0:4\ndata: {"partition":0,"from":1,"to":4}')); c.enqueue(event(record(4) + '\n\nevent: end\ndata: {"status":404,"detail":"the topic was deleted"}')); c.close() }}),
  ];
  const asked = [], came = [], told = [], waits = [];
  answering(t, (_, {headers}) => { asked.push(headers["Last-Event-ID"]); return new Response(streams.shift()()) });
  await assert.rejects(follow({topic: "t", signal: new AbortController().signal, take: r => came.push(...r.map(r => r.offset)), tell: what => told.push(what), wait: async millis => { waits.push(millis) }}), /the topic was deleted/);
  assert.deepEqual(asked, [undefined, "0:1", "0:1"]);
  assert.deepEqual(came, [0, 4]);
  assert.deepEqual(waits, [1000, 2000]);
  assert.ok(told.some(w => w.gap?.to === 4) && told.some(w => w.broken === "cut"));
});
