// command makes lines for a shell, to be copied.
import {url} from "./api.js";

const quoted = word => /^[\w@%+:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", `'\\''`) + "'";

// command is a line of these words, whatever is in them.
export const command = (...words) => words.map(word => quoted(String(word))).join(" ");

// curl is a line that asks the API as who has logged in, whose password curl asks for.
export function curl(session, path, names, query, ...options) {
  const login = session?.until ? ["-u", session.principal.replace(/^User:/, "")] : [];
  return command("curl", ...login, new URL(url(path, names, query), document.baseURI.split("#")[0]).href, ...options);
}
