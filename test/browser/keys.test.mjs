// By keyboard alone; focus and selection stay while the page refreshes; and what others have named or written is text and nothing else.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {test} from "node:test";
import {flags} from "./example.mjs";
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

test("a name with line ends and two spaces can be typed", limits, async t => {
  const {url} = await start(t), {page} = await browse(t), name = "two  spaces\nand a line";
  await ask(url, "POST", "/v1/topics", {name: "orders", partitions: 1});
  await ask(url, "POST", `/v1/groups/${encodeURIComponent(name)}/reset`, {topic: "orders", to: "earliest"});
  await page.goto(`${url}/#/groups/${encodeURIComponent(name)}`);
  await page.getByRole("button", {name: "Delete group …"}).click();
  await page.getByRole("dialog").getByRole("textbox").fill(name);
  await page.getByRole("button", {name: "Delete group", exact: true}).click();
  await page.getByText("There are no groups yet.").waitFor();
  assert.deepEqual(page.faults, []);
});

test("equal keys lose no row", limits, async t => {
  const {url} = await start(t), {page} = await browse(t);
  await page.goto(url);
  await page.getByRole("heading", {name: "Nodes"}).waitFor();
  const texts = await page.evaluate(async () => {
    const {h, patch} = await import("./console/dom.js"), list = document.createElement("ul"), row = text => h("li", {key: "one"}, text);
    return [["a", "b"], ["a", "b", "c"], ["b"], ["c", "d"]].map(rows => { patch(list, rows.map(row)); return [...list.children].map(e => e.textContent).join("") });
  });
  assert.deepEqual(texts, ["ab", "abc", "b", "cd"]);
});

test("ACLs that differ in their pattern or host alone stay", limits, async t => {
  const {url} = await start(t, ...flags), {page} = await browse(t), acl = {resource_type: "Topic", resource_name: "orders", principal: "User:alice", operation: "Read"};
  await ask(url, "POST", "/v1/acls", {acls: [acl, {...acl, pattern_type: "Prefixed"}, {...acl, host: "10.0.0.1"}]});
  await page.goto(url + "/#/acls");
  await page.locator("tbody tr").nth(2).waitFor();
  await page.getByRole("button", {name: "New ACL …"}).click(); // whose end asks again
  await page.getByLabel("Principal", {exact: true}).last().fill("User:bob");
  await page.getByLabel("Name", {exact: true}).fill("orders");
  await page.getByRole("button", {name: "Create"}).click();
  await page.locator("tbody tr").nth(3).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 4);
  await page.getByRole("row", {name: "10.0.0.1"}).getByRole("button").click();
  await page.getByRole("dialog").getByText("from host 10.0.0.1").waitFor();
  assert.deepEqual(page.faults, []);
});

test("typing leaves no entries in the history, and the page stays", limits, async t => {
  const {url} = await start(t), {page} = await browse(t);
  for (const name of ["audit", "orders"]) await ask(url, "POST", "/v1/topics", {name, partitions: 1});
  await page.goto(url + "/#/topics");
  await page.getByRole("link", {name: "orders"}).waitFor();
  await page.evaluate(() => { // the form must not go while answers are on their way
    globalThis.gone = 0;
    const part = document.getElementById("part");
    new MutationObserver(() => { if (!part.isConnected) gone++ }).observe(document.body, {childList: true, subtree: true});
  });
  const entries = await page.evaluate(() => history.length), held = [], answers = /\/v1\/topics\?/;
  await page.route(answers, route => { held.push(route) }); // no answer comes
  for (const text of ["o", "or", "ord"]) {
    await page.locator("#part").fill(text);
    await page.waitForURL(new RegExp(`contains=${text}$`));
  }
  await page.unroute(answers);
  await page.locator("#part").fill("orde");
  await page.getByText("1 topic found").waitFor();
  assert.equal(await page.evaluate(() => gone), 0, "the form went");
  assert.equal(await page.evaluate(() => history.length), entries);
  await page.goto(url + "/#/topics/100%");
  await page.getByRole("alert").waitFor();
  assert.deepEqual(page.faults, []);
});

test("what is copied does what it says, whatever is in it", limits, async t => {
  const {url} = await start(t), {page, context} = await browse(t), evil = "it's $(touch owned) `id`";
  await context.grantPermissions(["clipboard-read", "clipboard-write"], {origin: url});
  const copied = async (name, start) => {
    await page.evaluate(() => navigator.clipboard.writeText(""));
    await page.getByRole("button", {name}).click();
    await page.waitForFunction(async start => (await navigator.clipboard.readText()).startsWith(start), start);
    return page.evaluate(() => navigator.clipboard.readText());
  };
  // words are those that a shell makes of a line
  const words = line => execFileSync("sh", ["-c", `set -- ${line}; printf '%s\\0' "$@"`], {encoding: "utf8"}).split("\0").slice(0, -1);
  await ask(url, "POST", "/v1/topics", {name: "orders", partitions: 1});
  await page.goto(url + "/#/topics/orders/produce");
  await page.getByLabel("Key").fill(evil);
  await page.getByLabel("The value is").selectOption("json");
  await page.getByLabel("Headers").fill("no header");
  await page.getByRole("button", {name: "Copy as curl"}).click();
  await page.getByRole("alert").filter({hasText: "not JSON"}).waitFor();
  await page.getByLabel("Value", {exact: true}).fill(`[12345678901234567890,\n"${evil}"]`);
  await page.getByRole("button", {name: "Copy as curl"}).click();
  await page.getByRole("alert").filter({hasText: "is no NAME=VALUE"}).waitFor();
  await page.getByLabel("Headers").fill("a=1\na=2");
  const [curl, address, ...options] = words(await copied("Copy as curl", "curl")), body = JSON.parse(options.at(-1));
  assert.deepEqual([curl, new URL(address).pathname, body.key, body.value], ["curl", "/v1/topics/orders/records", evil, `[12345678901234567890,\n"${evil}"]`]);
  await page.getByRole("button", {name: "Write record"}).click();
  await page.getByRole("link", {name: "Look at it"}).waitFor();
  const {records: [record]} = await ask(url, "GET", "/v1/topics/orders/partitions/0/records?from=earliest");
  assert.deepEqual([record.value, record.headers.map(x => x.value)], [body.value, ["1", "2"]]);
  await page.getByRole("link", {name: "Look at it"}).click();
  await page.getByRole("rowheader").getByRole("button").first().click();
  await page.locator(".json").getByText("12345678901234567890").waitFor(); // with all its digits
  assert.equal((await (await fetch(words(await copied("Copy as curl", "curl"))[1])).json()).records[0].key, evil);
  assert.equal(words(await copied("Copy as kcat", "kcat")).at(-1), "%T %k %h %s\\n");
  assert.equal(JSON.parse(await copied("Copy as JSON", "{")).value, body.value);
  assert.equal(await copied("Copy value", "[123"), body.value);
  assert.deepEqual(page.faults, []);
});

test("a record nested ten thousand times breaks nothing", limits, async t => {
  const {url} = await start(t), {page} = await browse(t);
  await ask(url, "POST", "/v1/topics", {name: "orders", partitions: 1});
  await ask(url, "POST", "/v1/topics/orders/records", [{value: "[".repeat(10_000) + "]".repeat(10_000)}]);
  await page.goto(url + "/#/topics/orders/messages");
  await page.getByRole("rowheader").getByRole("button").first().click();
  await page.locator(".record .value").waitFor();
  await page.getByRole("link", {name: "Produce"}).click();
  await page.getByLabel("Headers").waitFor();
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
