// What tests of the console share: a server of their own and a browser. `make test-browser` says where both are (FIRN,
// CHROMIUM); each file that is called *.test.mjs is run.
import {execFileSync, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {chromium} from "playwright-core";

export const firn = process.env.FIRN || "firn";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// start starts a server with some flags more, until the test ends. It returns where it serves HTTP and Kafka.
export async function start(t, ...flags) {
  const dir = mkdtempSync(join(tmpdir(), "firn-browser-"));
  const server = spawn(firn, ["serve", "--store", join(dir, "bucket"), "--kafka-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", ...flags]), ended = once(server, "close");
  t.after(async () => { server.kill(); await ended; rmSync(dir, {recursive: true}) });
  let said = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", text => { said += text });
  for (;;) { // until it says where it serves; a server that cannot ends
    const http = said.match(/HTTP +(https?:\/\/\S+)/), kafka = said.match(/Kafka +(\S+:\d+)/);
    if (http && kafka) return {url: http[1], kafka: kafka[1]};
    await Promise.race([once(server.stdout, "data"), once(server.stderr, "data"), ended]);
    if (server.exitCode !== null) throw new Error("firn serve ended: " + said);
  }
}

// serve starts a server on which alice logs in with the password "pencil". It returns its URL.
export async function serve(t, {https = false, more = []} = {}) {
  const dir = mkdtempSync(join(tmpdir(), "firn-browser-")), at = name => join(dir, name);
  t.after(() => rmSync(dir, {recursive: true}));
  writeFileSync(at("users"), execFileSync(firn, ["user", "hash", "alice"], {input: "pencil"}));
  const flags = ["--http-auth", "required", "--users-file", at("users"), ...more];
  if (https) {
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
      "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", at("key.pem"), "-out", at("cert.pem")], {stdio: "pipe"});
    flags.push("--https", "--tls-cert", at("cert.pem"), "--tls-key", at("key.pem"));
  }
  return (await start(t, ...flags)).url;
}

// browse opens a browser that knows nothing, until the test ends. It returns a page and its context, which has the cookies.
export async function browse(t, options = {}) {
  const browser = await chromium.launch({executablePath: process.env.CHROMIUM || "/usr/bin/chromium"});
  t.after(() => browser.close());
  const context = await browser.newContext({ignoreHTTPSErrors: true, ...options}), page = await context.newPage();
  page.faults = [];
  page.on("pageerror", e => page.faults.push(String(e)));
  page.on("console", m => { if (m.type() === "error" && !m.text().includes("Failed to load resource")) page.faults.push(m.text()) });
  return {page, context, browser};
}

// logIn fills in the form.
export async function logIn(page, password = "pencil", user = "alice") {
  await page.getByLabel("User", {exact: true}).fill(user);
  await page.getByLabel("Password", {exact: true}).fill(password);
  await page.locator("#login > button").click();
}

// violations are what axe-core finds on a page, in words.
export async function violations(page) {
  await page.evaluate(axe);
  const {violations: found} = await page.evaluate(() => globalThis.axe.run(document, {resultTypes: ["violations"]}));
  return found.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => `${n.target} ${n.failureSummary}`).join("; ")}`);
}

// ask sends a request to the API.
export async function ask(url, method, path, body) {
  const r = await fetch(url + path, {method, headers: {"Content-Type": "application/json"}, body: body && JSON.stringify(body)});
  if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${await r.text()}`);
  return r.status === 204 ? null : r.json();
}
