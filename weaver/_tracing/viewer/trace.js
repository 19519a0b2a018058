// The tabs over a run, or over two of them.
import { el, money, secs, whole } from "./base.js";
import { comparePage } from "./compare.js";
import { RunModel } from "./model.js";
import { conflictsPage, planPage, sumsPage, threadsPage } from "./pages.js";
import { waterfall } from "./waterfall.js";

export function factsOf(run) {
  const fact = (name, value) => value !== "" && el("span", {}, el("span", { class: "dim" }, `${name} `), el("b", {}, value));
  return el("div", { class: "facts" }, fact("model", run.model), fact("started", run.started ? new Date(run.started).toLocaleString() : ""),
    fact("time", secs(run.seconds)), fact("threads", whole(run.threads)), run.cancelled ? fact("cancelled", whole(run.cancelled)) : "",
    fact("calls", whole(run.calls)), fact("tokens", `${whole(run.input)} in, ${whole(run.output)} out`), fact("cost", money(run.cost) || "unknown"),
    run.criticalTokens ? fact("critical path", `${whole(run.criticalTokens)} tokens`) : "");
}

export class TraceView {
  // `nav` and `main` are filled; `first` has further tabs before ours: [id, name, () => page].
  constructor(nav, main, { first = [], tab = "", changed = () => {} } = {}) {
    this.nav = nav;
    this.main = main;
    this.first = first;
    this.changed = changed;
    this.runs = [];
    this.models = [];
    this.which = 0;
    this.tab = tab || (first.length ? first[0][0] : "waterfall");
    this.page = null;
    nav.addEventListener("keydown", (event) => this.arrow(event));
    main.setAttribute("role", "tabpanel");
  }

  get run() { return this.runs[this.which]; }

  set(runs) {
    runs.forEach((run, i) => {
      if (this.models[i] && this.models[i].run.id === run.id) this.models[i].replace(run);
      else this.models[i] = new RunModel(run);
    });
    this.models.length = runs.length;
    this.runs = runs;
    this.which = Math.min(this.which, Math.max(0, runs.length - 1));
  }

  tabs() {
    const run = this.run;
    return [
      ...this.first,
      ...(run ? [
        ["waterfall", "Waterfall"], ["threads", "Threads"], ["plan", "Plan"], ["conflicts", `Conflicts${run.conflicts ? ` (${run.conflicts})` : ""}`],
        ["sums", "Time and tokens"],
      ] : []),
      ...(this.runs.length > 1 ? [["compare", "Compare"]] : []),
    ];
  }

  draw() {
    const tabs = this.tabs();
    if (!tabs.some(([id]) => id === this.tab)) this.tab = tabs[0][0];
    const focused = this.nav.contains(document.activeElement);
    this.nav.replaceChildren(...tabs.map(([id, name], i) => el("button", {
      role: "tab", id: `tab-${id}`, "aria-selected": String(id === this.tab), "aria-controls": this.main.id, tabindex: id === this.tab ? 0 : -1,
      title: `${i + 1}`, onclick: () => this.show(id),
    }, name)));
    const model = this.models[this.which];
    const go = (index) => this.go(index);
    const own = this.first.find(([id]) => id === this.tab);
    this.page = own ? own[2]() : {
      waterfall: () => waterfall(model), threads: () => threadsPage(model, go), plan: () => planPage(model, go),
      conflicts: () => conflictsPage(model, go), sums: () => sumsPage(model, go), compare: () => comparePage(this.runs),
    }[this.tab]();
    this.main.setAttribute("aria-labelledby", `tab-${this.tab}`);
    this.main.replaceChildren(this.page.node);
    if (this.page.ready) this.page.ready();
    if (focused) document.getElementById(`tab-${this.tab}`).focus();
  }

  // Draw again without losing the place: new data has come.
  redraw() {
    const old = this.main.querySelector(".rows, .page");
    const top = old ? old.scrollTop : 0;
    this.draw();
    const fresh = this.main.querySelector(".rows, .page");
    if (fresh) fresh.scrollTop = top;
  }

  show(tab) {
    this.tab = tab;
    this.changed();
    this.draw();
    document.getElementById(`tab-${tab}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  go(index) {
    if (index < 0) return;
    this.models[this.which].reveal(index);
    this.models[this.which].details = true;
    this.show("waterfall");
  }

  arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const tabs = this.tabs();
    const at = tabs.findIndex(([id]) => id === this.tab);
    this.show(tabs[(at + step + tabs.length) % tabs.length][0]);
    document.getElementById(`tab-${this.tab}`).focus();
  }

  // Keys that work everywhere in the view; true when one was used.
  key(event) {
    const number = Number(event.key);
    const tabs = this.tabs();
    if (event.key === "/") {
      if (this.tab !== "waterfall") this.show("waterfall");
      this.page.find();
    } else if (number >= 1 && number <= tabs.length) this.show(tabs[number - 1][0]);
    else return Boolean(this.page && this.page.key && this.page.key(event));
    return true;
  }
}
