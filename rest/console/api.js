// api asks the server that the page came from. Paths are written as in openapi.json.
import {loginEnded} from "./shell.js";

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the server answers ${status}`);
    Object.assign(this, {status, body});
  }
}

// url fills in a path and a query; what is undefined or empty is left out.
export function url(path, names = {}, query = {}) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name]));
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  return filled.slice(1) + (asked.size ? "?" + asked : "");
}

const session = "/v1/session"; // whoever asks for it takes a 401 for an answer

// send returns a response that is good. It sends requests as a page's own, so that the browser does not ask for a password before the page does.
export async function send(method, path, names, {query, body, headers, signal} = {}) {
  let r;
  try {
    r = await fetch(url(path, names, query), {method, signal, headers: {Accept: "application/json", "X-Requested-With": "fetch", ...(body === undefined ? {} : {"Content-Type": "application/json"}), ...headers},
      body: body === undefined ? undefined : JSON.stringify(body)});
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Problem(0, {detail: "The server does not answer."});
  }
  if (r.ok) return r;
  if (r.status === 401 && path !== session) loginEnded();
  throw new Problem(r.status, await r.json().catch(() => ({})));
}

async function ask(...request) {
  const r = await send(...request);
  return r.status === 204 ? {} : r.json().catch(e => { if (e.name === "AbortError") throw e; return {} });
}

export const get = (path, names, options) => ask("GET", path, names, options);
export const post = (path, names, options) => ask("POST", path, names, options);
export const put = (path, names, options) => ask("PUT", path, names, options);
export const patch = (path, names, options) => ask("PATCH", path, names, options);
export const del = (path, names, options) => ask("DELETE", path, names, options);
