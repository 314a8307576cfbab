// The console logs in and out, with a cookie that no script and no other origin gets at.
import assert from "node:assert/strict";
import {once} from "node:events";
import {createServer} from "node:http";
import {test} from "node:test";
import {browse, logIn, serve} from "./harness.mjs";

const limits = {timeout: 120_000};

test("log in, look, log out, be refused", limits, async t => {
  const url = await serve(t), {page, context} = await browse(t);
  const form = page.locator("#login"), shown = page.locator(".numbers"), who = page.locator("#who");
  await page.goto(url);
  await form.waitFor();
  assert.equal(await shown.isVisible(), false, "something is shown without a login");

  await logIn(page, "wrong");
  await page.locator("#state", {hasText: "authentication failed"}).waitFor();
  assert.deepEqual(await context.cookies(), [], "a cookie for a wrong password");

  await logIn(page);
  await shown.waitFor();
  await page.locator(".numbers", {hasText: "Partitions"}).waitFor();
  assert.equal(await who.textContent(), "User:alice");
  assert.equal(await form.isVisible(), false, "the form stays");

  const cookies = await context.cookies(), [cookie] = cookies;
  assert.equal(cookies.length, 1);
  assert.deepEqual({name: cookie.name, httpOnly: cookie.httpOnly, sameSite: cookie.sameSite, secure: cookie.secure, path: cookie.path},
    {name: "firn-session", httpOnly: true, sameSite: "Strict", secure: false, path: "/"});
  assert.ok(cookie.expires - Date.now() / 1000 <= 3600, "the cookie lasts longer than an hour");
  assert.equal(await page.evaluate(() => document.cookie), "", "a script sees the cookie");
  assert.equal(await page.locator("input[name=password]").count(), 0, "the password stays on the page");

  await page.reload();
  await who.filter({hasText: "User:alice"}).waitFor();

  await page.locator("#out").click();
  await form.waitFor();
  await shown.waitFor({state: "hidden"});
  assert.deepEqual(await context.cookies(), [], "the cookie is still there");
  await context.addCookies([cookie]); // as somebody would who has copied it
  const status = await page.evaluate(async () => (await fetch("v1/cluster", {headers: {"X-Requested-With": "fetch"}})).status);
  assert.equal(status, 401, "a session that was ended is good");
  await page.reload();
  await form.waitFor();
});

test("a login that ends is asked for again over the page, which stays", limits, async t => {
  const url = await serve(t), {page, context} = await browse(t), dialog = page.getByRole("dialog", {name: "Log in"});
  await page.goto(url);
  await page.locator("#login").waitFor();
  await logIn(page);
  await page.locator(".numbers").waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "H1"); // the form had the focus
  await page.goto(url + "/#/new-topic");
  await page.getByRole("textbox", {name: "Name"}).fill("orders");
  await context.clearCookies();
  await page.getByRole("button", {name: "Create topic"}).click();
  await dialog.waitFor();
  await dialog.getByRole("button", {name: "Cancel"}).click(); // it can wait
  await dialog.waitFor({state: "detached"});
  assert.equal(await page.getByRole("textbox", {name: "Name"}).inputValue(), "orders");
  await page.locator("#in").click();
  await dialog.waitFor();
  await logIn(page);
  await page.locator("#who", {hasText: "User:alice"}).waitFor();
  await page.getByRole("button", {name: "Create topic"}).click();
  await page.getByRole("heading", {level: 1, name: "orders", exact: true}).waitFor();

  await page.getByRole("button", {name: "Delete topic …"}).click(); // over a dialog as well
  const asked = page.getByRole("dialog").filter({hasText: "to confirm"});
  await context.clearCookies();
  await dialog.waitFor(); // the page asks again by itself
  await logIn(page);
  await dialog.waitFor({state: "detached"});
  await page.locator("#who", {hasText: "User:alice"}).waitFor();
  await asked.getByLabel("Type orders to confirm").fill("orders");
  await asked.getByRole("button", {name: "Delete topic"}).click();
  await page.getByRole("heading", {level: 1, name: "Topics"}).waitFor();
  assert.deepEqual(page.faults, []);
});

test("over https the cookie is Secure, and bound to the host", limits, async t => {
  const url = await serve(t, {https: true}), {page, context} = await browse(t);
  await page.goto(url);
  await page.locator("#login").waitFor();
  await logIn(page);
  await page.locator(".numbers", {hasText: "Partitions"}).waitFor();
  const [cookie] = await context.cookies();
  assert.deepEqual({name: cookie.name, httpOnly: cookie.httpOnly, sameSite: cookie.sameSite, secure: cookie.secure},
    {name: "__Host-firn-session", httpOnly: true, sameSite: "Strict", secure: true});
});

test("a page of another origin changes nothing and learns nothing", limits, async t => {
  const url = await serve(t), {page, context} = await browse(t);
  const other = createServer((_, w) => w.writeHead(200, {"Content-Type": "text/html"}).end("<title>other</title>")).listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  await page.goto(url);
  await page.locator("#login").waitFor();
  await logIn(page);
  await page.locator("#who", {hasText: "User:alice"}).waitFor();

  const stranger = await context.newPage(); // the same site, so that the browser sends the cookie
  await stranger.goto("http://127.0.0.1:" + other.address().port);
  const answers = ["/v1/topics", "/v1/session"].map(path => stranger.waitForResponse(url + path));
  const seen = await stranger.evaluate(async url => {
    await fetch(url + "/v1/topics", {method: "POST", mode: "no-cors", credentials: "include", body: '{"name": "theirs"}'});
    await fetch(url + "/v1/session", {mode: "no-cors", credentials: "include"});
    try { return await (await fetch(url + "/v1/cluster", {credentials: "include"})).text() } catch { return "nothing" }
  }, url);
  assert.equal(seen, "nothing");
  assert.deepEqual((await Promise.all(answers)).map(r => r.status()), [403, 403]);
  await page.reload();
  await page.locator("#who", {hasText: "User:alice"}).waitFor();
});
