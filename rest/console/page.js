"use strict";
const byId = id => document.getElementById(id);
const whole = n => n.toLocaleString();
const size = n => { let u = 0; while (n >= 1024 && u < 5) { n /= 1024; u++ } return (u ? n.toFixed(1) : n) + " " + ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][u] };
const get = async path => { const r = await fetch(path, {headers: {Accept: "application/json"}}); const body = await r.json(); if (!r.ok) throw new Error(body.detail || r.status); return body };

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

async function show() {
  try {
    const [cluster, topics, groups, nodes] = await Promise.all([get("v1/cluster"), get("v1/topics?limit=200"), get("v1/groups?limit=200"), get("v1/nodes")]);
    byId("cluster").textContent = "cluster " + cluster.cluster_id;
    byId("numbers").replaceChildren(...[["topics", whole(cluster.topics)], ["partitions", whole(cluster.partitions)], ["records", whole(cluster.records)],
      ["in the bucket", size(cluster.bytes)], ["groups", whole(cluster.groups)], ["nodes", whole(cluster.nodes)]].map(([name, n]) => {
        const card = element("div", name, "soft"); card.prepend(element("b", n)); return card }));
    table("topics", [["name", "", t => t.name, t => "v1/topics/" + encodeURIComponent(t.name)], ["partitions", "n", t => whole(t.partitions)],
      ["records", "n", t => whole(t.records)], ["size", "n", t => size(t.bytes)]], topics.topics, "no topics yet");
    table("groups", [["name", "", g => g.group, g => "v1/groups/" + encodeURIComponent(g.group)], ["type", "", g => g.type], ["state", "", g => g.state],
      ["node", "n", g => g.node], ["lag", g => g.lag ? "n late" : "n", g => whole(g.lag)]], groups.groups, "no groups yet");
    table("nodes", [["id", "", n => n.id + (n.self ? " (this one)" : "")], ["Kafka", "", n => n.kafka], ["HTTP", "", n => n.http || "–"], ["zone", "", n => n.zone || "–"]],
      nodes.nodes, "no nodes");
    byId("state").textContent = groups.unreachable ? "no answer from node " + groups.unreachable.join(", ") : "as of " + new Date().toLocaleTimeString();
    byId("state").className = groups.unreachable ? "late" : "soft";
  } catch (e) {
    byId("state").textContent = e.message;
    byId("state").className = "late";
  }
}
show();
setInterval(() => { if (!document.hidden) show() }, 3000);
