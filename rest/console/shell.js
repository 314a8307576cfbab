// shell is what pages ask of the app that shows them.
let app;

// shows says which app it is.
export const shows = by => { app = by };

// render brings the page to what is known now, and refresh asks for what it shows at once.
export const render = () => app.render();
export const refresh = () => app.refresh();

// loginEnded says that the server does not know any more who asks.
export const loginEnded = () => app?.loginEnded();

let hiding;

// say tells what was done, to eyes and to screen readers.
export function say(text) {
  const told = document.getElementById("announce");
  told.textContent = text;
  told.className = "toast";
  clearTimeout(hiding);
  hiding = setTimeout(() => { told.className = "unseen" }, 8000);
}
