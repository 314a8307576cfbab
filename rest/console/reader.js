// reader reads records over the API: some of a partition, a search through it, or those that come.
import {get, send, url} from "./api.js";

const path = "/v1/topics/{topic}/partitions/{partition}/records";
const leastWindow = 5000, mostWindow = 100_000; // offsets that are looked through at once, from the end on
const maxLooked = 1_000_000; // then it asks whether to go on
const readBytes = 4 << 20;

// size is about how many bytes a key or a value has.
export const size = v => v === null ? 0 : typeof v === "string" ? v.length : Math.floor(v.base64.length * 3 / 4);

// Search is one search through partitions of a topic. It goes on until enough is found, much was looked through, or it is stopped.
export class Search {
  constructor({topic, partitions, order, from, filter, limit, changed}) {
    Object.assign(this, {topic, order, filter, limit, changed, found: [], looked: 0, skipped: 0, running: false});
    this.places = partitions.map(p => ({...p, next: from, at: order === "newest" ? p.high_watermark : null, done: p.high_watermark === p.log_start_offset}));
    this.total = partitions.reduce((sum, p) => sum + p.high_watermark - p.log_start_offset, 0);
  }
  get filtered() { return Object.values(this.filter).some(v => v !== undefined && v !== "") }
  get done() { return this.places.every(p => p.done) }

  // more looks for as many again.
  async more() {
    const abort = this.abort = new AbortController(), until = this.found.length + this.limit, stopAt = this.looked + maxLooked;
    this.running = true;
    this.changed();
    const queue = [...this.places], each = Math.ceil(this.limit / (this.order === "newest" || this.places.length === 1 ? 1 : this.places.length));
    const work = async () => {
      for (let place = queue.shift(); place; place = queue.shift()) {
        let here = 0;
        while (!place.done && !abort.signal.aborted && this.looked < stopAt && here < each && (this.order === "newest" || this.found.length < until)) {
          const got = await this.step(place, abort.signal, each - here);
          here += got.length;
          this.found.push(...got);
          this.changed();
        }
      }
    };
    try {
      await Promise.all([work(), work(), work(), work()]);
    } catch (e) {
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
    const offset = typeof place.next === "number" ? {offset: place.next} : {from: place.next};
    const answer = await this.read(place, {...offset, max_records: limit}, signal);
    if (answer.records.length || typeof place.next === "number") this.looked += typeof place.next === "number" ? answer.next_offset - place.next : answer.records.length;
    place.done = answer.next_offset >= answer.high_watermark || answer.next_offset === place.next;
    place.next = answer.next_offset;
    return answer.records.map(r => ({...r, partition: place.partition}));
  }

  // before reads what comes before what was read, and keeps the newest of it.
  async before(place, signal, limit) {
    place.window ??= this.filtered ? leastWindow : limit;
    const from = Math.max(place.log_start_offset, place.at - place.window);
    let next = from, found = [];
    while (next < place.at) {
      const answer = await this.read(place, {offset: next, max_records: Math.min(place.at - next, 100000)}, signal);
      found.push(...answer.records.filter(r => r.offset < place.at));
      if (answer.next_offset <= next) break;
      next = answer.next_offset;
    }
    place.window = found.length < limit ? Math.min(2 * place.window, mostWindow) : undefined; // little is left there, or little matches
    this.looked += place.at - from;
    place.at = from;
    place.done = from <= place.log_start_offset;
    return found.reverse().map(r => ({...r, partition: place.partition}));
  }

  async read(place, query, signal) {
    const answer = await get(path, {topic: this.topic, partition: place.partition}, {query: {max_bytes: readBytes, ...query, ...this.filter}, signal});
    this.skipped += answer.skipped?.length || 0;
    return answer;
  }
}

// follow gives the records of a topic as they come to take, until the signal ends it.
export async function follow({topic, partitions, signal, take}) {
  let last = "";
  while (!signal.aborted) {
    const response = await send(url("/v1/topics/{topic}/tail", {topic}, {partitions, from: "latest"}), {signal, headers: {Accept: "text/event-stream", ...(last ? {"Last-Event-ID": last} : {})}});
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail || "The server answers " + response.status);
    let text = "";
    const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const {value, done} = await lines.read();
      if (done) break;
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      const records = [];
      for (const event of events) {
        const fields = Object.fromEntries(event.split("\n").filter(l => l && l[0] !== ":").map(l => [l.slice(0, l.indexOf(":")), l.slice(l.indexOf(":") + 1).trim()]));
        last = fields.id || last;
        if (fields.data && (fields.event || "message") !== "skipped") records.push(JSON.parse(fields.data));
      }
      if (records.length) take(records.filter(r => r.offset !== undefined));
    }
    await new Promise(wait => setTimeout(wait, 1000));
  }
}
