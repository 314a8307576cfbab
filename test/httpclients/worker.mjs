// Works through a topic as a member of no group session: claims partitions, works on their records, commits, and ends when nothing is left.
//
//     node worker.mjs http://127.0.0.1:8080 GROUP TOPIC
//
// Node's own fetch is all it needs. As many of them as you like may run at once, each on partitions of its own.
import {randomUUID} from "node:crypto";

const [base, group, topic] = process.argv.slice(2);
const holder = `node-${randomUUID()}`; // no two that are at work may have the same name

async function post(path, body) {
  const response = await fetch(`${base}/v1/groups/${group}/claims${path}`,
    {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail), {status: response.status});
  return answer.claims;
}

function work(partition, record) {
  console.log(partition, record.offset, record.value);
}

for (let busy = true; busy;) {
  // One round trip: the partitions with the most to do, where the group is in each, and the next records of each.
  const claims = await post("?read=1000000", {holder, topics: [topic], max: 4, ttl: 60});
  const done = [];
  busy = false;
  for (const {topic, partition, epoch, offset, read = {records: [], next_offset: offset}} of claims) {
    for (const record of read.records) work(partition, record);
    busy ||= read.records.length > 0;
    done.push({topic, partition, epoch, offset: read.next_offset, release: true});
  }
  try {
    if (done.length) await post("/commit", {holder, claims: done});
  } catch (error) {
    if (error.status !== 409) throw error; // a claim ran out before it was committed: whoever has the partition now works on those records again
  }
}
