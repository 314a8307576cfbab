// groups lists groups, with how far they are behind.
import {h} from "./dom.js";
import {get} from "./api.js";
import {count, whole} from "./format.js";
import {badge, empty, hash, heading, link, pager, table, to} from "./parts.js";
import {perPage, searching} from "./topics.js";

// stateBadge shows the state of a group.
export const stateBadge = state => badge(state, {Stable: "good", Empty: "", Dead: "bad"}[state] ?? "busy");

export function groups({query, before}) {
  let list = before?.list?.groups ? before.list : null;
  const page = {
    list, title: "Groups", every: 5000, ready: Boolean(list),
    load: async signal => { page.list = list = await get("/v1/groups", {}, {query: {limit: perPage, after: query.after, contains: query.contains}, signal}) },
    view: () => [heading("Groups"), searching("Search groups", "#/groups", query),
      list.unreachable ? h("div", {class: "problem", role: "alert", key: "silent"}, `No answer from node ${list.unreachable.join(", ")}: its groups are missing.`) : null,
      list.groups.length ? table({caption: "Groups", rows: list.groups, key: g => g.group, columns: [
        {head: "Group", name: true, cell: g => link(to("groups", g.group), g.group)},
        {head: "State", cell: g => stateBadge(g.state)}, {head: "Type", minor: true, cell: g => g.type},
        {head: "Node", num: true, minor: true, cell: g => String(g.node)}, {head: "Lag", num: true, cell: g => h("span", {class: g.lag ? "late" : ""}, whole(g.lag))},
      ]}) : query.contains ? empty(h("p", {}, `No group has “${query.contains}” in its name.`), link("#/groups", "Show all groups"))
        : empty("There are no groups yet. A consumer with a group.id makes one, and so does the first claim of a partition over HTTP."),
      pager(query.contains ? `${count(list.total, "group")} found` : count(list.total, "group"), query.after && hash("#/groups", {contains: query.contains}),
        list.next && hash("#/groups", {contains: query.contains, after: list.next}))],
  };
  return page;
}
