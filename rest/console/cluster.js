// cluster is the first page: the nodes, what they depend on, and what they did in the last hour.
import {h} from "./dom.js";
import {get} from "./api.js";
import {ago, bytes, bytesPerSecond, dollars, duration, millis, perSecond, whole} from "./format.js";
import {badge, empty, heading, link, numbers, section, table} from "./parts.js";
import {most, plot, sum} from "./plot.js";

const maxProducers = 10; // those that send most requests

// dependencies are those that fail, or that none does.
function dependencies(list) {
  const failing = list.filter(d => d.failing_since);
  if (failing.length) return failing.map(d => badge(d.name, "bad"));
  return list.length ? [badge(`all ${list.length} work`, "good"), h("small", {class: "minor"}, list.map(d => d.name).join(", "))] : "–";
}

export function cluster() {
  let info, nodes, history, txns, producers;
  const latest = values => values?.at(-1);
  return {
    title: "Cluster", every: 5000,
    load: async signal => {
      [info, {nodes}, history, txns, {producers}] = await Promise.all([get("/v1/cluster", {}, {signal}), get("/v1/nodes", {}, {signal}),
        get("/v1/cluster/history", {}, {signal}), get("/v1/transactions", {}, {query: {limit: 1}, signal}), get("/v1/producers", {}, {signal})]);
    },
    view: () => {
      const all = history.nodes, one = all.find(n => n.node === info.node) || all[0], of = name => sum(all.map(n => n.series[name] || n.times.map(() => null))), worst = name => most(all.map(n => n.series[name] || []));
      const longest = all.reduce((a, b) => b.times.length > a.times.length ? b : a, {times: []}).times;
      const draw = (title, series, format, note) => plot({title, times: longest, series, format, note});
      const failing = all.flatMap(n => n.dependencies.filter(d => d.failing_since).map(d => ({...d, node: n.node})));
      const hour = of("dollars_per_hour"), complete = hour.filter(v => v !== null), average = complete.reduce((a, b) => a + b, 0) / complete.length;
      const state = failing.length ? badge(`${failing.length} failing`, "bad") : history.unreachable ? badge("a node is silent", "bad") : badge("healthy", "good");
      return [heading("Cluster", state),
        failing.map(d => h("div", {class: "problem", role: "alert", key: d.node + d.name}, h("strong", {}, `Node ${d.node}: ${d.name} has failed since ${ago(d.failing_since)}. `), d.error)),
        history.unreachable ? h("div", {class: "problem", role: "alert", key: "silent"}, `No answer from node ${history.unreachable.join(", ")}: its numbers are missing.`) : null,
        numbers([["Topics", whole(info.topics)], ["Partitions", whole(info.partitions)], ["Records", whole(info.records)], ["In the bucket", bytes(info.bytes)],
          ["Groups", whole(info.groups)], ["Nodes", whole(info.nodes)]]),
        info.topics ? null : empty(h("p", {}, "Nothing is here yet. "), link("#/new-topic", "Create a topic"), ", or let a Kafka client write to ", h("code", {}, nodes.find(n => n.self)?.kafka || "this node"), "."),
        section("The last hour",
          longest.length ? null : h("p", {class: "soft", key: "soon"}, "Nodes remember an hour from when they start; the first sample comes in a few seconds."),
          h("div", {class: "plots"},
            draw("Records written", [{name: "records", values: one.series.records_per_second || []}], perSecond),
            draw("Throughput of Kafka clients", [{name: "in", values: of("bytes_in_per_second")}, {name: "out", values: of("bytes_out_per_second")}], bytesPerSecond),
            draw("Time until a write is durable", ["p50", "p99", "p999"].map(q => ({name: q.replace("p999", "p99.9"), values: worst(`write_${q}_ms`)})), millis, "slowest node"),
            draw("Requests to the bucket", [{name: "put", values: of("puts_per_second")}, {name: "get", values: of("gets_per_second")}, {name: "list", values: of("lists_per_second")}, {name: "delete", values: of("deletes_per_second")}], perSecond),
            draw("Time of bucket requests, p99", [{name: "put", values: worst("put_p99_ms")}, {name: "get", values: worst("get_p99_ms")}], millis, "slowest node"),
            draw("Dollars for requests", [{name: "an hour", values: hour}], dollars, complete.length ? `${dollars(average * 730)} a month at this hour's pace` : ""),
            draw("Merge backlog", [{name: "to merge", values: of("backlog_bytes")}], bytes, `oldest ${duration(1000 * (latest(worst("backlog_seconds")) || 0))}`),
            draw("Requests of clients", [{name: "Kafka", values: of("kafka_requests_per_second")}, {name: "HTTP", values: of("http_requests_per_second")}], perSecond)),
          h("p", {class: "soft small", key: "prices"}, "From the memory of the nodes. Dollars are at the list prices of S3 Standard in us-east-1: requests alone, not what is stored.")),
        section("Nodes", table({caption: "Nodes", rows: nodes, key: n => n.id, columns: [
          {head: "Node", name: "id", cell: n => [String(n.id), n.self ? " " : "", n.self ? badge("answers this page") : null]},
          {head: "Kafka", cell: n => h("code", {class: "address"}, n.kafka)}, {head: "HTTP", minor: true, cell: n => h("code", {class: "address"}, n.http || "–")}, {head: "Zone", minor: true, cell: n => n.zone || "–"},
          {head: "Connections", num: true, minor: true, cell: n => whole(latest(all.find(o => o.node === n.id)?.series.connections))},
          {head: "Depends on", cell: n => dependencies(all.find(o => o.node === n.id)?.dependencies || [])},
        ]})),
        producers.length ? section("Producers of this node", table({caption: "Producers of this node, in the last minutes", rows: producers.slice(0, maxProducers), key: p => p.client_id, columns: [
          {head: "Client id", name: true, cell: p => p.client_id || "(none)"}, {head: "Requests", num: true, cell: p => perSecond(p.requests / p.seconds)},
          {head: "Records in a request", num: true, minor: true, cell: p => whole(Math.round(p.records / p.requests))}, {head: "Bytes", num: true, minor: true, cell: p => bytesPerSecond(p.bytes / p.seconds)},
          {head: "Would cost less with", cell: p => p.advice?.length ? p.advice.map(a => h("div", {key: a.config}, h("code", {}, a.config), ": ", a.text)) : h("span", {class: "soft"}, "nothing else")},
        ]})) : null,
        txns.transactions.length ? h("p", {key: "txns"}, link("#/transactions", "Transactions are open"), `; the oldest began ${ago(txns.transactions[0].began)}.`) : null];
    },
  };
}
