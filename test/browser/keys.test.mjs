// By keyboard alone; focus and selection stay while the page refreshes; and what others have named or written is text and nothing else.
import assert from "node:assert/strict";
import {test} from "node:test";
import {ask, browse, logIn, serve, start} from "./harness.mjs";

const limits = {timeout: 120_000};
const focused = page => page.evaluate(() => document.activeElement.textContent || document.activeElement.id);

// refreshed waits until the page has asked for what it shows once more.
const refreshed = async (page, path) => { await page.waitForResponse(r => r.url().includes(path)); await page.waitForResponse(r => r.url().includes(path)) };

test("by keyboard alone", limits, async t => {
  const {url} = await start(t), {page} = await browse(t), key = (...keys) => keys.reduce((before, k) => before.then(() => page.keyboard.press(k)), Promise.resolve());
  await page.goto(url);
  await page.getByRole("heading", {name: "Nodes"}).waitFor();
  await key("Tab");
  assert.equal(await focused(page), "Skip to the content");
  await key("Tab", "Tab", "Tab"); // the brand, Cluster, Topics
  assert.equal(await focused(page), "Topics");
  await key("Enter");
  await page.getByRole("link", {name: "Create the first topic"}).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "H1"); // from where a screen reader reads on
  await key("Tab"); // New topic
  await key("Enter");
  await page.getByRole("textbox", {name: "Name"}).waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === "New topic");
  await key("Tab");
  await page.keyboard.type("orders");
  await key("Enter");
  await page.getByRole("heading", {level: 1, name: "orders", exact: true}).waitFor();
  await page.getByRole("button", {name: "Add partitions …"}).focus();
  await key("Enter");
  await page.getByRole("dialog").waitFor();
  assert.equal(await page.evaluate(() => document.querySelector("dialog").contains(document.activeElement)), true, "the focus is not in the dialog");
  await key("Escape");
  await page.getByRole("dialog").waitFor({state: "detached"});
  assert.equal(await focused(page), "Add partitions …", "the focus does not come back");
  await page.goto(url + "/#/topics");
  await page.getByRole("link", {name: "orders"}).waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await key("/");
  await page.keyboard.type("ord");
  await page.waitForURL(/contains=ord/);
  assert.equal(await page.locator("#part").inputValue(), "ord");
  assert.deepEqual(page.faults, []);
});

test("focus and selection stay", limits, async t => {
  const {url} = await start(t), {page} = await browse(t);
  for (const name of ["audit", "orders", "payments"]) await ask(url, "POST", "/v1/topics", {name, partitions: 1});
  await page.goto(url + "/#/topics");
  await page.getByRole("link", {name: "orders"}).focus();
  await page.evaluate(() => getSelection().selectAllChildren([...document.querySelectorAll("tbody th")].find(e => e.textContent === "payments")));
  await ask(url, "DELETE", "/v1/topics/audit"); // a row before it goes,
  await ask(url, "POST", "/v1/topics", {name: "aaa", partitions: 1}); // and one comes
  await page.getByRole("link", {name: "aaa"}).waitFor();
  await refreshed(page, "/v1/topics");
  assert.equal(await focused(page), "orders");
  assert.equal(await page.evaluate(() => String(getSelection())), "payments");
  assert.deepEqual(page.faults, []);
});

test("names and records are text", limits, async t => {
  const {url} = await start(t), {page} = await browse(t), evil = `<img src=x onerror="owned=1">'"</script><script>owned=1</script>/../?#%41`;
  await ask(url, "POST", "/v1/topics", {name: "orders", partitions: 1});
  await ask(url, "POST", "/v1/topics/orders/records", [{key: evil, value: {[evil]: [evil]}, headers: {[evil]: evil}}, {key: {base64: "/wA8"}, value: evil}]);
  await ask(url, "POST", `/v1/groups/${encodeURIComponent(evil)}/reset`, {topic: "orders", to: "earliest"});
  await page.goto(url + "/#/topics/orders/messages");
  await page.getByRole("rowheader").getByRole("button").last().click();
  await page.locator(".json").getByText(JSON.stringify(evil)).waitFor();
  await page.getByRole("button", {name: "Hex"}).click();
  await page.goto(url + "/#/groups");
  await page.getByRole("link", {name: evil}).click();
  await page.getByRole("heading", {level: 1, name: evil}).waitFor();
  await page.getByText("orders").first().waitFor();
  await page.goto(url + "/#/topics?contains=" + encodeURIComponent(evil));
  await page.getByText("No topic has").waitFor();
  assert.equal(await page.evaluate(() => globalThis.owned), undefined);
  assert.equal(await page.locator("main img, main script").count(), 0);
  assert.deepEqual(page.faults, []);
});

test("who may not see something is told what to do", limits, async t => {
  const {page} = await browse(t), url = await serve(t, {more: ["--authorizer", "acl", "--super-users", "User:root"]});
  await page.goto(url);
  await page.locator("#login").waitFor();
  await logIn(page);
  await page.getByRole("alert").filter({hasText: "User:alice has no permission: Describe on the cluster"}).filter({hasText: "on the page Security"}).waitFor();
  await page.getByRole("link", {name: "Topics"}).click();
  await page.getByText("or none that you may see").waitFor();
});
