// topics lists topics and makes one.
import {h} from "./dom.js";
import {get, post} from "./api.js";
import {bytes, count, pairs, whole} from "./format.js";
import {empty, field, hash, heading, link, pager, table, to, why} from "./parts.js";
import {render, say} from "./shell.js";

export const perPage = 100;

// searching is a search field that changes the address once its reader has stopped typing; the browser's history has no entry for it.
export function searching(label, path, query) {
  return h("form", {role: "search", key: "search", class: "search", onsubmit: e => { e.preventDefault(); clearTimeout(searching.timer); location.hash = hash(path, {contains: e.target.elements.part.value}) }},
    field({label, id: "part", name: "part", type: "search", value: query.contains || "", placeholder: "part of a name", spellcheck: "false", autocapitalize: "none",
      oninput: e => {
        clearTimeout(searching.timer);
        const text = e.target.value;
        searching.timer = setTimeout(() => { if (location.hash.split("?")[0] === path) location.replace(hash(path, {contains: text})) }, 250);
      }}));
}

export function topics({query, before}) {
  let list = before?.list?.topics ? before.list : null;
  const page = {
    list, title: "Topics", every: 5000, ready: Boolean(list),
    load: async signal => { page.list = list = await get("/v1/topics", {}, {query: {limit: perPage, after: query.after, contains: query.contains}, signal}) },
    view: () => [heading("Topics", link("#/new-topic", "New topic", {class: "button primary"})),
      searching("Search topics", "#/topics", query),
      list.topics.length ? table({caption: "Topics", rows: list.topics, key: t => t.name, columns: [
        {head: "Topic", name: true, cell: t => link(to("topics", t.name), t.name)},
        {head: "Partitions", num: true, minor: true, cell: t => whole(t.partitions)},
        {head: "Records", num: true, cell: t => whole(t.records)}, {head: "Size", num: true, cell: t => bytes(t.bytes)},
      ]}) : query.contains ? empty(h("p", {}, `No topic has “${query.contains}” in its name.`), link("#/topics", "Show all topics"))
        : empty(h("p", {}, "There are no topics yet, or none that you may see."), link("#/new-topic", "Create the first topic")),
      pager(query.contains ? `${count(list.total, "topic")} found` : count(list.total, "topic"), query.after && hash("#/topics", {contains: query.contains}),
        list.next && hash("#/topics", {contains: query.contains, after: list.next}))],
  };
  return page;
}

const retentions = [["", "the default"], ["3600000", "an hour"], ["86400000", "a day"], ["604800000", "a week"], ["2592000000", "30 days"], ["31536000000", "a year"], ["-1", "for ever"]];

export function newTopic() {
  let problem = null, busy = false;
  const submit = async event => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target)), configs = {};
    if (given.retention) configs["retention.ms"] = given.retention;
    if (given.policy) configs["cleanup.policy"] = given.policy;
    busy = true, problem = null;
    render();
    try {
      Object.assign(configs, Object.fromEntries(pairs(given.more)));
      const made = await post("/v1/topics", {}, {body: {name: given.name, partitions: Number(given.partitions), configs}});
      say(`Topic ${made.name} was created, with ${count(made.partitions, "partition")}.`);
      location.hash = to("topics", made.name);
    } catch (e) { problem = e }
    busy = false;
    render();
  };
  return {
    title: "New topic", ready: true,
    view: () => [heading("New topic"), h("form", {class: "card narrow", key: "form", onsubmit: submit},
      field({label: "Name", id: "name", name: "name", required: true, maxlength: 249, spellcheck: "false", autocapitalize: "none", hint: "Letters, digits, dots, underscores and hyphens. It cannot be changed later."}),
      field({label: "Partitions", id: "partitions", name: "partitions", type: "number", min: 1, max: 100000, value: "3", required: true, hint: "As many consumers of a group can read at once. More can be added, none taken away."}),
      field({label: "Records are kept", id: "retention", name: "retention", control: "select", options: retentions}),
      field({label: "Then they are", id: "policy", name: "policy", control: "select", options: [["", "deleted"], ["compact", "compacted: the last of each key stays"], ["compact,delete", "compacted, and deleted when old"]]}),
      h("details", {}, h("summary", {}, "More configs"), field({label: "One on each line, NAME=VALUE", id: "more", name: "more", control: "textarea", rows: "4", spellcheck: "false", placeholder: "max.message.bytes=1048576"})),
      problem ? why(problem) : null,
      h("div", {class: "actions"}, link("#/topics", "Cancel", {class: "button"}), h("button", {type: "submit", class: "primary", disabled: busy}, "Create topic")))],
  };
}
