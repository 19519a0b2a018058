// One run: its head, and the tabs over it.
import { SIGNS, announce, el, money, secs, whole } from "../viewer/base.js";
import { TraceView } from "../viewer/trace.js";
import { apply, call, post, runPath } from "./api.js";
import { ago, factsLine } from "./list.js";
import { Overview } from "./overview.js";

const LIVE = ["starting", "running"];
const EXPLAINED = { unfinished: "another process works on it, or its process ended before it did" };

export class RunView {
  constructor(page, id, tab) {
    this.page = page;
    this.run = id;
    this.state = null;
    this.trace = null;
    this.head = el("header", { class: "run-head" });
    this.problem = el("div", { role: "alert" });
    const nav = el("nav", { class: "tabs", role: "tablist", "aria-label": "Views of the run" });
    const panel = el("div", { class: "tab-panel", id: "panel" });
    this.overview = new Overview(page, this);
    this.tabs = new TraceView(nav, panel, {
      first: [["overview", "Run", () => this.overview.page()]], tab,
      changed: () => history.replaceState(null, "", `#/run/${encodeURIComponent(id)}${this.tabs.tab === "overview" ? "" : `/${this.tabs.tab}`}`),
    });
    this.node = el("div", { class: "tab-panel" }, this.head, nav, this.problem, panel);
    this.title = "Run";
    this.timer = setInterval(() => this.tick(), 500);
  }

  get live() { return Boolean(this.state) && LIVE.includes(this.state.status); }

  async ready() { await this.load(); }

  leave() {
    clearInterval(this.timer);
    this.left = true;
  }

  async load() {
    try {
      const { picture, trace } = await call(runPath(this.run));
      if (this.left) return;
      // What the stream has brought meanwhile is newer.
      if (!this.state || !LIVE.includes(picture.status)) this.state = picture;
      this.trace = trace;
      this.problem.replaceChildren();
    } catch (error) {
      if (this.left) return;
      if (!error.status) return;
      if (!this.live) { this.page.fail(this.problem, error); return; }
      // The process ended before anything of the run was kept.
      this.page.fail(this.problem, new Error("The server ended, and the run with it. This is what had arrived."));
      this.state.status = "unfinished";
      this.state.approvals = {};
    }
    this.redraw();
  }

  again() { this.load(); }

  picture(state) {
    const first = !this.state;
    this.state = state;
    if (Object.keys(state.approvals).length) announce("The run waits for your approval.");
    if (first) this.redraw(); else { this.drawHead(); this.overview.update(null); }
    if (state.traced && !this.trace) this.load();
  }

  changes(changes) {
    if (!this.state) return;
    const before = this.state.status;
    for (const change of changes) apply(this.state, change);
    const names = new Set(changes.map(([path]) => path[0]));
    this.spoken(changes, before);
    if (["status", "order", "approvals", "model", "strategy", "result", "decision"].some((name) => names.has(name))) this.drawHead();
    this.overview.update(changes);
    if (names.has("traced")) this.load();
  }

  // What a screen reader says: turns of the run, not its text.
  spoken(changes, before) {
    for (const [path, value] of changes) {
      if (path[0] === "threads" && path.length === 2) announce(`Thread ${value.title} started.`);
      else if (path[0] === "threads" && path[2] === "state") announce(`Thread ${this.state.threads[path[1]].title} ${String(value).replace("_", " ")}.`);
      else if (path[0] === "approvals" && value && path.length === 2) announce("The run waits for your approval.");
      else if (path[0] === "status" && value !== before && !LIVE.includes(value)) announce(`The run is ${value}.`);
    }
  }

  redraw() {
    this.drawHead();
    this.tabs.set(this.trace ? [this.trace] : []);
    this.tabs.redraw();
  }

