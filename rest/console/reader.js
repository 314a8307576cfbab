// reader reads records over the API: some of a partition, a search through it, or those that come. It keeps previews: how much a browser
// holds does not depend on what producers have written.
import {Problem, get, send} from "./api.js";
import {bytes} from "./format.js";
import {loginEnded} from "./shell.js";

export const path = "/v1/topics/{topic}/partitions/{partition}/records";
const leastWindow = 5000, mostWindow = 100_000; // offsets that are looked through at once, from the end on
const maxLooked = 1_000_000; // then it asks whether to go on
const maxWanted = 2000; // records that one search shows
const readBytes = 1 << 20; // of an answer, unless a single record is larger; there are four at once
const maxPreview = 200;

// size is about how many bytes a key or a value has.
export const size = v => v === null ? 0 : typeof v === "string" ? v.length : Math.floor(v.base64.length * 3 / 4);

// beginning is the first part of a text, copied: a slice would hold the whole of it.
const beginning = text => text.length <= maxPreview ? text : Array.from(text.slice(0, maxPreview)).join("");

// shown is a key or a value as it is in a list.
const shown = v => v === null ? {text: "null", none: true} : {text: typeof v === "string" ? beginning(v) : `${bytes(size(v))} of bytes`};

// preview is what a list has of a record.
const preview = (r, partition) => ({partition, offset: r.offset, timestamp: r.timestamp, key: shown(r.key), value: shown(r.value), size: size(r.value)});

// recordAt reads one record whole.
export async function recordAt(topic, {partition, offset}) {
  const {records: [record]} = await get(path, {topic, partition}, {query: {offset, max_records: 1, max_bytes: 1}});
  if (record?.offset !== offset) throw new Error("The record is not there any more.");
  return {...record, partition};
}

// Search is one search through partitions of a topic. It goes on until enough is found in each of them, so that what it shows is the
// newest or the oldest of all; until much was looked through; or until it is stopped.
export class Search {
  constructor({topic, partitions, order, from, filter, limit, changed}) {
    Object.assign(this, {topic, order, filter, limit, changed, wanted: 0, looked: 0, skipped: 0, running: false});
    this.places = partitions.map(p => ({...p, found: [], next: from, at: order === "newest" ? p.high_watermark : null, done: p.high_watermark === p.log_start_offset}));
    this.total = partitions.reduce((sum, p) => sum + p.high_watermark - p.log_start_offset, 0);
  }
  get filtered() { return Object.values(this.filter).some(v => v !== undefined && v !== "") }
  get done() { return this.places.every(p => p.done) }
  get found() { return this.places.reduce((n, p) => n + p.found.length, 0) }
  get full() { return this.wanted >= maxWanted }

  // list is what is to be shown of what was found.
  list() {
    const sign = this.order === "newest" ? -1 : 1;
    return this.places.flatMap(p => p.found).sort((a, b) => sign * (a.timestamp - b.timestamp || a.offset - b.offset)).slice(0, this.wanted);
  }

  // more looks for as many again.
  async more() {
    const abort = this.abort = new AbortController(), stopAt = this.looked + maxLooked, wanted = new Map(this.places.map(p => [p.partition, this.limit]));
    for (const r of this.list()) wanted.set(r.partition, wanted.get(r.partition) + 1);
    this.wanted += this.limit;
    this.running = true;
    this.changed();
    const queue = [...this.places];
    const work = async () => {
      for (let place = queue.shift(); place; place = queue.shift()) {
        for (let missing; !place.done && !abort.signal.aborted && this.looked < stopAt && (missing = wanted.get(place.partition) - place.found.length) > 0;) {
          place.found.push(...await this.step(place, abort.signal, missing));
          this.changed();
        }
      }
    };
    try {
      await Promise.all([work(), work(), work(), work()]);
    } catch (e) {
      abort.abort(); // the others as well
      if (e.name !== "AbortError") throw e;
    } finally {
      this.running = false;
      this.changed();
    }
  }
  stop() { this.abort?.abort() }

