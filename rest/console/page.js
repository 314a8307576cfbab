"use strict";
const byId = id => document.getElementById(id);
const whole = n => n.toLocaleString();
const size = n => { let u = 0; while (n >= 1024 && u < 5) { n /= 1024; u++ } return (u ? n.toFixed(1) : n) + " " + ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][u] };
// ask sends a request as a page's own, so that the browser does not ask for a password before the page does.
const ask = (path, options = {}) => fetch(path, {...options, headers: {Accept: "application/json", "X-Requested-With": "fetch", ...options.headers}});
const get = async (path, options) => {
  const r = await ask(path, options), body = await r.json();
  if (!r.ok) throw Object.assign(new Error(body.detail || r.status), {status: r.status});
  return body;
};
const fault = text => { byId("state").textContent = text; byId("state").className = "late" };

function element(tag, text, kind, href) {
  const e = document.createElement(tag), inner = href ? e.appendChild(document.createElement("a")) : e;
  inner.textContent = text;
  if (href) inner.href = href;
  if (kind) e.className = kind;
  return e;
}

// table fills a table: columns are [title, class or, of numbers, row => class, row => text, row => href or undefined].
function table(id, columns, rows, none) {
  const head = document.createElement("tr");
  columns.forEach(([title, kind]) => head.append(element("th", title, typeof kind === "function" ? "n" : kind)));
  const lines = rows.map(row => {
    const tr = document.createElement("tr");
    columns.forEach(([, kind, text, href]) => tr.append(element("td", text(row), typeof kind === "function" ? kind(row) : kind, href && href(row))));
    return tr;
  });
  if (!rows.length) lines.push(element("tr", "")), lines[0].append(element("td", none, "soft"));
  byId(id).replaceChildren(...(rows.length ? [head] : []), ...lines);
}

// loggedIn shows as whom the page has logged in. Without a login there is the form, and nothing else.
function loggedIn(session) {
  const {principal, until, logins} = session || {};
  byId("who").textContent = logins ? principal : "";
  byId("out").hidden = !until;
  byId("in").hidden = !logins || principal !== "User:ANONYMOUS";
  byId("shown").hidden = !session;
  byId("login").hidden = !!session;
  if (!session) ["cluster", "numbers", "topics", "groups", "transactions", "nodes"].forEach(id => byId(id).replaceChildren());
}

async function show() {
  try {
    loggedIn(await get("v1/session"));
    const [cluster, topics, groups, nodes, txns] = await Promise.all([get("v1/cluster"), get("v1/topics?limit=200"), get("v1/groups?limit=200"), get("v1/nodes"), get("v1/transactions?limit=50")]);
    byId("cluster").textContent = "cluster " + cluster.cluster_id;
    byId("numbers").replaceChildren(...[["topics", whole(cluster.topics)], ["partitions", whole(cluster.partitions)], ["records", whole(cluster.records)],
      ["in the bucket", size(cluster.bytes)], ["groups", whole(cluster.groups)], ["nodes", whole(cluster.nodes)]].map(([name, n]) => {
        const card = element("div", name, "soft"); card.prepend(element("b", n)); return card }));
    table("topics", [["name", "", t => t.name, t => "v1/topics/" + encodeURIComponent(t.name)], ["partitions", "n", t => whole(t.partitions)],
      ["records", "n", t => whole(t.records)], ["size", "n", t => size(t.bytes)]], topics.topics, "no topics yet");
    table("groups", [["name", "", g => g.group, g => "v1/groups/" + encodeURIComponent(g.group)], ["type", "", g => g.type], ["state", "", g => g.state],
      ["node", "n", g => g.node], ["lag", g => g.lag ? "n late" : "n", g => whole(g.lag)]], groups.groups, "no groups yet");
    table("transactions", [["transactional id", "", t => t.transactional_id], ["state", "", t => t.state], ["began", "", t => t.began && new Date(t.began).toLocaleString()],
      ["timeout", "n", t => whole(t.timeout_ms / 1000) + " s"], ["partitions", "n", t => whole(t.partitions)]], txns.transactions, "none");
    table("nodes", [["id", "", n => n.id + (n.self ? " (this one)" : "")], ["Kafka", "", n => n.kafka], ["HTTP", "", n => n.http || "–"], ["zone", "", n => n.zone || "–"]],
      nodes.nodes, "no nodes");
    byId("state").textContent = groups.unreachable ? "no answer from node " + groups.unreachable.join(", ") : "as of " + new Date().toLocaleTimeString();
    byId("state").className = groups.unreachable ? "late" : "soft";
  } catch (e) {
    fault(e.status === 401 ? "log in" : e.message);
    if (e.status === 401) loggedIn(null);
  }
}

byId("login").onsubmit = async event => {
  event.preventDefault();
  const {user, password, token} = event.target.elements, utf8 = new TextEncoder().encode(user.value + ":" + password.value);
  const authorization = token.value ? "Bearer " + token.value : "Basic " + btoa(String.fromCharCode(...utf8));
  password.value = token.value = "";
  try {
    await get("v1/session", {method: "POST", headers: {Authorization: authorization}});
    show();
  } catch (e) { fault(e.message) }
};
byId("in").onclick = () => { byId("login").hidden = false };
byId("out").onclick = async () => {
  const r = await ask("v1/session", {method: "DELETE"});
  await show();
  if (!r.ok) fault((await r.json()).detail);
};
show();
setInterval(() => { if (!document.hidden && byId("login").hidden) show() }, 3000);