  drawHead() {
    const state = this.state;
    this.title = state.question;
    document.title = `${state.question.slice(0, 60)} - weaver`;
    const fact = (name, value) => value !== "" && el("span", {}, el("span", { class: "dim" }, `${name} `), el("b", {}, value));
    const usage = state.result && state.result.usage;
    this.clock = el("b", {}, this.elapsed());
    const status = LIVE.includes(state.status) ? "running" : state.status;
    const focused = this.head.contains(document.activeElement) && document.activeElement.id;
    this.head.replaceChildren(
      el("div", { class: "row-one" }, el("h1", { dir: "auto", tabindex: 0 }, state.question || state.strategy), el("div", { class: "buttons" }, this.buttons())),
      el("div", { class: "facts" },
        el("span", { class: `chip ${status}`, id: "status", title: EXPLAINED[status] || "" }, `${SIGNS[status] || "·"} ${status}`),
        fact("strategy", state.strategy), fact("model", state.model), el("span", {}, el("span", { class: "dim" }, "time "), this.clock),
        fact("threads", state.order.length ? whole(state.order.length) : ""),
        usage && usage.calls !== undefined ? fact("calls", whole(usage.calls)) : "",
        usage ? fact("tokens", `${whole(usage.input_tokens)} in, ${whole(usage.output_tokens)} out`) : "",
        usage ? fact("cost", money(usage.cost_usd) || "unknown") : "", fact("started", new Date(state.started).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }))));
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
  }

  buttons() {
    const state = this.state;
    if (this.live) return [el("button", { class: "stop-all", id: "stop", title: "Stop every thread (s)", onclick: () => this.stop() }, "Stop the run")];
    const plan = state.plan && state.plan.subtasks.length && state.plan.subtasks.every((s) => s.prompt);
    return [
      plan && el("button", { id: "edit", onclick: () => { this.page.plan = { question: state.question, plan: state.plan }; this.page.go("#/plan"); } }, "Edit plan, run again"),
      !state.strategy.startsWith("workflow:") && el("button", { id: "again", onclick: () => { this.page.question = { question: state.question, strategy: state.strategy }; this.page.go("#/"); } }, "Ask again"),
      state.strategy.startsWith("workflow:") && el("button", { id: "again", onclick: () => this.page.go(`#/workflow/${encodeURIComponent(state.strategy.slice(9))}`) }, "To the workflow"),
      this.trace && el("button", { id: "compare", onclick: () => this.pick() }, "Compare…"),
      el("button", { id: "forget", onclick: () => this.forget() }, "Forget…"),
    ];
  }

  elapsed() {
    const { seconds, started } = this.state;
    return secs(seconds === null ? (this.live ? Math.max(0, (Date.now() - started) / 1000) : 0) : seconds);
  }

  tick() {
    if (!this.live) return;
    if (this.clock) this.clock.textContent = this.elapsed();
    this.overview.tick();
  }

  async stop(thread) {
    try {
      await post(runPath(this.run, "/stop"), thread ? { thread } : {});
    } catch (error) {
      this.page.fail(this.problem, error);
    }
  }

  pick() {
    const others = this.page.runs.filter((row) => row.id !== this.run && !LIVE.includes(row.status)).slice(0, 100);
    const box = this.page.dialog("Compare with", others.length ? el("ul", { class: "pick" }, others.map((row) => el("li", {},
      el("button", { onclick: () => { box.close(); this.page.go(`#/compare/${encodeURIComponent(this.run)}/${encodeURIComponent(row.id)}`); } },
        el("span", { class: "model-text" }, row.question || row.id), el("span", { class: "meta" }, `${row.status} · ${factsLine(row)} · ${ago(row.started)}`)))))
      : el("p", {}, "There is no other run yet."),
    el("div", { class: "actions" }, el("button", { onclick: () => box.close() }, "Close")));
  }

  forget() {
    const box = this.page.dialog("Forget this run?", el("p", {}, "Its texts and its trace are removed from this machine."),
      el("div", { class: "actions" }, el("button", { class: "danger", onclick: async () => {
        box.close();
        try {
          await call(runPath(this.run), { method: "DELETE" });
          this.page.refresh();
          this.page.go("#/");
        } catch (error) {
          this.page.fail(this.problem, error);
        }
      } }, "Forget"), el("button", { onclick: () => box.close() }, "Keep")));
  }

  key(event) {
    if (event.key === "s" && this.live) { this.stop(); return true; }
    if (event.key === "/" && this.tabs.tab !== "waterfall") return false;
    return this.tabs.key(event);
  }
}