  step(place, signal, limit) { return this.order === "newest" ? this.before(place, signal, limit) : this.behind(place, signal, limit) }

  // behind reads on.
  async behind(place, signal, limit) {
    const byOffset = typeof place.next === "number", answer = await this.read(place, {...(byOffset ? {offset: place.next} : {from: place.next}), max_records: limit}, signal);
    this.looked += byOffset ? answer.next_offset - place.next : answer.records.length;
    place.done = answer.next_offset >= answer.high_watermark || answer.next_offset === place.next;
    place.next = answer.next_offset;
    return answer.records;
  }

  // before reads what comes before what was read, and keeps the newest of it.
  async before(place, signal, limit) {
    place.window ??= this.filtered ? leastWindow : limit;
    const from = Math.max(place.log_start_offset, place.at - place.window);
    let next = from, found = [], left = false;
    while (next < place.at) {
      const answer = await this.read(place, {offset: next, max_records: Math.min(place.at - next, 100000)}, signal);
      found.push(...answer.records.filter(r => r.offset < place.at));
      if (found.length > limit) found = found.slice(-limit), left = true; // they are read again when they are wanted
      if (answer.next_offset <= next) break;
      next = answer.next_offset;
    }
    place.window = found.length < limit ? Math.min(2 * place.window, mostWindow) : undefined; // little is left there, or little matches
    const began = left ? found[0].offset : from;
    this.looked += place.at - began;
    place.at = began;
    place.done = began <= place.log_start_offset;
    return found.reverse();
  }

  async read(place, query, signal) {
    const answer = await get(path, {topic: this.topic, partition: place.partition}, {query: {max_bytes: readBytes, ...query, ...this.filter}, signal});
    this.skipped += answer.skipped?.length || 0;
    return {...answer, records: answer.records.map(r => preview(r, place.partition))};
  }
}

// pause waits so many milliseconds, or until the signal comes.
const pause = (millis, signal) => new Promise(done => {
  const end = () => { clearTimeout(timer); signal.removeEventListener("abort", end); done() };
  const timer = setTimeout(end, millis);
  signal.addEventListener("abort", end);
});

const passes = e => e.status === 0 || e.status === 429 || e.status >= 500 || e.status === undefined && e.name !== "AbortError";

// follow gives the records of a topic as they come to take, and what else the server says to tell, until the signal ends it or the server
// refuses to go on. A connection that breaks is made again, from where it was.
export async function follow({topic, partitions, signal, take, tell, wait = pause}) {
  let last, attempt = 0;
  const event = lines => {
    const fields = Object.fromEntries(lines.split("\n").filter(l => l && l[0] !== ":").map(l => [l.slice(0, l.indexOf(":")), l.slice(l.indexOf(":") + 1).trim()]));
    last = fields.id || last;
    const data = fields.data && JSON.parse(fields.data);
    if (fields.event === "end") {
      if (data.status === 401) loginEnded();
      throw new Problem(data.status, data);
    }
    if (fields.event) tell({[fields.event]: data});
    return data && !fields.event ? [preview(data, data.partition)] : [];
  };
  while (!signal.aborted) {
    try {
      const response = await send("GET", "/v1/topics/{topic}/tail", {topic}, {query: {partitions, from: "latest"}, signal, headers: {Accept: "text/event-stream", ...(last ? {"Last-Event-ID": last} : {})}});
      tell({broken: null});
      let text = "";
      const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const {value, done} = await chunks.read();
        if (done) break;
        const events = (text + value).split("\n\n");
        text = events.pop();
        const came = [];
        try { for (const lines of events) came.push(...event(lines)) } finally { if (came.length) take(came) }
        if (came.length || events.includes(":")) attempt = 0; // which is a heartbeat
      }
      tell({broken: "the connection ended"});
    } catch (e) {
      if (signal.aborted) return;
      if (!passes(e)) throw e;
      tell({broken: e.message});
    }
    await wait(Math.min(30_000, 1000 * 2 ** attempt++), signal);
  }
}
