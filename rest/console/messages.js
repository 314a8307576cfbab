// messages finds records of a topic, and follows those that come.
import {h} from "./dom.js";
import {get} from "./api.js";
import {bytes, count, moment, whole} from "./format.js";
import {button, empty, field, hash, heading, link, table, to, why} from "./parts.js";
import {topicTabs} from "./topic.js";
import {Search, follow, recordAt} from "./reader.js";
import {detail} from "./record.js";
import {refresh, render, say} from "./shell.js";

const perSearch = 50, maxPartitions = 64, maxFollowed = 500, maxOpened = 10;

const places = [["newest", "Newest first"], ["oldest", "Oldest first"], ["offset", "From an offset"], ["time", "From a time"]];

// time is a timestamp; a phone has room for hours and minutes alone.
function time(timestamp) {
  if (Number.isNaN(new Date(timestamp).getTime())) return String(timestamp); // a producer may write anything
  const [date, clock, fraction] = moment(timestamp).split(/ |(?=\.)/);
  return h("time", {datetime: new Date(timestamp).toISOString()}, h("span", {class: "minor"}, date, " "), clock, h("span", {class: "minor"}, fraction));
}

// when reads what datetime-local gives, which is local time.
const when = local => { const d = new Date(local); return Number.isNaN(d.getTime()) ? undefined : d.toISOString() };

