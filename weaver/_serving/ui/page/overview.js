// A run while it goes on and afterwards: what waits for a person, the answer, the plan, the threads.
import { el, secs, whole } from "../viewer/base.js";
import { graph } from "../viewer/graph.js";
import { markdown } from "../viewer/markdown.js";
import { approvals } from "./approval.js";
import { ThreadCard, toolCall } from "./thread.js";

const REDRAW = 200;
const PLAIN_WHILE_LIVE = 20_000;
const MOST_CARDS = 400;

export class Overview {
  constructor(page, view) {
    this.shared = page;
    this.view = view;
    this.asks = el("section", { "aria-label": "Waits for you" });
    this.answerText = el("div", { class: "answer empty" });
    this.answer = el("section", { "aria-labelledby": "answer-title" }, el("h2", { id: "answer-title" }, "Answer"), this.answerText);
    this.picture = el("div");
    this.plan = el("section", { "aria-label": "Plan" }, el("h2", {}, "Plan"), this.picture);
    this.cards = new Map();
    this.grid = el("div", { class: "threads-grid" });
    this.threads = el("section", { "aria-label": "Threads" }, el("h2", {}, "Threads"), this.grid);
    this.rest = el("section", { "aria-label": "More" });
    this.node = el("div", { class: "scroll" }, el("div", { class: "overview" }, this.asks, this.answer, this.plan, this.threads, this.rest));
  }

  page() {
    if (this.view.state) this.update(null);
    else this.answerText.replaceChildren("Loading…");
    return { node: this.node };
  }

  // Draw what `changes` touched; everything where they are null.
  update(changes) {
    const state = this.view.state;
    const touched = changes === null ? null : new Set(changes.map(([path]) => path[0]));
    const has = (...names) => touched === null || names.some((name) => touched.has(name));
    if (has("approvals")) this.asks.replaceChildren(...approvals(this.shared, this.view));
    if (has("answer", "reasoning", "status", "error", "order", "plan", "decision", "threads")) this.drawAnswer(has("status", "error", "result"));
    const inThreads = changes === null ? null : new Map();
    for (const [path, value, appends] of changes || []) {
      if (path[0] === "threads") inThreads.set(path[1], [...(inThreads.get(path[1]) || []), [path, value, appends]]);
    }
    if (has("threads", "order")) this.drawThreads(inThreads);
    const turned = changes === null || changes.some(([path]) => ["plan", "order", "status", "workflow"].includes(path[0]) || (path[0] === "threads" && ["state", undefined].includes(path[2])));
    if (turned || has("answer")) this.drawPlan();
    if (has("conflicts", "notes", "decision", "tools", "error", "status")) this.drawRest();
  }

  tick() {
    for (const card of this.cards.values()) card.tick(this.view.state);
  }

  drawAnswer(now) {
    const state = this.view.state;
    const live = this.view.live;
    if (!state.answer) {
      this.rendered = "";
      this.answerText.className = "answer empty";
      this.answerText.replaceChildren(state.error ? el("span", { class: "failed model-text" }, `${state.error.message}`) : live ? this.waiting() : "There is no answer.");
      return;
    }
    const render = () => {
      this.timer = null;
      const text = this.view.state.answer;
      if (text === this.rendered) return;
      this.rendered = text;
      this.answerText.className = "answer";
      this.answerText.replaceChildren(this.view.live && text.length > PLAIN_WHILE_LIVE ? el("pre", { class: "long" }, text) : markdown(text),
        ...(this.view.state.error ? [el("p", { class: "failed model-text" }, this.view.state.error.message)] : []));
    };
    if (now || !live) {
      clearTimeout(this.timer);
      this.rendered = null;
      render();
    } else if (!this.timer) this.timer = setTimeout(render, REDRAW);
  }

  waiting() {
    const state = this.view.state;
    const threads = state.order.map((id) => state.threads[id]);
    const running = threads.filter((t) => t.state === "running").length;
    const text = Object.keys(state.approvals).length ? "Waiting for you."
      : running ? `${running} of ${threads.length} thread${threads.length === 1 ? "" : "s"} at work` : threads.length ? "Merging what the threads found" : state.plan ? "Planning" : state.reasoning ? "Thinking" : "Deciding how to answer";
    return el("span", { class: "waiting-line" }, el("i", { class: "pulse" }), text);
  }

  drawThreads(changes) {
    const state = this.view.state;
    this.threads.hidden = !state.order.length;
    for (const [id, card] of this.cards) {
      if (id in state.threads) continue; // of another picture of this run, which was ahead of the stream
      card.node.remove();
      this.cards.delete(id);
    }
    for (const id of state.order.slice(0, MOST_CARDS)) {
      let card = this.cards.get(id);
      if (!card) {
        card = new ThreadCard(id, () => this.view.stop(id));
        this.cards.set(id, card);
        this.grid.append(card.node);
        card.update(state, null);
      } else if (changes === null) card.update(state, null);
      else if (changes.has(id)) card.update(state, changes.get(id));
    }
    if (state.order.length > MOST_CARDS) {
      this.more ||= this.grid.appendChild(el("p", { class: "dim" }));
      this.more.textContent = `${whole(state.order.length - MOST_CARDS)} more threads are in the waterfall.`;
    }
  }

