// acls lists who may do what, and changes that.
import {h} from "./dom.js";
import {del, get, post} from "./api.js";
import {count} from "./format.js";
import {badge, button, empty, field, hash, heading, pager, securityTabs, table} from "./parts.js";
import {perPage} from "./topics.js";
import {ask} from "./dialog.js";
import {refresh, say} from "./shell.js";

const types = ["Topic", "Group", "Cluster", "TransactionalId", "User"];
const operations = ["Read", "Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs", "ClusterAction", "IdempotentWrite", "All"];
const words = a => `${a.permission} ${a.principal} ${a.operation} on ${a.resource_type} ${a.resource_name} (${a.pattern_type}) from host ${a.host}`;

export function acls({query}) {
  let list;
  const create = () => ask({title: "New ACL", action: "Create", inside: () => [
    field({label: "Principal", id: "acl-principal", name: "principal", required: true, value: "User:", hint: "User:alice, or User:* for everybody."}),
    h("div", {class: "row"}, field({label: "May", id: "acl-permission", name: "permission", control: "select", options: [["Allow", "do (Allow)"], ["Deny", "not do (Deny)"]]}),
      field({label: "Operation", id: "acl-operation", name: "operation", control: "select", options: operations})),
    h("div", {class: "row"}, field({label: "On", id: "acl-type", name: "resource_type", control: "select", options: types}),
      field({label: "Names", id: "acl-pattern", name: "pattern_type", control: "select", options: [["Literal", "this name"], ["Prefixed", "that begin with"]]})),
    field({label: "Name", id: "acl-name", name: "resource_name", required: true, hint: "* is every one; the cluster is called kafka-cluster."}),
    field({label: "From host", id: "acl-host", name: "host", value: "*", required: true})],
    run: async acl => { await post("/v1/acls", {}, {body: {acls: [acl]}}); say("The ACL holds now."); refresh() }});
  const remove = a => ask({title: "Delete an ACL", danger: true, action: "Delete", text: words(a), run: async () => { await del("/v1/acls", {}, {query: a}); say("The ACL was deleted."); refresh() }});
  const submit = event => { event.preventDefault(); location.hash = hash("#/acls", Object.fromEntries(new FormData(event.target))) };
  return {
    title: "ACLs", every: 10000,
    load: async signal => {
      try {
        list = await get("/v1/acls", {}, {query: {limit: perPage, after: query.after, principal: query.principal, resource_name: query.resource_name}, signal});
      } catch (e) {
        if (e.body?.code !== "SECURITY_DISABLED") throw e;
        list = null;
      }
    },
    view: () => !list ? [heading("Security"), securityTabs("ACLs"), empty("Nobody asks for permissions here, so everybody may do everything. With ", h("code", {}, "--authorizer acl"), " on every node, ACLs say who may do what.")]
      : [heading("Security", button("New ACL …", create, {class: "primary"})), securityTabs("ACLs"),
      h("form", {class: "search", role: "search", key: "search", onsubmit: submit}, field({label: "Principal", id: "by-principal", name: "principal", type: "search", value: query.principal || "", placeholder: "User:alice", spellcheck: "false"}),
        field({label: "Resource", id: "by-resource", name: "resource_name", type: "search", value: query.resource_name || "", placeholder: "a whole name", spellcheck: "false"}), h("button", {type: "submit"}, "Search")),
      list.acls.length ? table({caption: "ACLs", rows: list.acls, key: words, columns: [
        {head: "Principal", name: true, cell: a => a.principal}, {head: "May", cell: a => [badge(a.permission, a.permission === "Deny" ? "bad" : "good"), a.operation]},
        {head: "On", cell: a => [a.resource_type, " ", h("code", {class: "word"}, a.resource_name + (a.pattern_type === "Prefixed" ? "…" : ""))]}, {head: "Host", minor: true, cell: a => a.host},
        {head: "Delete", cell: a => button("Delete …", () => remove(a), {class: "danger", "aria-label": `Delete: ${words(a)}`})},
      ]}) : empty("No ACL matches. Without ACLs, and with an authorizer, only super users may do anything."),
      pager(count(list.total, "ACL"), query.after && "#/acls", list.next && hash("#/acls", {...query, after: list.next}))],
  };
}
