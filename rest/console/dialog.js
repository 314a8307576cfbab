// dialog asks before something is done that changes what there is.
import {h, patch} from "./dom.js";
import {button, field, why} from "./parts.js";

// ask opens a dialog with a form. inside describes its fields; run gets their values, and what it throws is shown. A word has to be
// typed before the action can be taken.
export function ask({title, text, inside = () => [], word, action, danger, run}) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  let problem = null, busy = false, typed = "";
  const submit = async event => {
    event.preventDefault();
    busy = true, problem = null;
    draw();
    try {
      await run(Object.fromEntries(new FormData(event.target)));
      dialog.close();
    } catch (e) { problem = e }
    busy = false;
    draw();
  };
  const needed = ["", " "].map(instead => word?.replace(/\r\n|[\r\n]/g, instead)); // as browsers do with line ends that are pasted
  const draw = () => patch(dialog, [h("form", {onsubmit: submit},
    h("h2", {id: "dialog-title"}, title), text ? h("p", {}, text) : null, inside(draw),
    word ? field({label: ["Type ", h("code", {class: "exact"}, word), " to confirm"], id: "typed", autofocus: true, spellcheck: "false", oninput: e => { typed = e.target.value; draw() }}) : null,
    problem ? why(problem) : null,
    h("div", {class: "actions"}, button("Cancel", () => dialog.close()),
      h("button", {type: "submit", class: danger ? "danger" : "primary", disabled: busy || Boolean(word) && !needed.includes(typed)}, action)))]);
  draw();
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
