// produce writes a record, and says how a script would.
import {h} from "./dom.js";
import {get, post} from "./api.js";
import {curl} from "./command.js";
import {count, pairs, whole} from "./format.js";
import {button, copy, field, heading, link, to, why} from "./parts.js";
import {topicTabs} from "./topic.js";
import {render, say} from "./shell.js";

const records = "/v1/topics/{topic}/records";

// recordOf is the record that was described. A value in JSON is checked, and written as it was typed.
export function recordOf(given) {
  if (given.as === "json") JSON.parse(given.value);
  const r = {value: {base64: {base64: given.value.trim()}, null: null}[given.as]};
  if (r.value === undefined) r.value = given.value;
  if (given.key !== "") r.key = given.key;
  if (given.partition !== "") r.partition = Number(given.partition);
  const headers = pairs(given.headers).map(([key, value]) => ({key, value})); // a list: names may come twice
  if (headers.length) r.headers = headers;
  return r;
}

export function produce({names: [topic], session}) {
  let details, problem = null, busy = false, written = null, given = {key: "", value: "", headers: "", partition: "", as: "text"};

  const explained = e => e instanceof SyntaxError ? {message: "The value is not JSON: " + e.message} : e;
  const change = event => { given[event.target.name] = event.target.value; render() };
  const submit = async event => {
    event.preventDefault();
    busy = true, problem = null;
    render();
    try {
      const answer = await post(records, {topic}, {body: recordOf(given)});
      written = answer.records[0];
      say(`Written to partition ${written.partition}, offset ${whole(written.offset)}.`);
    } catch (e) { problem = explained(e) }
    busy = false;
    render();
  };
  const copyCurl = () => {
    problem = null;
    try {
      copy(curl(session, records, {topic}, {}, "-H", "Content-Type: application/json", "-d", JSON.stringify(recordOf(given))), say);
    } catch (e) { problem = explained(e) }
    render();
  };

  return {
    title: topic + " · produce",
    load: async signal => { details = await get("/v1/topics/{topic}", {topic}, {signal}) },
    view: () => [heading(topic), topicTabs(topic, "Produce"), h("form", {class: "card", key: "form", onsubmit: submit},
      field({label: "Key", id: "key", name: "key", spellcheck: "false", oninput: change, hint: "Records of one key go to one partition. Empty: no key."}),
      field({label: "Value", id: "value", name: "value", control: "textarea", rows: "6", spellcheck: "false", oninput: change, disabled: given.as === "null"}),
      h("div", {class: "row"},
        field({label: "The value is", id: "as", name: "as", control: "select", onchange: change, options: [["text", "text"], ["json", "JSON, checked"], ["base64", "bytes in base64"], ["null", "null: it deletes the key"]]}),
        field({label: "Partition", id: "partition", name: "partition", control: "select", onchange: change, options: [["", "by key"], ...details.partition_list.slice(0, 1000).map(p => [String(p.partition), String(p.partition)])]})),
      field({label: "Headers", id: "headers", name: "headers", control: "textarea", rows: "2", spellcheck: "false", oninput: change, placeholder: "trace=x1", hint: "One on each line, NAME=VALUE."}),
      problem ? why(problem) : null,
      h("div", {class: "actions"}, button("Copy as curl", copyCurl), h("button", {type: "submit", class: "primary", disabled: busy}, "Write record"))),
    written ? h("p", {key: "written", class: "done"}, `Written to partition ${written.partition} at offset ${whole(written.offset)}. `,
      link(`${to("topics", topic, "messages")}?partition=${written.partition}&place=offset&offset=${written.offset}`, "Look at it")) : null,
    h("p", {class: "soft", key: "about"}, `${topic} has ${count(details.records, "record")}.`)],
  };
}
