// group shows a group: how far it is behind, its members, its claims; and sets where it reads on.
import {h} from "./dom.js";
import {del, get, post} from "./api.js";
import {ago, count, duration, whole} from "./format.js";
import {badge, button, empty, field, heading, link, numbers, section, table, to, why} from "./parts.js";
import {ask} from "./dialog.js";
import {plot} from "./plot.js";
import {stateBadge} from "./groups.js";
import {refresh, render, say} from "./shell.js";

// assignedText lists partitions by topic, like orders 0-2, 5.
function assignedText(assigned) {
  const byTopic = Map.groupBy ? Map.groupBy(assigned, a => a.topic) : assigned.reduce((m, a) => m.set(a.topic, [...m.get(a.topic) || [], a]), new Map());
  return [...byTopic].map(([topic, list]) => {
    const runs = [];
    for (const p of list.map(a => a.partition).sort((a, b) => a - b)) {
      const last = runs.at(-1);
      if (last && last[1] === p - 1) last[1] = p;
      else runs.push([p, p]);
    }
    return `${topic} ${runs.map(([a, b]) => a === b ? a : `${a}–${b}`).join(", ")}`;
  }).join("; ");
}

// partitionsOf reads partitions and ranges of them, like 0, 2-4. Nothing stands for all. A topic has less than 100,000.
export function partitionsOf(text) {
  const all = text.trim() === "" ? [] : text.trim().split(/\s*,\s*|\s+/).flatMap(word => {
    const [, from, to = from] = word.match(/^(\d{1,5})(?:[-–](\d{1,5}))?$/) || [];
    if (from === undefined || Number(to) < Number(from)) throw new Error(`“${word}” is no partition: write numbers and ranges, like 0, 2-4`);
    return Array.from({length: to - from + 1}, (_, i) => Number(from) + i);
  });
  return [...new Set(all)];
}

