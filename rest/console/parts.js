// parts are what pages are made of: tables, fields, boxes, tabs.
import {h} from "./dom.js";

export const link = (href, text, props) => h("a", {href, ...props}, text);
export const to = (...names) => "#/" + names.map(encodeURIComponent).join("/");

// hash is a link into the console with a query.
export const hash = (path, query) => {
  const asked = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== undefined && v !== ""));
  return path + (asked.size ? "?" + asked : "");
};

export const heading = (title, ...beside) => h("div", {class: "heading"}, h("h1", {tabindex: "-1"}, title), h("div", {class: "actions"}, beside));
export const section = (title, ...inside) => h("section", {key: title}, h("h2", {}, title), inside);
export const button = (text, onclick, props) => h("button", {type: "button", onclick, ...props}, text);
export const empty = (...text) => h("div", {class: "empty"}, text);
export const badge = (text, kind = "") => h("span", {class: "badge " + kind}, text);

// numbers shows some numbers large; each is [what, number, more].
export const numbers = list => h("dl", {class: "numbers"}, list.map(([what, n, more]) =>
  h("div", {key: what}, h("dt", {}, what), h("dd", {}, n, more ? h("small", {}, more) : null))));

// tabs leads to the parts of something; each is [href, text].
export const tabs = (label, list, current) => h("nav", {class: "tabs", "aria-label": label}, list.map(([href, text]) =>
  link(href, text, {"aria-current": text === current ? "page" : null})));

export const securityTabs = current => tabs("Parts of security", [["#/users", "Users"], ["#/acls", "ACLs"]], current);

// table shows rows. A column is {head, cell, num, minor, name}: numbers stand right, what is minor is not shown on a phone, and the name of a row heads it.
export const table = ({caption, columns, rows, key}) => h("div", {class: "scroll", role: "region", "aria-label": caption, tabindex: "0"},
  h("table", {}, h("caption", {class: "unseen"}, caption),
    h("thead", {}, h("tr", {}, columns.map(c => h("th", {scope: "col", class: kind(c)}, c.head)))),
    h("tbody", {}, rows.map(row => row.whole ? h("tr", {key: row.key, class: "whole"}, h("td", {colspan: columns.length}, row.whole))
      : h("tr", {key: key(row)}, columns.map(c => h(c.name ? "th" : "td", {scope: c.name ? "row" : null, class: kind(c)}, c.cell(row))))))));
const kind = c => [c.num && "num", c.minor && "minor", c.name === true && "name", c.class].filter(Boolean).join(" ");

let ids = 0;

// field is a labelled input, or whatever control makes; its id has to stay the same while the page does.
export function field({label, hint, id = "f" + ++ids, control = "input", options, class: kind = "", ...props}) {
  const described = hint ? id + "-hint" : null;
  return h("div", {class: "field " + kind, key: id}, h("label", {for: id}, label),
    h(control, {id, "aria-describedby": described, autocomplete: control === "input" ? "off" : null, ...props},
      (options || []).map(o => Array.isArray(o) ? h("option", {value: o[0]}, o[1]) : h("option", {value: o}, o))),
    hint ? h("small", {id: described}, hint) : null);
}

// pager leads to the next page and back to the first.
export const pager = (shown, first, next) => h("nav", {class: "pager", "aria-label": "Pages of the list"},
  h("span", {}, shown), first ? link(first, "First page") : null, next ? link(next, "Next page") : null);

// why says what a problem is, and what can be done. Some pages ask again by themselves.
export function why(problem, again = false) {
  const advice = {
    0: again ? "The page goes on asking." : "Try again.",
    401: "Log in, and try again.",
    403: "Somebody who may alter the cluster can allow it on the page Security, or with firn acl create.",
    404: "It may have been deleted. Look for it in the list.",
    429: "The server is busy; " + (again ? "the page tries again." : "try again in a moment."),
    503: again ? "The page tries again." : "Try again in a moment.",
  }[problem.status];
  return h("div", {class: "problem", role: "alert", key: "problem"}, h("strong", {}, problem.message.replace(/[.]?$/, ".")), advice ? " " + advice : "");
}

export async function copy(text, say) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not a secure context
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied.");
}
