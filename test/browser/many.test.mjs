// 10,000 topics and 2,000 groups: they are searched and paged, and each is found. How long the browser was busy at once is told, not
// judged: machines differ.
import assert from "node:assert/strict";
import {test} from "node:test";
import {ask, browse, start} from "./harness.mjs";

const topics = Number(process.env.TOPICS || 10_000), groups = Number(process.env.GROUPS || 2_000);

// all does something for each number below n, so many at once.
async function all(n, atOnce, each) {
  let next = 0;
  await Promise.all(Array.from({length: atOnce}, async () => { while (next < n) await each(next++) }));
}

test("10,000 topics and 2,000 groups", {timeout: 600_000}, async t => {
  const {url} = await start(t), {page} = await browse(t, {viewport: {width: 1440, height: 900}}), name = i => `topic-${String(i).padStart(5, "0")}`;
  await all(topics, 64, i => ask(url, "POST", "/v1/topics", {name: name(i), partitions: 1}));
  await all(groups, 64, i => ask(url, "POST", `/v1/groups/group-${String(i).padStart(4, "0")}/reset`, {topic: name(i), to: "earliest"}));
  await page.addInitScript(() => {
    globalThis.longest = {task: 0, frame: 0};
    new PerformanceObserver(list => { for (const e of list.getEntries()) longest.task = Math.max(longest.task, e.duration) }).observe({type: "longtask", buffered: true});
    let last = performance.now();
    const frame = now => { longest.frame = Math.max(longest.frame, now - last); last = now; requestAnimationFrame(frame) };
    requestAnimationFrame(frame);
  });
  await page.goto(url + "/#/topics");
  await page.getByText(`${topics.toLocaleString("en")} topics`).waitFor();
  const began = Date.now();
  for (let pages = 0; pages < 10; pages++) {
    const before = await page.locator("tbody th").first().textContent();
    await page.getByRole("link", {name: "Next page"}).click();
    await page.waitForFunction(before => document.querySelector("tbody th").textContent !== before, before);
  }
  const paged = Date.now() - began;
  await page.keyboard.press("/");
  await page.keyboard.type(name(topics - 7), {delay: 20});
  await page.getByText("1 topic found").waitFor();
  await page.goto(url + "/#/groups");
  await page.getByText(`${groups.toLocaleString("en")} groups`).waitFor();
  await page.getByLabel("Search groups").fill("group-1999".slice(0, groups >= 2000 ? 10 : 7));
  await page.getByText("found").waitFor();
  await page.goto(url + "/#/");
  await page.getByText("The last hour").waitFor();
  assert.equal(await page.locator(".numbers dd").first().textContent(), topics.toLocaleString("en"));
  const {task, frame} = await page.evaluate(() => longest);
  t.diagnostic(`ten pages in ${paged} ms; the longest task took ${Math.round(task)} ms, the longest frame ${Math.round(frame)} ms`);
  assert.deepEqual(page.faults, []);
});
