// Two runs beside each other.
import { el } from "../viewer/base.js";
import { TraceView } from "../viewer/trace.js";
import { call, runPath } from "./api.js";

export function compareView(page, a, b) {
  const problem = el("div", { role: "alert" });
  const nav = el("nav", { class: "tabs", role: "tablist", "aria-label": "Views of both runs" });
  const panel = el("div", { class: "tab-panel", id: "panel" });
  const head = el("header", { class: "run-head" });
  const tabs = new TraceView(nav, panel, { tab: "compare" });
  const node = el("div", { class: "tab-panel" }, head, nav, problem, panel);

  function drawHead() {
    const pick = el("select", { "aria-label": "Run in the other views", onchange: (event) => { tabs.which = Number(event.target.value); tabs.draw(); } },
      tabs.runs.map((run, i) => el("option", { value: i, selected: i === tabs.which }, `${"AB"[i]}: ${run.id}`)));
    head.replaceChildren(el("div", { class: "row-one" }, el("h1", {}, "Two runs beside each other"),
      el("div", { class: "buttons" }, pick, el("button", { onclick: () => page.go(`#/compare/${encodeURIComponent(b)}/${encodeURIComponent(a)}`) }, "Swap"))));
  }

  return {
    node, title: "Compare",
    async ready() {
      try {
        const both = await Promise.all([a, b || ""].map((id) => call(runPath(id))));
        const missing = both.findIndex(({ trace }) => !trace);
        if (missing >= 0) throw new Error(`Nothing of run ${[a, b][missing]} has been kept yet.`);
        tabs.set(both.map(({ trace }) => trace));
        drawHead();
        tabs.draw();
      } catch (error) {
        page.fail(problem, error);
      }
    },
    redraw() { if (tabs.run) tabs.redraw(); },
    key: (event) => Boolean(tabs.run) && event.key !== "/" && tabs.key(event),
  };
}
