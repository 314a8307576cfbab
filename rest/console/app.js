// app shows the page that the address names, asks again for what it shows, and knows who has logged in.
import {h, patch} from "./dom.js";
import {get} from "./api.js";
import {clock} from "./format.js";
import {heading, why} from "./parts.js";
import {shows} from "./shell.js";
import {account, again, loginForm} from "./login.js";
import {cluster} from "./cluster.js";
import {newTopic, topics} from "./topics.js";
import {topic} from "./topic.js";
import {messages} from "./messages.js";
import {produce} from "./produce.js";
import {groups} from "./groups.js";
import {group} from "./group.js";
import {transactions} from "./transactions.js";
import {users} from "./users.js";
import {acls} from "./acls.js";

// Pages are {title, load, view, every, close}: load asks for what view shows, every so many milliseconds again.
const pages = [
  [/^$/, cluster], [/^topics$/, topics], [/^new-topic$/, newTopic], [/^topics\/([^/]+)$/, topic("Overview")],
  [/^topics\/([^/]+)\/messages$/, messages], [/^topics\/([^/]+)\/produce$/, produce],
  [/^topics\/([^/]+)\/configs$/, topic("Configs")], [/^topics\/([^/]+)\/clients$/, topic("Clients")],
  [/^groups$/, groups], [/^groups\/([^/]+)$/, group], [/^transactions$/, transactions], [/^users$/, users], [/^acls$/, acls],
];
const menu = [["", "Cluster"], ["topics", "Topics"], ["groups", "Groups"], ["transactions", "Transactions"], ["users", "Security"]];

const byId = id => document.getElementById(id), content = byId("content");
let page = null, problem = null, loaded = false, loading = null, timer = 0;
let session, ended = false, ending = 0; // ended: the session has, and the page keeps what it shows

// decoded is a part of a path; somebody may have typed it.
const decoded = part => { try { return decodeURIComponent(part) } catch { return part } };

const parts = () => {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return {path, query: Object.fromEntries(new URLSearchParams(query))};
};

// menuOf is the entry of the menu to which a page belongs.
const menuOf = path => ({"new-topic": "topics", acls: "users"})[path] ?? path.split("/")[0];

// render brings the page to what is known now.
function render() {
  patch(byId("nav"), menu.map(([path, text]) => h("a", {href: "#/" + path, "aria-current": menuOf(parts().path) === path ? "page" : null}, text)));
  patch(byId("account"), account(session, {ended, refresh: start, login: () => again({done: loggedIn})}));
  if (session === undefined) return;
  if (!session) return patch(content, [loginForm({done: async () => { await start(); if (document.activeElement === document.body) focusHeading() }})]);
  if (!page) return patch(content, [heading("There is no such page"), h("p", {}, h("a", {href: "#/"}, "To the cluster"))]);
  const [head, ...rest] = loaded ? page.view() : [heading(page.title), problem ? null : h("p", {class: "soft", key: "loading"}, "Loading …")];
  patch(content, [head, problem ? why(problem, Boolean(page.every)) : null, rest].flat(Infinity).filter(Boolean));
}

const focusForm = () => content.querySelector("input")?.focus();
const focusHeading = () => (content.querySelector("h1") || content).focus({preventScroll: true});

// whoIsIt returns the session; null is nobody's.
const whoIsIt = () => get("/v1/session").catch(e => { if (e.status === 401) return null; throw e });

// watchSession asks again when the session should be over. Clocks differ, so not at once.
function watchSession() {
  clearTimeout(ending);
  if (!session?.until) return;
  ending = setTimeout(async () => {
    const now = await whoIsIt().catch(() => session); // no answer tells nothing
    if (!now) return loginEnded();
    session = now;
    render();
    watchSession();
  }, Math.max(10_000, new Date(session.until) - Date.now() + 1000));
}

// loginEnded asks for another login, over what the page shows.
function loginEnded() {
  if (!session || ended) return;
  ended = true;
  clearTimeout(timer);
  clearTimeout(ending);
  render();
  again({text: "Your login has ended. What is on the page stays.", done: loggedIn});
}

// loggedIn goes on where the page was, unless somebody else sees other things.
async function loggedIn() {
  const before = session.principal, now = await whoIsIt().catch(() => null);
  if (now?.principal !== before) return start();
  session = now, ended = false;
  watchSession();
  render();
  if (page?.every || problem || !loaded) refresh();
}

// refresh asks for what the page shows, and again after a while.
async function refresh() {
  clearTimeout(timer);
  loading?.abort();
  const mine = page, abort = loading = new AbortController();
  if (!mine) return render();
  try {
    await mine.load?.(abort.signal);
    if (mine !== page || abort.signal.aborted) return;
    loaded = true, problem = null;
    byId("asof").textContent = mine.every ? "as of " + clock(Date.now()) : "";
  } catch (e) {
    if (e.name === "AbortError" || mine !== page || abort.signal.aborted) return;
    problem = e;
    if (e.status === undefined) console.error(e);
  }
  render();
  if (mine.every && !ended) timer = setTimeout(() => document.hidden ? waitUntilSeen() : refresh(), mine.every);
}

const waitUntilSeen = () => document.addEventListener("visibilitychange", () => refresh(), {once: true});

// open shows the page that the address names.
function open() {
  const {path, query} = parts(), before = page;
  before?.close?.();
  clearTimeout(timer);
  let names = null;
  const found = pages.find(([pattern]) => names = path.match(pattern));
  page = found ? found[1]({names: names.slice(1).map(decoded), query, session, before}) : null;
  if (before === null || page !== before) problem = null, loaded = page?.ready ?? false;
  document.title = (page ? page.title + " · " : "") + "Firn";
  render();
  if (before && before !== page && before.title !== page?.title) { // a screen reader reads the new heading
    window.scrollTo(0, 0);
    focusHeading();
  }
  if (session) return refresh();
}

// start finds out who looks, and shows the page.
async function start() {
  try {
    session = await whoIsIt();
  } catch (e) {
    session = {}, problem = e;
  }
  ended = false;
  watchSession();
  await open();
  if (!session) focusForm();
}

byId("skip").onclick = event => { event.preventDefault(); content.focus() };
document.addEventListener("keydown", event => { // as on many sites: / goes to the search of the page
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const search = content.querySelector("input[type=search]");
  if (search) { event.preventDefault(); search.focus(); search.select() }
});
window.addEventListener("hashchange", open);
shows({render, refresh, loginEnded});
start();
