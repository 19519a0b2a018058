// Puts the page together: where the address leads, the list of runs, keys, the connection.
import { announce, el, table, toggleTheme } from "../viewer/base.js";
import { Stream, call } from "./api.js";
import { askView } from "./ask.js";
import { compareView } from "./beside.js";
import { planView } from "./editor.js";
import { flowView } from "./flow.js";
import { RunList } from "./list.js";
import { RunView } from "./run.js";

const byId = (id) => document.getElementById(id);
const KEYS = [
  ["n", "new question"], ["/", "find a run"], ["Ctrl+Enter", "ask"], ["1 to 7", "views of a run"], ["s", "stop the run"], ["t", "light or dark"],
  ["? Esc", "this list"], ["↑ ↓ → ← + − 0 [ ] c e x d", "in the waterfall: move, open, zoom, next on the critical path, failed, cancelled, details"],
];

// Everything that views share.
const page = { about: null, plan: null, runs: [], go, fail, dialog, refresh: () => list.load() };
const main = byId("main");
const list = new RunList(byId("side"), page);
let view = null;
let place = "";

const stream = new Stream({
  list: () => list.load(),
  picture: (state) => { if (view && view.picture) view.picture(state); },
  changes: (changes) => { if (view && view.changes) view.changes(changes); },
  status: (status, again) => connection(status, again),
});

function connection(status, again) {
  const banner = byId("banner");
  const text = {
    open: "", ended: "The server was stopped. Start `weaver ui` again; this page will find it.",
    lost: "The server does not answer. This is what had arrived; trying again…",
    refused: "The address has changed. Open the one that `weaver ui` prints.",
  }[status];
  banner.hidden = !text;
  banner.textContent = text;
  byId("connection").textContent = status === "open" ? "" : "not connected";
  if (again) {
    announce("Connected again.");
    about().then(() => { if (view && view.again) view.again(); });
  }
}

async function about() {
  try {
    page.about = await call("/about");
    list.draw();
  } catch (error) {
    connection(error.status === 403 ? "refused" : "lost", false);
  }
}

function go(target) {
  if (location.hash === target) route(); else location.hash = target;
}

function route() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const next = location.hash || "#/";
  const fresh = next !== place;
  place = next;
  if (view && view.leave) view.leave();
  document.body.classList.remove("menu-open");
  byId("menu").setAttribute("aria-expanded", "false");
  view = {
    run: () => new RunView(page, rest[0], rest[1]), compare: () => compareView(page, rest[0], rest[1]),
    plan: () => planView(page), workflow: () => flowView(page, rest[0]),
  }[rest.length || name === "plan" ? name : ""]?.() || askView(page);
  main.replaceChildren(view.node);
  document.title = view.title ? `${view.title} - weaver` : "weaver";
  list.mark(name === "run" || name === "workflow" ? next.split("/").slice(0, 3).join("/") : "#/");
  stream.follow(view.run || "");
  if (view.ready) view.ready();
  if (fresh && !(view.node.contains(document.activeElement))) main.focus({ preventScroll: true });
}

// Show what went wrong, where `place` is an element with role=alert.
function fail(place, error) {
  place.replaceChildren(el("div", { class: "notice error" }, error.message));
}

function dialog(title, ...children) {
  const box = byId("dialog");
  box.setAttribute("aria-label", title);
  box.replaceChildren(el("h2", {}, title), ...children);
  if (!box.open) box.showModal();
  return box;
}

function help() {
  if (byId("dialog").open) byId("dialog").close();
  else {
    const box = dialog("Keys", table(null, KEYS.map(([keys, effect]) => [el("kbd", {}, keys), effect])),
      el("div", { class: "actions" }, el("button", { onclick: () => box.close() }, "Close")));
  }
}

function theme() {
  localStorage.setItem("weaver-theme", toggleTheme());
  if (view && view.redraw) view.redraw();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("dialog").open) return;
  if (event.key === "Escape" && document.body.classList.contains("menu-open")) byId("menu").click();
  if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  let done = true;
  if (event.key === "?") help();
  else if (event.key === "t") theme();
  else if (event.key === "n") go("#/");
  else if (view && view.key && view.key(event)) done = true;
  else if (event.key === "/") list.find();
  else done = false;
  if (done) event.preventDefault();
});

byId("menu").addEventListener("click", () => {
  const open = document.body.classList.toggle("menu-open");
  byId("menu").setAttribute("aria-expanded", String(open));
  if (open) list.find();
});
byId("theme").addEventListener("click", theme);
byId("keys").addEventListener("click", help);
addEventListener("hashchange", route);

const chosen = localStorage.getItem("weaver-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
await about();
route();
