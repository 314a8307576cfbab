// topic shows a topic: its partitions, its configs, who reads and writes it.
import {h} from "./dom.js";
import {del, get, patch} from "./api.js";
import {ago, bytes, count, duration, meant, perSecond, whole} from "./format.js";
import {badge, button, empty, field, heading, link, numbers, section, table, tabs, to} from "./parts.js";
import {ask} from "./dialog.js";
import {plot} from "./plot.js";
import {refresh, render, say} from "./shell.js";

// topicTabs are the parts of a topic.
export const topicTabs = (name, current) => tabs("Parts of the topic", [["", "Overview"], ["messages", "Messages"], ["produce", "Produce"], ["configs", "Configs"], ["clients", "Clients"]]
  .map(([path, text]) => [path ? to("topics", name, path) : to("topics", name), text]), current);

export const topic = part => ({names: [name]}) => {
  let details, history, clients, shown = 200, filter = "";
  const names = {topic: name};

  const grow = () => ask({title: "Add partitions", text: `${name} has ${count(details.partitions, "partition")}. Records of a key may go to another partition afterwards.`, action: "Add",
    inside: () => [field({label: "Partitions in all", id: "all", name: "all", type: "number", min: details.partitions + 1, value: String(details.partitions + 1), required: true})],
    run: async ({all}) => { await patch("/v1/topics/{topic}", names, {body: {partitions: Number(all)}}); say(`${name} has ${all} partitions.`); refresh() }});

  const trim = () => ask({title: "Delete records", danger: true, word: name, action: "Delete records", text: "Records before this place are gone for ever, for all readers.",
    inside: () => [field({label: "Partition", id: "trimmed", name: "partition", type: "number", min: 0, max: details.partitions - 1, value: "0", required: true}),
      field({label: "Delete all before", id: "before", name: "before", required: true, placeholder: "an offset", hint: "An offset, a time like 2026-01-31T12:00:00Z, or latest for all records."})],
    run: async ({partition, before}) => {
      const now = await del("/v1/topics/{topic}/partitions/{partition}/records", {topic: name, partition}, {query: {before}});
      say(`Partition ${partition} begins at offset ${whole(now.log_start_offset)}.`);
      refresh();
    }});

  const remove = () => ask({title: `Delete ${name}?`, danger: true, word: name, action: "Delete topic", text: `${count(details.records, "record")} in ${count(details.partitions, "partition")} (${bytes(details.bytes)}) are gone for ever.`,
    run: async () => { await del("/v1/topics/{topic}", names); say(`Topic ${name} was deleted.`); location.hash = "#/topics" }});

  const edit = config => ask({title: config.name, action: "Save", text: `The default is ${config.default === "" ? "empty" : config.default}${meant(config.name, config.default) && ` (${meant(config.name, config.default)})`}.`,
    inside: () => [field({label: "Value", id: "value", name: "value", value: config.value, spellcheck: "false"}),
      config.set ? field({label: "Use the default instead", id: "unset", name: "unset", type: "checkbox", class: "check"}) : null].filter(Boolean),
    run: async ({value, unset}) => {
      await patch("/v1/topics/{topic}", names, {body: {configs: {[config.name]: unset ? null : value}}});
      say(`${config.name} was changed.`);
      refresh();
    }});

  const overview = () => [
    numbers([["Records", whole(details.records)], ["Size", bytes(details.bytes)], ["Partitions", whole(details.partitions)],
      ["Kept for", duration(Number(details.configs.find(c => c.name === "retention.ms")?.value)).replace("-1 ms", "ever").replace("NaN ms", "–")]]),
    h("div", {class: "plots", key: "plots"}, plot({title: "Records written", times: history.times, series: [{name: "records", values: history.series.records_per_second || []}], format: perSecond}),
      plot({title: "Size", times: history.times, series: [{name: "in the bucket", values: history.series.bytes || []}], format: bytes})),
    section("Partitions", table({caption: `Partitions of ${name}`, rows: details.partition_list.slice(0, shown), key: p => p.partition, columns: [
      {head: "Partition", name: "id", cell: p => link(to("topics", name, "messages") + "?partition=" + p.partition, String(p.partition))},
      {head: "First offset", num: true, minor: true, cell: p => whole(p.log_start_offset)}, {head: "Next offset", num: true, cell: p => whole(p.high_watermark)},
      {head: "Records", num: true, cell: p => whole(p.high_watermark - p.log_start_offset)}, {head: "Size", num: true, cell: p => bytes(p.bytes)},
    ]}), details.partition_list.length > shown ? button(`Show all ${count(details.partitions, "partition")}`, () => { shown = Infinity; render() }) : null),
    h("div", {class: "actions start", key: "dangers"}, button("Add partitions …", grow), button("Delete records …", trim, {class: "danger"}), button("Delete topic …", remove, {class: "danger"}))];

  const configs = () => {
    if (!details.configs.length) return [empty("You may not see the configs of this topic: that needs DescribeConfigs on it.")];
    const rows = details.configs.filter(c => c.name.includes(filter)).sort((a, b) => b.set - a.set || a.name.localeCompare(b.name));
    return [field({label: "Search configs", id: "config", type: "search", class: "find", value: filter, oninput: e => { filter = e.target.value; render() }}),
      table({caption: `Configs of ${name}`, rows, key: c => c.name, columns: [
        {head: "Config", name: true, cell: c => [c.name, c.set ? " " : "", c.set ? badge("set here") : null]},
        {head: "Value", cell: c => [h("code", {}, c.value === "" ? "(empty)" : c.value), meant(c.name, c.value) ? h("small", {}, " " + meant(c.name, c.value)) : null]},
        {head: "Default", minor: true, cell: c => h("code", {}, c.default === "" ? "(empty)" : c.default)},
        {head: "Change", cell: c => button("Change", () => edit(c), {"aria-label": "Change " + c.name})},
      ]})];
  };

  const whoIs = () => [
    section("Groups that read", clients.groups.length ? table({caption: "Groups", rows: clients.groups, key: g => g.group, columns: [
      {head: "Group", name: true, cell: g => link(to("groups", g.group), g.group)}, {head: "Lag", num: true, cell: g => h("span", {class: g.lag ? "late" : ""}, whole(g.lag))},
      {head: "Partitions", num: true, minor: true, cell: g => whole(g.partitions)}, {head: "Last commit", num: true, cell: g => ago(g.committed_at)},
    ]}) : empty("No group has committed offsets for this topic. Readers that commit nothing leave no trace.")),
    section("Producers that write", clients.producers.length ? table({caption: "Producers", rows: clients.producers, key: p => p.producer_id, columns: [
      {head: "Producer id", name: "id", cell: p => String(p.producer_id)}, {head: "Transactional id", cell: p => p.transactional_id || "–"},
      {head: "Epoch", num: true, minor: true, cell: p => String(p.producer_epoch)}, {head: "Partitions", num: true, minor: true, cell: p => whole(p.partitions)}, {head: "Newest record", num: true, cell: p => ago(p.last_timestamp)},
    ]}) : empty("No idempotent producer has written lately. Others leave no trace.")),
    clients.more ? h("p", {class: "soft"}, "There are more than these.") : null];

  return {
    title: name, every: 5000,
    load: async signal => {
      [details, history, clients] = await Promise.all([get("/v1/topics/{topic}", names, {signal}),
        part === "Overview" ? get("/v1/topics/{topic}/history", names, {signal}) : null, part === "Clients" ? get("/v1/topics/{topic}/clients", names, {signal}) : null]);
    },
    view: () => [heading(name), topicTabs(name, part), {Overview: overview, Configs: configs, Clients: whoIs}[part]()],
  };
};