export function messages({names: [topic], query, session}) {
  let details, kafka, search, problem = null, following = null, place = query.place || "newest", drawing = false;
  const opened = new Map(), id = r => r.partition + ":" + r.offset;
  const soon = () => { // however many records come, the page is drawn once a frame
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; render() });
  };

  function chosen() {
    const all = details.partition_list;
    return query.partition ? all.filter(p => String(p.partition) === query.partition) : all.slice(0, maxPartitions);
  }

  async function run(what) {
    problem = null;
    try { await what() } catch (e) { problem = e }
    soon();
  }

  function begin() {
    const from = {oldest: "earliest", offset: Number(query.offset || 0), time: when(query.time) || "earliest"}[place];
    const order = place === "newest" ? "newest" : "oldest";
    const partitions = chosen().filter(p => order === "newest" || place !== "offset" || from < p.high_watermark)
      .map(p => ({...p}));
    search = new Search({topic, partitions, order, from, limit: perSearch, changed: soon, filter: {key: query.key || undefined, contains: query.text, header: query.header}});
    if (place === "offset") search.places.forEach(p => { p.next = Math.max(from, p.log_start_offset) });
    return run(() => search.more());
  }

  function stop() {
    following?.abort();
    following = null;
    render();
  }

  function tail() {
    search?.stop();
    const abort = following = new AbortController(), records = following.records = [];
    Object.assign(abort, {deleted: 0, damaged: 0, broken: null});
    const take = came => {
      records.unshift(...came.reverse().slice(0, maxFollowed));
      records.length = Math.min(records.length, maxFollowed);
      soon();
    };
    const tell = ({gap, skipped, broken}) => {
      if (gap) abort.deleted += gap.to - gap.from;
      if (skipped) abort.damaged++;
      if (broken !== undefined) abort.broken = broken;
      soon();
    };
    run(() => follow({topic, partitions: query.partition, signal: abort.signal, take, tell}).catch(e => { if (following === abort) following = null; throw e }));
    render();
  }

  const submit = event => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    if (given.place === "newest") delete given.place;
    const wanted = hash(to("topics", topic, "messages"), given);
    following?.abort();
    following = null;
    if (wanted === location.hash || wanted === "#" + location.hash) refresh();
    else location.hash = wanted;
  };

  const form = () => h("form", {class: "card filters", key: "filters", role: "search", onsubmit: submit},
    field({label: "Partition", id: "partition", name: "partition", control: "select", value: query.partition || "", options: [["", "all"], ...details.partition_list.slice(0, 1000).map(p => [String(p.partition), String(p.partition)])]}),
    field({label: "Order", id: "place", name: "place", control: "select", options: places, value: place, onchange: e => { place = e.target.value; render() }}),
    place === "offset" ? field({label: "Offset", id: "offset", name: "offset", type: "number", min: 0, value: query.offset || "0"}) : null,
    place === "time" ? field({label: "Time (yours)", id: "time", name: "time", type: "datetime-local", step: 1, value: query.time || ""}) : null,
    field({label: "Key is", id: "key", name: "key", value: query.key || "", spellcheck: "false"}),
    field({label: "Key or value contains", id: "text", name: "text", type: "search", value: query.text || "", spellcheck: "false"}),
    field({label: "Header", id: "header", name: "header", value: query.header || "", placeholder: "name or name=part", spellcheck: "false"}),
    h("div", {class: "actions"}, h("button", {type: "submit", class: "primary"}, "Search"), following ? button("Stop following", stop, {key: "stop"}) : button("Follow", tail, {key: "tail"})));

  const damaged = n => ` ${count(n, "damaged batch", "damaged batches")} skipped.`;
  const state = () => {
    if (following) return [`Following: ${count(following.records.length, "record")}, the newest first${following.records.length === maxFollowed ? "; older ones are left out" : ""}.`,
      following.deleted && ` ${count(following.deleted, "record")} more were deleted before they could be read.`, following.damaged && damaged(following.damaged),
      following.broken && ` It connects again: ${following.broken.replace(/[.]?$/, ".")}`].filter(Boolean).join("");
    if (!search) return "";
    const partitions = count(search.places.length, "partition"), shows = `${whole(Math.min(search.wanted, search.found))} of ${count(search.total, "record")} in ${partitions}`;
    const looked = `${count(search.found, "record")} found; ${count(search.looked, "record")} of ${whole(search.total)} in ${partitions} looked through`;
    return `${search.running ? "Reading: " : ""}${search.filtered ? looked : shows}.${search.skipped ? damaged(search.skipped) : ""}${search.full ? " That is all that is shown of one search: narrow it down." : ""}`;
  };

  const more = () => run(() => search.more());

  async function toggle(r) {
    if (opened.delete(id(r))) return render();
    const state = {};
    opened.set(id(r), state);
    if (opened.size > maxOpened) opened.delete(opened.keys().next().value); // that was opened first
    render();
    try { state.record = await recordAt(topic, r) } catch (e) { state.problem = e }
    soon();
  }

  const inside = state => state.record ? detail({topic, state, session, kafka, say, changed: render}) : state.problem ? why(state.problem) : h("p", {class: "soft"}, "Loading …");

  const list = () => {
    const found = following ? following.records : search.list();
    const rows = found.flatMap(r => opened.has(id(r)) ? [r, {key: "open " + id(r), whole: inside(opened.get(id(r)))}] : [r]);
    if (!found.length) return following ? empty("Waiting for records. They are shown here as they are written.") : search.running ? null
      : search.filtered ? empty("No record matches. Look at the filters: a key has to be given whole.") : empty(h("p", {}, "No records are here."), link(to("topics", topic, "produce"), "Produce the first one"));
    return table({caption: `Records of ${topic}`, rows, key: id, columns: [
      {head: "Time", cell: r => time(r.timestamp)},
      {head: "Offset", name: "id", class: "at", cell: r => button(`${r.partition}:${r.offset}`, () => toggle(r), {"aria-expanded": String(opened.has(id(r))), class: "plain"})},
      {head: "Key", class: "key", cell: r => h("code", {class: r.key.none ? "soft" : ""}, r.key.text)},
      {head: "Value", class: "preview", cell: r => h("code", {class: r.value.none ? "soft" : ""}, r.value.text)},
      {head: "Size", num: true, minor: true, cell: r => bytes(r.size)},
    ]});
  };

  return {
    title: topic + " · messages",
    close: () => { search?.stop(); following?.abort() },
    load: async signal => {
      details = await get("/v1/topics/{topic}", {topic}, {signal});
      kafka ??= await get("/v1/nodes", {}, {signal}).then(n => n.nodes.find(o => o.self)?.kafka, () => ""); // who may not see nodes fills it in
      begin();
    },
    view: () => [heading(topic), topicTabs(topic, "Messages"), form(),
      !query.partition && details.partitions > maxPartitions ? h("p", {class: "soft", key: "some"}, `The first ${maxPartitions} of ${details.partitions} partitions are read; choose one for the others.`) : null,
      problem ? why(problem) : null,
      h("p", {class: "soft", key: "state", id: "searched"}, state()), list(),
      following || !search ? null : h("div", {class: "actions start", key: "more"}, search.running ? button("Stop", () => search.stop(), {key: "halt"})
        : search.full || search.done && search.found <= search.wanted ? null : button(search.filtered && !search.done ? "Search on" : "Show more", more, {key: "on"}))],
  };
}
