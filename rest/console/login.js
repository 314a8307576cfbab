// login is the form, and who has logged in.
import {h} from "./dom.js";
import {del, post} from "./api.js";
import {button, field} from "./parts.js";

let problem = "";

export function account(session, {render, refresh, login}) {
  if (!session?.logins) return [];
  const leave = async () => {
    try { await del("/v1/session") } catch (e) { problem = e.message }
    refresh();
  };
  return [h("span", {id: "who", class: "soft"}, session.principal),
    session.until ? button("Log out", leave, {id: "out"}) : session.principal === "User:ANONYMOUS" ? button("Log in", login, {id: "in"}) : null].filter(Boolean);
}

export function loginForm({done}) {
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
  return h("form", {id: "login", key: "login", class: "card narrow", onsubmit: submit}, h("h1", {tabindex: "-1"}, "Log in"),
    h("p", {class: "soft"}, "With a user of this cluster: what you may see and do is what its ACLs allow."),
    field({label: "User", id: "user", name: "user", autocomplete: "username", autocapitalize: "none", spellcheck: "false"}),
    field({label: "Password", id: "password", name: "password", type: "password", autocomplete: "current-password"}),
    h("p", {id: "state", role: "alert", class: "late"}, problem),
    h("button", {type: "submit", class: "primary"}, "Log in"),
    h("details", {}, h("summary", {}, "With a token instead"), field({label: "Token", id: "token", name: "token", type: "password", autocomplete: "off"})));
}
