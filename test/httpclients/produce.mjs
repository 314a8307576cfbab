// Writes the lines of standard input as records, each once, however often this is run with the same KEY within a day.
//
//     node produce.mjs http://127.0.0.1:8080 TOPIC KEY < lines
//
// Node alone is all it needs. It prints partition and offset of each record.
import { readFileSync } from 'node:fs';

const [base, topic, key] = process.argv.slice(2);

async function produce(records) {
  for (let patience = 10; ; patience--) {
    let wait = 1;
    try {
      const response = await fetch(`${base}/v1/topics/${topic}/records`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `"${key}"` },
        body: JSON.stringify(records),
        signal: AbortSignal.timeout(60_000),
      });
      if (response.ok) return (await response.json()).records;
      wait = Number(response.headers.get('Retry-After') ?? wait);
      if (!patience || ![409, 429, 503, 504].includes(response.status)) { // anything else says what is wrong with the request
        throw Object.assign(new Error(await response.text()), { final: true });
      }
    } catch (error) {
      if (error.final || !patience) throw error;
      // no answer: it may be written or not, so the same key goes with the next try
    }
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}

const lines = readFileSync(0, 'utf8').replace(/\n$/, '').split('\n');
for (const at of await produce(lines.map((value) => ({ value })))) console.log(at.partition, at.offset);
