// Every page, on a phone and on a desk, by day and by night: axe-core finds nothing, nothing is wider than the screen, and no script
// fails. SHOTS=DIR keeps a picture of each.
import assert from "node:assert/strict";
import {mkdirSync} from "node:fs";
import {test} from "node:test";
import {fill, flags} from "./example.mjs";
import {browse, start, violations} from "./harness.mjs";

export const pages = {
  cluster: "", topics: "topics", "new-topic": "new-topic", topic: "topics/orders", messages: "topics/orders/messages", "topic-search": "topics?contains=click",
  search: "topics/orders/messages?key=order-1007", bytes: "topics/customers/messages", produce: "topics/orders/produce", configs: "topics/orders/configs", clients: "topics/orders/clients",
  groups: "groups", group: "groups/billing", members: "groups/search-indexer", claims: "groups/invoices-lambda", transactions: "transactions", users: "users", acls: "acls", nowhere: "nowhere",
};
const shots = process.env.SHOTS;

test("every page, at 360, 375 and 1440 px, light and dark", {timeout: 300_000}, async t => {
  const server = await start(t, ...flags);
  await fill(t, server);
  if (shots) mkdirSync(shots, {recursive: true});
  const {browser} = await browse(t), wrong = [];
  for (const colorScheme of ["light", "dark"]) for (const width of [375, 1440]) {
    const context = await browser.newContext({colorScheme, viewport: {width, height: width < 400 ? 812 : 900}}), page = await context.newPage();
    page.on("pageerror", e => wrong.push(String(e)));
    page.on("console", m => { if (m.type() === "error") wrong.push(m.text()) });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto("about:blank"); // so that nothing of the page before is waited for
      await page.goto(`${server.url}/#/${path}`);
      await page.locator(name === "nowhere" ? "text=There is no such page" : "h1").first().waitFor();
      await page.locator("text=Loading …").waitFor({state: "detached"});
      if (name === "cluster") await page.locator(".plot path.c0[d*=M]").first().waitFor({state: "attached"});
      if (name === "search" || name === "bytes") {
        await page.locator("td button, th button").first().click();
        await page.locator(".record").waitFor();
      }
      if (name === "messages") await page.locator("tbody tr").nth(20).waitFor();
      for (const violation of await violations(page)) wrong.push(`${name}, ${width} px, ${colorScheme}: ${violation}`);
      for (const narrow of width === 375 ? [375, 360] : [width]) {
        await page.setViewportSize({width: narrow, height: 900});
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) wrong.push(`${name} is ${wide} px wider than a screen of ${narrow} px`);
      }
      await page.setViewportSize({width, height: 900});
      if (shots) await page.screenshot({path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true});
    }
    await context.close();
  }
  assert.deepEqual(wrong, []);
});
