// A cluster with something on it: topics with records, groups that are behind, a claim, users and ACLs.
import {spawn} from "node:child_process";
import {once} from "node:events";
import {ask, firn} from "./harness.mjs";

// begin is the timestamp of the first record, so that pictures of the same state are alike.
const begin = Date.UTC(2026, 10, 30, 9, 15);

// flags are what the server needs to have ACLs, with everybody a super user.
export const flags = ["--authorizer", "acl", "--super-users", "User:ANONYMOUS", "--http-auth", "none"];

export async function fill(t, {url, kafka}) {
  for (const [name, partitions, configs] of [["orders", 6, {"retention.ms": "1209600000"}], ["payments", 3, {}], ["clickstream.web.eu-central-1.page-views.v2", 12, {"retention.ms": "86400000"}],
    ["customers", 3, {"cleanup.policy": "compact"}], ["audit", 1, {"retention.ms": "-1"}]]) await ask(url, "POST", "/v1/topics", {name, partitions, configs});
  const states = ["placed", "paid", "packed", "shipped"];
  const records = Array.from({length: 400}, (_, i) => ({key: `order-${1000 + i % 90}`, headers: {trace: `t-${i}`, source: "shop"}, timestamp: begin + i * 1700,
    value: {order: 1000 + i % 90, state: states[i % 4], customer: {name: ["Anna", "Björn", "Chloé", "Dmitri"][i % 4], city: ["Graz", "Malmö", "Lyon", "Riga"][i % 4]}, items: [{sku: `A-${i % 17}`, amount: 1 + i % 3, price: 19.9}], total: 19.9 * (1 + i % 3)}}));
  await ask(url, "POST", "/v1/topics/orders/records", records);
  await ask(url, "POST", "/v1/topics/payments/records", records.slice(0, 120).map(r => ({key: r.key, timestamp: r.timestamp, value: {paid: r.value.total}})));
  await ask(url, "POST", "/v1/topics/clickstream.web.eu-central-1.page-views.v2/records", records.map((r, i) => ({timestamp: r.timestamp, value: `GET /product/${i % 50} 200`})));
  await ask(url, "POST", "/v1/topics/customers/records", [{key: "anna", value: {base64: "AP8QIP7+AAE="}, timestamp: begin}, {key: "bjorn", value: null, timestamp: begin + 1000}]);
  for (const [group, offsets] of [["billing", [61, 40, 55, 70, 10, 0]], ["warehouse.picking", [20, 20, 20, 20, 20, 20]]]) await commit(url, group, "orders", offsets);
  for (const user of ["alice", "billing"]) await ask(url, "PUT", `/v1/users/${user}`, {password: "pencil-" + user});
  await ask(url, "POST", "/v1/acls", {acls: [{resource_type: "Topic", resource_name: "orders", principal: "User:billing", operation: "Read"}, {resource_type: "Group", resource_name: "billing", principal: "User:billing", operation: "Read"},
    {resource_type: "Topic", resource_name: "clickstream.", pattern_type: "Prefixed", principal: "User:alice", operation: "All"}, {resource_type: "Topic", resource_name: "audit", principal: "User:*", operation: "Delete", permission: "Deny"}]});
  await ask(url, "POST", "/v1/groups/invoices-lambda/claims", {holder: "worker-1", topics: ["payments"], max: 2, ttl: 600});
  const reader = spawn(firn, ["consume", "orders", "--bootstrap", kafka, "--group", "search-indexer", "--follow"], {stdio: ["ignore", "pipe", "inherit"]}), ended = once(reader, "close");
  t.after(async () => { reader.kill(); await ended });
  await once(reader.stdout, "data");
}

// commit sets from where a group reads a topic on, partition by partition.
export async function commit(url, group, topic, offsets) {
  const {claims} = await ask(url, "POST", `/v1/groups/${group}/claims`, {holder: "worker", topics: [topic], max: offsets.length, ttl: 60});
  const {partition_list: partitions} = await ask(url, "GET", `/v1/topics/${topic}`);
  await ask(url, "POST", `/v1/groups/${group}/claims/commit`, {holder: "worker",
    claims: claims.map(c => ({topic, partition: c.partition, epoch: c.epoch, offset: Math.min(offsets[c.partition], partitions[c.partition].high_watermark), release: true}))});
}
