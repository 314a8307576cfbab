// users lists who can log in with a password, and changes that.
import {h} from "./dom.js";
import {del, get, put} from "./api.js";
import {count} from "./format.js";
import {badge, button, empty, field, hash, heading, pager, securityTabs, table} from "./parts.js";
import {perPage} from "./topics.js";
import {ask} from "./dialog.js";
import {refresh, say} from "./shell.js";

export function users({query}) {
  let list;
  const save = user => ask({title: user ? `Another password for ${user}` : "New user", action: "Save", text: user ? "Its open connections stay; it logs in with the new one from now on." : "What a user may do, ACLs say.",
    inside: () => [user ? null : field({label: "Name", id: "user-name", name: "name", required: true, spellcheck: "false", autocapitalize: "none"}),
      field({label: "Password", id: "user-password", name: "password", type: "password", autocomplete: "new-password", required: true})].filter(Boolean),
    run: async ({name = user, password}) => { await put("/v1/users/{user}", {user: name}, {body: {password}}); say(`User ${name} can log in.`); refresh() }});
  const remove = name => ask({title: `Delete ${name}?`, danger: true, word: name, action: "Delete user", text: "It cannot log in any more. Its ACLs stay.",
    run: async () => { await del("/v1/users/{user}", {user: name}); say(`User ${name} was deleted.`); refresh() }});
  return {
    title: "Users", every: 10000,
    load: async signal => { list = await get("/v1/users", {}, {query: {limit: perPage, after: query.after}, signal}) },
    view: () => [heading("Security", button("New user …", () => save(), {class: "primary"})), securityTabs("Users"),
      list.users.length ? table({caption: "Users", rows: list.users, key: u => u.name, columns: [
        {head: "User", name: true, cell: u => u.name}, {head: "Logs in by", minor: true, cell: u => u.mechanisms.map(m => badge(m.mechanism))},
        {head: "Change", cell: u => h("div", {class: "actions start"}, button("Password …", () => save(u.name), {"aria-label": `Another password for ${u.name}`}), button("Delete …", () => remove(u.name), {class: "danger", "aria-label": `Delete ${u.name}`}))},
      ]}) : empty("The cluster keeps no users. Those of a file, a certificate or a token are not listed here."),
      pager(count(list.total, "user"), query.after && "#/users", list.next && hash("#/users", {after: list.next}))],
  };
}