export function group({names: [name]}) {
  let details, history, shown = 200, preview = null, problem = null, resetting = false;
  const names = {group: name};

  const wanted = form => {
    const {topic, partitions, to, at} = Object.fromEntries(new FormData(form));
    return {topic, partitions: partitionsOf(partitions), to: to === "time" ? new Date(at).toISOString() : to === "offset" ? at : to};
  };
  let turn = 0; // an answer to what was asked before something else was typed is not shown
  const typing = () => { turn++; if (preview) { preview = null; render() } };
  const tryReset = async event => {
    event.preventDefault();
    const mine = ++turn;
    let came = null, wrong = null;
    try {
      const asked = wanted(event.target);
      came = {asked, ...await post("/v1/groups/{group}/reset", names, {body: {...asked, dry_run: true}})};
    } catch (e) { wrong = e instanceof RangeError ? {message: "Give a time."} : e }
    if (mine === turn) preview = came, problem = wrong;
    render();
  };
  const reset = async () => {
    try {
      const done = await post("/v1/groups/{group}/reset", names, {body: {...preview.asked, dry_run: false}});
      say(`${name} reads ${count(done.offsets.length, "partition")} of ${done.topic} from another place.`);
      preview = null, resetting = false, problem = null;
      refresh();
    } catch (e) { problem = e; render() }
  };
  const remove = () => ask({title: `Delete ${name}?`, danger: true, word: name, action: "Delete group", text: `What it has committed for ${count(details.offsets.length, "partition")} is gone; its next consumer begins anew.`,
    run: async () => { await del("/v1/groups/{group}", names); say(`Group ${name} was deleted.`); location.hash = "#/groups" }});
  const release = c => ask({title: "Release a claim", danger: true, action: "Release", text: `${c.holder} loses partition ${c.partition} of ${c.topic}, and can commit nothing more for it; another worker may claim it at once.`,
    run: async () => {
      await post("/v1/groups/{group}/claims/release", names, {body: {holder: c.holder, claims: [{topic: c.topic, partition: c.partition, epoch: c.epoch}]}});
      say("The claim was released.");
      refresh();
    }});

  let place = "earliest";
  const resetForm = () => h("form", {class: "card", key: "reset", onsubmit: tryReset, oninput: typing}, h("div", {class: "row"},
    field({label: "Topic", id: "reset-topic", name: "topic", required: true, list: "reset-topics", value: details.offsets[0]?.topic || ""}),
    h("datalist", {id: "reset-topics"}, [...new Set(details.offsets.map(o => o.topic))].map(t => h("option", {value: t}))),
    field({label: "Partitions", id: "reset-partitions", name: "partitions", placeholder: "all", hint: "Like 0, 2-4."}),
    field({label: "Read on from", id: "reset-to", name: "to", control: "select", options: [["earliest", "the first record"], ["latest", "the end"], ["offset", "an offset"], ["time", "a time"]], onchange: e => { place = e.target.value; render() }}),
    place === "time" ? field({label: "Time (yours)", id: "reset-time", name: "at", type: "datetime-local", step: 1, required: true}) : null,
    place === "offset" ? field({label: "Offset", id: "reset-offset", name: "at", type: "number", min: 0, value: "0", required: true}) : null),
    problem ? why(problem) : null,
    h("div", {class: "actions start"}, h("button", {type: "submit"}, "Preview"), button("Cancel", () => { resetting = false; preview = null; render() })),
    preview ? [table({caption: "What would change", rows: preview.offsets, key: o => o.partition, columns: [
      {head: "Partition", name: "id", cell: o => String(o.partition)}, {head: "Now", num: true, cell: o => o.before === null ? "nothing" : whole(o.before)}, {head: "Then", num: true, cell: o => whole(o.offset)},
      {head: "Change", num: true, cell: o => { const by = o.before === null ? 0 : o.offset - o.before; return by === 0 ? "none" : by < 0 ? `${whole(-by)} again` : `${whole(by)} skipped` }}]}),
      h("div", {class: "actions start"}, button("Reset offsets", reset, {class: "danger"}))] : null);

  const busy = () => details.members.length + details.claims.length > 0;
  let most; // the largest lag of a partition
  return {
    title: name, every: 3000,
    load: async signal => {
      [details, history] = await Promise.all([get("/v1/groups/{group}", names, {signal}), get("/v1/groups/{group}/history", names, {signal})]);
      most = details.offsets.reduce((max, o) => Math.max(max, o.lag), 1);
    },
    view: () => [heading(name, stateBadge(details.state)),
      numbers([["Lag", whole(details.lag), "records"], ["Members", whole(details.members.length)], ["Claims", whole(details.claims.length)], ["Type", details.type, details.protocol || ""], ["Node", String(details.node)]]),
      h("div", {class: "plots one", key: "plots"}, plot({title: "Lag", times: history.times, series: [{name: "records behind", values: history.series.lag || []}], format: whole})),
      section("Offsets", details.offsets.length ? table({caption: `Offsets of ${name}`, rows: details.offsets.slice(0, shown), key: o => o.topic + "/" + o.partition, columns: [
        {head: "Topic", name: true, cell: o => link(to("topics", o.topic), o.topic)}, {head: "Partition", num: true, cell: o => link(`${to("topics", o.topic, "messages")}?partition=${o.partition}&place=offset&offset=${o.offset}`, String(o.partition))},
        {head: "Reads on at", num: true, minor: true, cell: o => whole(o.offset)}, {head: "End", num: true, minor: true, cell: o => whole(o.high_watermark)},
        {head: "Lag", num: true, cell: o => [h("meter", {class: "bar", min: 0, max: most, value: o.lag, "aria-label": `Lag of partition ${o.partition}`}), " ", h("span", {class: o.lag ? "late" : ""}, whole(o.lag))]},
        details.type === "share" ? {head: "In flight", num: true, cell: o => whole(o.in_flight || 0)} : null, // delivered and not finished
        {head: "Committed", num: true, minor: true, cell: o => ago(o.committed_at)},
      ].filter(Boolean)}) : empty("It has committed nothing yet."), details.offsets.length > shown ? button(`Show all ${count(details.offsets.length, "partition")}`, () => { shown = Infinity; render() }) : null),
      section("Members", details.members.length ? table({caption: "Members", rows: details.members, key: m => m.id, columns: [
        {head: "Client", name: true, cell: m => [m.client_id, m.instance_id ? " " : "", m.instance_id ? badge(m.instance_id) : null]}, {head: "Host", minor: true, cell: m => m.host},
        {head: "Assigned", cell: m => m.assigned.length ? assignedText(m.assigned) : h("span", {class: "soft"}, "nothing")}, {head: "Member id", minor: true, cell: m => h("code", {}, m.id)},
      ]}) : empty("No consumer is a member now.")),
      section("Claims", details.claims.length ? table({caption: "Claims", rows: details.claims, key: c => c.topic + "/" + c.partition, columns: [
        {head: "Partition", name: true, cell: c => `${c.topic} ${c.partition}`}, {head: "Holder", cell: c => c.holder}, {head: "Ends in", num: true, cell: c => duration(1000 * c.ttl)},
        {head: "Offset", num: true, minor: true, cell: c => c.offset < 0 ? "–" : whole(c.offset)}, {head: "Release", cell: c => button("Release …", () => release(c), {"aria-label": `Release partition ${c.partition} of ${c.topic}`})},
      ]}) : empty("No partition is claimed: claims are for workers over HTTP that hold no session.")),
      section("Change", busy() ? h("p", {class: "soft"}, "Offsets can be reset, and the group deleted, while it has neither members nor claims: stop its consumers first.") : null,
        resetting ? resetForm() : h("div", {class: "actions start", key: "actions"}, button("Reset offsets …", () => { resetting = true; render() }, {disabled: busy()}), button("Delete group …", remove, {class: "danger", disabled: busy()})))],
  };
}
