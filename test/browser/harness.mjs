// What tests of the page share: a server of their own and a browser. `make test-browser` says where both are (FIRN,
// CHROMIUM); each file that is called *.test.mjs is run.
import {execFileSync, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {chromium} from "playwright-core";

const firn = process.env.FIRN || "firn";

// serve starts a server on which alice logs in with the password "pencil", until the test ends. It returns its URL.
export async function serve(t, {https = false} = {}) {
  const dir = mkdtempSync(join(tmpdir(), "firn-browser-")), at = name => join(dir, name);
  writeFileSync(at("users"), execFileSync(firn, ["user", "hash", "alice"], {input: "pencil"}));
  const args = ["serve", "--store", at("bucket"), "--kafka-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
    "--http-auth", "required", "--users-file", at("users")];
  if (https) {
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
      "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", at("key.pem"), "-out", at("cert.pem")], {stdio: "pipe"});
    args.push("--https", "--tls-cert", at("cert.pem"), "--tls-key", at("key.pem"));
  }
  const server = spawn(firn, args), ended = once(server, "close");
  t.after(async () => { server.kill(); await ended; rmSync(dir, {recursive: true}) });
  let said = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", text => { said += text });
  for (;;) { // until it says where it serves HTTP; a server that cannot ends
    const where = said.match(/HTTP +(https?:\/\/\S+)/);
    if (where) return where[1];
    await Promise.race([once(server.stdout, "data"), once(server.stderr, "data"), ended]);
    if (server.exitCode !== null) throw new Error("firn serve ended: " + said);
  }
}

// browse opens a browser that knows nothing, until the test ends. It returns a page and its context, which has the cookies.
export async function browse(t) {
  const browser = await chromium.launch({executablePath: process.env.CHROMIUM || "/usr/bin/chromium"});
  t.after(() => browser.close());
  const context = await browser.newContext({ignoreHTTPSErrors: true}), page = await context.newPage();
  return {page, context};
}

// logIn fills in the form.
export async function logIn(page, password = "pencil", user = "alice") {
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.locator("#login > button").click();
}
