// A newcomer's hour: create a topic, write records, find one by its key, watch a group fall behind and catch up, reset it, delete it all.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {once} from "node:events";
import {test} from "node:test";
import {browse, firn, start} from "./harness.mjs";

// consume reads a topic as a member of a group, until it has read so many records.
async function consume(kafka, topic, group, count) {
  const reader = spawn(firn, ["consume", topic, "--bootstrap", kafka, "--group", group, "--follow", "--count", String(count)], {stdio: ["ignore", "ignore", "inherit"]});
  const [status] = await once(reader, "close");
  assert.equal(status, 0);
}

test("a newcomer's hour", {timeout: 240_000}, async t => {
  const {url, kafka} = await start(t), {page, context} = await browse(t, {viewport: {width: 1280, height: 800}});
  await context.grantPermissions(["clipboard-read", "clipboard-write"], {origin: url});
  const heading = text => page.getByRole("heading", {level: 1, name: text, exact: true}).waitFor();
  const tab = name => page.getByRole("navigation", {name: "Parts of the topic"}).getByRole("link", {name}).click();
  const says = text => page.getByRole("status").filter({hasText: text}).waitFor();
  const press = name => page.getByRole("button", {name}).click();

  await page.goto(url); // an empty cluster says what to do next
  await page.getByRole("link", {name: "Create a topic"}).click();
  await heading("New topic");
  await page.getByRole("textbox", {name: "Name"}).fill("no spaces");
  await press("Create topic");
  await page.getByRole("alert").filter({hasText: "no spaces"}).waitFor(); // and what is wrong
  await page.getByRole("textbox", {name: "Name"}).fill("orders");
  await page.getByLabel("Partitions").fill("2");
  await page.getByLabel("Records are kept").selectOption({label: "a week"});
  await press("Create topic");
  await heading("orders");
  await says("Topic orders was created, with 2 partitions.");

  await tab("Produce");
  await page.getByLabel("The value is").selectOption("json");
  await page.getByLabel("Value", {exact: true}).fill("{no json");
  await press("Write record");
  await page.getByRole("alert").filter({hasText: "is not JSON"}).waitFor();
  await page.getByLabel("Headers").fill("trace=x1");
  let written = 0;
  const write = async (key, value) => {
    await page.getByLabel("Key").fill(key);
    await page.getByLabel("Value", {exact: true}).fill(JSON.stringify(value));
    const answer = page.waitForResponse(r => r.request().method() === "POST" && r.url().endsWith("/records"));
    await press("Write record");
    assert.equal((await answer).status(), 200);
    written++;
  };
  for (const [i, key] of ["anna", "bjorn", "chloe", "anna"].entries()) await write(key, {order: i, items: [{sku: "A-1"}]});
  await says("Written to partition");

  await tab("Messages");
  await page.getByText("4 of 4 records in 2 partitions").waitFor();
  await page.getByLabel("Key is").fill("anna");
  await press("Search");
  await page.getByText("2 records found; 4 records of 4").waitFor();
  await page.getByRole("rowheader").getByRole("button").first().click();
  await page.locator(".json").getByText('"A-1"').waitFor();
  await press("Copy as kcat");
  await says("Copied.");
  const kcat = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(kcat, new RegExp(`^kcat -b ${kafka.replaceAll(".", "\\.")} -C -t orders -p [01] -o \\d+ -c 1`));
  await press("Copy as curl");
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("curl"));
  const [, address] = (await page.evaluate(() => navigator.clipboard.readText())).match(/^curl '(.*)'$/);
  assert.equal((await (await fetch(address)).json()).records[0].key, "anna");


  await consume(kafka, "orders", "billing", written); // a group reads all
  await page.goto(url + "/#/groups");
  await page.getByRole("link", {name: "billing"}).click();
  await heading("billing");
  const lag = n => page.locator(".numbers div", {hasText: "Lag"}).filter({hasText: new RegExp(`Lag${n}records`)}).waitFor();
  await lag(0);
  await page.goto(url + "/#/topics/orders/produce"); // falls behind
  await page.getByLabel("The value is").selectOption("json");
  for (let i = 0; i < 5; i++) await write("anna", {more: i});
  await page.goto(url + "/#/groups/billing");
  await lag(5);
  const reading = consume(kafka, "orders", "billing", 5);
  await lag(0); // and catches up, which the page shows by itself
  await reading;

  await page.locator("button:enabled", {hasText: "Reset offsets …"}).click();
  await page.getByLabel("Read on from").selectOption({label: "the first record"});
  const preview = page.getByRole("region", {name: "What would change"}), partitions = page.getByLabel("Partitions", {exact: true});
  await partitions.fill("all");
  await press("Preview");
  await page.getByRole("alert").filter({hasText: "is no partition"}).waitFor();
  await partitions.fill("0-1");
  await press("Preview");
  await preview.getByText("again").first().waitFor();
  await partitions.fill(""); // what was shown is not what would be done any more
  await preview.waitFor({state: "detached"});
  await press("Preview");
  await preview.getByText("again").first().waitFor();
  await lag(0); // nothing is changed yet
  await page.getByRole("button", {name: "Reset offsets", exact: true}).click();
  await says("billing reads 2 partitions of orders from another place.");
  await lag(9);

  await press("Delete group …");
  const dialog = page.getByRole("dialog");
  assert.ok(await dialog.getByRole("button", {name: "Delete group"}).isDisabled(), "a group can be deleted without its name");
  await dialog.getByLabel("Type billing to confirm").fill("billing");
  await dialog.getByRole("button", {name: "Delete group"}).click();
  await heading("Groups");
  await page.getByText("There are no groups yet.").waitFor();

  await page.goto(url + "/#/topics/orders/configs");
  await page.getByRole("button", {name: "Change max.message.bytes"}).click();
  await dialog.getByLabel("Value").fill("2000000");
  await dialog.getByRole("button", {name: "Save"}).click();
  await page.getByRole("row", {name: "max.message.bytes set here"}).waitFor();
  await tab("Overview");
  await press("Delete topic …");
  await dialog.getByLabel("Type orders to confirm").fill("orders");
  await dialog.getByRole("button", {name: "Delete topic"}).click();
  await heading("Topics");
  await page.getByText("There are no topics yet").waitFor();
  assert.deepEqual(page.faults, []);
});

