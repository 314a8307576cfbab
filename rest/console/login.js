// login is the form, and who has logged in.
import {h, patch} from "./dom.js";
import {del, post} from "./api.js";
import {button, field} from "./parts.js";

let problem = "";

export function account(session, {ended, refresh, login}) {
  if (!session?.logins) return [];
  if (ended) return [button("Log in", login, {id: "in"})];
  const leave = async () => {
    try { await del("/v1/session") } catch (e) { problem = e.message }
    refresh();
  };
  return [h("span", {id: "who", class: "soft"}, session.principal),
    session.until ? button("Log out", leave, {id: "out"}) : session.principal === "User:ANONYMOUS" ? button("Log in", login, {id: "in"}) : null].filter(Boolean);
}

// again shows the form over the page, which keeps what is on it. It can be left without a login.
export function again({text, done}) {
  if (document.getElementById("login")) return;
  const dialog = document.createElement("dialog"), close = () => dialog.close();
  dialog.setAttribute("aria-label", "Log in");
  problem = "";
  patch(dialog, [loginForm({text, cancel: close, done: () => { close(); done() }})]);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  dialog.querySelector("input").focus();
}

export function loginForm({text = "With a user of this cluster: what you may see and do is what its ACLs allow.", done, cancel}) {
  const submit = async event => {
    event.preventDefault();
    const form = event.target, {user, password, token} = form.elements, utf8 = new TextEncoder().encode(user.value + ":" + password.value);
    const authorization = token.value ? "Bearer " + token.value : "Basic " + btoa(String.fromCharCode(...utf8));
    password.value = token.value = "";
    try {
      await post("/v1/session", {}, {headers: {Authorization: authorization}});
      problem = "";
      done();
    } catch (e) {
      problem = e.message;
      form.querySelector("[role=alert]").textContent = problem;
      password.focus();
    }
  };
  return h("form", {id: "login", key: "login", class: cancel ? "" : "card narrow", onsubmit: submit}, h(cancel ? "h2" : "h1", {tabindex: "-1"}, "Log in"), h("p", {class: "soft"}, text),
    field({label: "User", id: "user", name: "user", autocomplete: "username", autocapitalize: "none", spellcheck: "false"}),
    field({label: "Password", id: "password", name: "password", type: "password", autocomplete: "current-password"}),
    h("p", {id: "state", role: "alert", class: "late"}, problem),
    h("button", {type: "submit", class: "primary"}, "Log in"),
    h("details", {}, h("summary", {}, "With a token instead"), field({label: "Token", id: "token", name: "token", type: "password", autocomplete: "off"})),
    cancel ? h("div", {class: "actions"}, button("Cancel", cancel)) : null);
}
