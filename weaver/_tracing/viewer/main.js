// The page of one file: head, keys, and the live connection.
import { el, table, toggleTheme } from "./base.js";
import { TraceView, factsOf } from "./trace.js";

const LIVE_ERROR = "The connection to the run is lost; this is what had arrived.";
const byId = (id) => document.getElementById(id);

const KEYS = [
  ["↑ ↓ PageUp PageDown Home End", "move"], ["→ ←", "open, close, to the parent"], ["+ − 0 z", "zoom in, out, whole run, this piece"],
  ["[ ]", "pan"], ["c e x", "next on the critical path, failed, cancelled"], ["/", "find"], ["d Enter", "details"],
  ["1 to 6", "views"], ["t", "light or dark"], ["? Esc", "this list"], ["Ctrl+wheel, drag over the axis", "zoom"],
];

function help() {
  const dialog = byId("help");
  dialog.replaceChildren(el("h2", {}, "Keys"), table(null, KEYS.map(([keys, effect]) => [el("kbd", {}, keys), effect])),
    el("p", {}, el("button", { onclick: () => dialog.close() }, "Close")));
  if (dialog.open) dialog.close(); else dialog.showModal();
}

function start() {
  const data = JSON.parse(byId("data").textContent);
  const view = new TraceView(byId("tabs"), byId("main"));
  view.set(data.runs);

  function head() {
    const run = view.run;
    const pick = view.runs.length > 1 && el("select", { "aria-label": "Run", onchange: (e) => { view.which = Number(e.target.value); draw(); } },
      view.runs.map((r, i) => el("option", { value: i, selected: i === view.which }, `${"AB"[i]}: ${r.id}`)));
    byId("head").replaceChildren(
      el("div", { class: "first" }, el("h1", {}, run.strategy || "run"), el("span", { class: `chip ${run.status}`, id: "status" }, run.status),
        el("span", { class: "dim mono" }, `run ${run.id}`), pick || "", el("span", { class: "spacer" }), el("span", { class: "dim", id: "live" }),
        el("button", { class: "icon", title: "Light or dark (t)", "aria-label": "Light or dark", onclick: () => { toggleTheme(); draw(); } }, "◐"),
        el("button", { class: "icon", title: "Keys (?)", "aria-label": "Keys", onclick: help }, "?")),
      run.question ? el("div", { class: "question model-text" }, run.question) : "", factsOf(run));
    document.title = `${run.strategy} ${run.id} - weaver trace`;
  }

  function draw() {
    if (!view.run) {
      byId("main").replaceChildren(el("p", { class: "page" }, "The run has not begun yet."));
      return;
    }
    head();
    view.draw();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !view.run) return;
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    let done = true;
    if (event.key === "?") help();
    else if (byId("help").open) done = false;
    else if (event.key === "t") { toggleTheme(); draw(); } else done = view.key(event);
    if (done) event.preventDefault();
  });

  async function follow(live) {
    const status = (text) => { if (byId("live")) byId("live").textContent = text; };
    let seen = data.revision;
    for (;;) {
      await new Promise((wake) => { setTimeout(wake, live.every); });
      try {
        const answer = await fetch(`${live.url}?since=${seen}`, { cache: "no-store" });
        if (answer.status === 204) { status("live"); continue; }
        if (!answer.ok) throw new Error(String(answer.status));
        const fresh = await answer.json();
        seen = fresh.revision;
        if (!fresh.runs.length) continue;
        view.set(fresh.runs);
        const focus = document.activeElement && document.activeElement.tagName;
        if (!["INPUT", "SELECT"].includes(focus)) { head(); view.redraw(); status("live"); }
        if (view.runs[0].complete) { status("finished"); return; }
      } catch {
        status(LIVE_ERROR);
        return;
      }
    }
  }

  draw();
  if (data.live) follow(data.live);
}

start();