test("records are followed as they come", {timeout: 120_000}, async t => {
  const {url} = await start(t), {page} = await browse(t);
  const post = (path, body) => fetch(url + path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  await post("/v1/topics", {name: "orders", partitions: 3});
  await page.goto(url + "/#/topics/orders/messages");
  let broken = 0;
  await page.route(/\/tail/, route => broken++ ? route.continue() : route.abort()); // once
  const tail = page.waitForResponse(r => r.url().includes("/tail"));
  await page.getByRole("button", {name: "Follow"}).click();
  await tail;
  await post("/v1/topics/orders/records", [{key: "a", value: "one"}, {key: "b", value: "two"}]);
  await page.getByText("Following: 2 records").waitFor();
  await page.getByRole("cell", {name: "two"}).waitFor();
  await page.getByRole("rowheader").getByRole("button").first().click(); // it is read whole
  await page.getByRole("button", {name: "Copy value"}).waitFor();
  await page.getByRole("button", {name: "Stop following"}).click();
  const again = page.waitForResponse(r => r.url().includes("/tail"));
  await page.getByRole("button", {name: "Follow", exact: true}).click();
  await again;
  await fetch(url + "/v1/topics/orders", {method: "DELETE"});
  await page.getByRole("alert").filter({hasText: "was deleted"}).waitFor(); // and why it ends
  await page.getByRole("button", {name: "Follow", exact: true}).waitFor();
  assert.deepEqual(page.faults, []);
});