  drawPlan() {
    const state = this.view.state;
    const top = state.order.map((id) => state.threads[id]).filter((t) => t.depth === 1);
    const key = JSON.stringify([state.status, Boolean(state.answer), state.plan && state.plan.whole, state.plan && state.plan.subtasks.map((s) => [s.id, s.title, s.depends_on]), top.map((t) => [t.id, t.state])]);
    if (key === this.drawn) return;
    this.drawn = key;
    const { nodes, edges } = graphOf(state, top, this.view.live, (id) => this.show(id));
    this.plan.hidden = nodes.length < 3;
    if (!this.plan.hidden) this.picture.replaceChildren(graph(nodes, edges, "Plan"));
  }

  show(id) {
    const card = this.cards.get(id);
    if (card) card.focus();
  }

  drawRest() {
    const state = this.view.state;
    const decision = state.decision;
    const parts = [];
    if (decision) {
      parts.push(el("h3", {}, "Decision"), el("p", { class: "model-text" }, `${decision.parallel ? "In parallel" : "Not in parallel"}, decided by ${decision.by}${decision.reason ? `: ${decision.reason}` : ""}`));
    }
    if (state.conflicts.length) parts.push(el("h3", {}, `Conflicts (${state.conflicts.length})`), ...state.conflicts.map(conflictCard));
    if (state.tools.length) parts.push(el("h3", {}, "Tools"), ...state.tools.map(toolCall));
    if (state.notes.length) parts.push(el("h3", {}, "Notes"), el("ul", { class: "notes" }, state.notes.map((note) => el("li", {}, note))));
    this.rest.replaceChildren(...parts);
  }
}

function conflictCard(conflict) {
  const about = [conflict.subject, conflict.attribute].filter(Boolean).join(" / ") || "The answers";
  const values = (conflict.values || []).map((v) => `${v.value} (${(v.threads || []).join(", ")})`).join("  ≠  ");
  return el("div", { class: "conflict-card" }, el("b", { class: "model-text" }, about), el("div", { class: "model-text" }, values),
    el("div", { class: "dim model-text" }, conflict.resolution ? `${conflict.resolution.policy}: ${conflict.resolution.value}` : "not resolved"));
}

// The steps of a run for the graph: planner, threads, merge.
export function graphOf(state, top, live, open) {
  const byId = new Map(top.map((thread) => [thread.id, thread]));
  const node = (id, title, thread) => ({
    id, title: title || (thread && thread.title) || id, kind: "thread", state: thread ? thread.state : live ? "planned" : "skipped",
    facts: thread ? factsOf(thread) : live ? "not started yet" : "never started", open: thread ? () => open(id) : undefined,
  });
  const plan = state.plan && state.plan.parallel !== false && state.plan.subtasks.length ? state.plan : null;
  const nodes = plan ? plan.subtasks.map((s) => node(s.id, s.title, byId.get(s.id))) : top.map((t) => node(t.id, t.title, t));
  const needs = new Map(plan ? plan.subtasks.map((s) => [s.id, s.depends_on || []]) : top.map((t) => [t.id, t.after || []]));
  const beside = plan ? top.filter(({ id, state: end }) => !needs.has(id) && end !== "cancelled") : []; // a direct answer that was not needed is no part of the plan
  for (const thread of beside) { nodes.push(node(thread.id, thread.title, thread)); needs.set(thread.id, []); }
  if (!nodes.length) return { nodes: [], edges: [] };
  const flow = state.workflow || state.strategy.startsWith("workflow:");
  const inner = nodes.flatMap(({ id }) => needs.get(id).map((from) => [from, id]));
  if (flow) return { nodes, edges: inner };
  const planned = plan ? (plan.whole || !live ? "succeeded" : "running") : "succeeded";
  const first = { id: "\u0000planner", title: plan ? "Planner" : "Question", kind: "plan", state: planned, facts: plan ? `${plan.subtasks.length} parts` : state.strategy };
  const ended = state.status === "complete" || state.status === "partial";
  const merged = ended ? "succeeded" : state.answer && live ? "running" : live ? "planned" : state.status;
  const last = { id: "\u0000merge", title: "Merge", kind: "synthesis", state: merged, facts: ended ? "answered" : state.answer && live ? "writes the answer" : live ? "waits for the threads" : state.status };
  const before = new Set(inner.map(([from]) => from));
  const edges = [
    ...nodes.filter(({ id }) => !needs.get(id).length).map(({ id }) => [first.id, id]), ...inner,
    ...nodes.filter(({ id }) => !before.has(id)).map(({ id }) => [id, last.id]),
  ];
  return { nodes: [first, ...nodes, last], edges };
}

function factsOf(thread) {
  const state = thread.state.replace("_", " ");
  const tokens = thread.usage && thread.usage.output_tokens ? ` · ${whole(thread.usage.output_tokens)} tokens` : "";
  return thread.seconds === null || thread.seconds === undefined ? state : `${state} · ${secs(thread.seconds)}${tokens}`;
}

