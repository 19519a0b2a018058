// The other views of one run: threads, plan, conflicts, sums.
import { Rows, SIGNS, el, money, secs, table, whole, words } from "./base.js";
import { graph } from "./graph.js";
import { kindOf } from "./kinds.js";

export function threadsPage(model, go) {
  const all = model.pieces.map((p, i) => [p, i]).filter(([p]) => p.k === "thread");
  const states = {};
  for (const [piece] of all) states[piece.st] = (states[piece.st] || 0) + 1;
  const columns = [
    ["thread", (p) => p.l], ["state", (p) => p.st], ["reason", (p) => p.r], ["calls", (p) => p.c], ["tokens in", (p) => p.i],
    ["tokens out", (p) => p.o], ["cost", (p) => p.m || 0], ["seconds", (p) => p.e - p.s], ["critical", (p) => (p.cr ? 1 : 0)],
  ];
  let order = all;
  let sorted = -1;
  const widths = ["34%", "100px", "16%", "60px", "84px", "84px", "84px", "90px", "64px"];
  const cell = (i, text, options) => el("div", { class: i >= 3 ? "number" : "", style: { width: widths[i], flex: "none", overflow: "hidden", whiteSpace: "nowrap", textOverflow: "ellipsis", paddingRight: "8px" }, ...options }, text);
  const rows = new Rows(26, (at) => {
    const [p, i] = order[at];
    return el("div", { class: `row${i === model.selected ? " selected" : ""}`, role: "row", onclick: () => { model.selected = i; rows.reset(order.length); }, ondblclick: () => go(i) },
      cell(0, [el("span", { style: { paddingLeft: `${sorted < 0 ? (depth(p) - 1) * 16 : 0}px` } }), el("span", { class: `sign ${p.st}` }, SIGNS[p.st] || "?"), " ", el("span", { class: "model-text" }, p.l)], { title: p.l }),
      cell(1, el("span", { class: p.st }, words(p.st))), cell(2, words(p.r), { title: p.r }), cell(3, whole(p.c)), cell(4, whole(p.i)),
      cell(5, whole(p.o)), cell(6, money(p.m)), cell(7, secs(p.e - p.s)), cell(8, p.cr ? "●" : ""));
  }, { role: "grid", "aria-label": "Threads" });
  const depth = (p) => Number(p.a["weaver.task.depth"] || 1);
  const head = el("div", { class: "axis" }, columns.map(([name, value], i) =>
    cell(i, el("button", {
      class: "plain", title: `Sort by ${name}`,
      onclick: () => {
        sorted = sorted === i ? -1 : i;
        const compare = (a, b) => (typeof a === "number" ? b - a : a < b ? -1 : a > b ? 1 : 0);
        order = sorted < 0 ? all : [...all].sort(([a], [b]) => compare(value(a), value(b)));
        rows.reset(order.length);
      },
    }, name))));
  const summary = Object.entries(states).map(([state, n]) => el("span", { class: `chip ${state}` }, `${whole(n)} ${state.replace("_", " ")}`));
  return {
    node: el("div", { class: "chart threads" },
      el("div", { class: "tools" }, `${whole(all.length)} threads`, summary, el("span", { class: "dim" }, "click a column to sort, press Enter or double-click for the waterfall")), head, rows.node),
    ready() {
      rows.reset(order.length);
      head.style.marginRight = `${rows.node.offsetWidth - rows.node.clientWidth}px`;
      rows.node.focus();
    },
    key(event) {
      const at = Math.max(0, order.findIndex(([, i]) => i === model.selected));
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1, PageDown: at + 20, PageUp: at - 20 }[event.key];
      if (event.key === "Enter" && order.length && document.activeElement === rows.node) { go(order[at][1]); return true; }
      if (to === undefined || !order.length) return false;
      const place = Math.min(Math.max(to, 0), order.length - 1);
      model.selected = order[place][1];
      rows.reset(order.length);
      rows.show(place);
      return true;
    },
  };
}

export function planPage(model, go) {
  const run = model.run;
  const parts = [];
  if (run.decision) {
    const { parallel, by, reason } = run.decision;
    parts.push(el("p", {}, `${parallel ? "In parallel" : "Not in parallel"}, decided by ${by}`, reason ? ": " : "", reason && el("span", { class: "model-text" }, reason), "."));
  }
  for (const plan of run.plans) {
    parts.push(el("h2", {}, plan.prefix ? `Plan of ${plan.prefix}` : "Plan"), graph(nodesOf(plan, model, go), edgesOf(plan), "Plan"));
  }
  if (!run.plans.length) parts.push(el("p", { class: "dim" }, "No plan with subtasks was made in this run."));
  return { node: el("div", { class: "page" }, parts) };
}

const PLANNER = "\u0000planner";
const MERGE = "\u0000merge";

function nodesOf(plan, model, go) {
  const node = (id, index, title, kind) => {
    const piece = model.pieces[index];
    if (!piece) return { id, title: title || id, kind, state: "skipped", facts: "never started" };
    const facts = `${piece.st.replace("_", " ")} · ${secs(piece.e - piece.s)}${piece.c ? ` · ${whole(piece.o)} tokens` : ""}`;
    return { id, title: title || piece.l, kind, state: piece.st, facts, critical: piece.cr, open: () => go(index) };
  };
  const ends = plan.merge >= 0
    ? node(MERGE, plan.merge, "Merge", "synthesis")
    : { id: MERGE, title: "Merge", kind: "synthesis", state: "succeeded", facts: plan.how ? `${plan.how}, no call` : "no call" };
  return [
    node(PLANNER, plan.planner, "Planner", "plan"),
    ...plan.ids.map((id) => node(id, plan.threads[id] === undefined ? -1 : plan.threads[id], "", "thread")),
    ends,
  ];
}

function edgesOf(plan) {
  const needed = new Set(plan.edges.map(([from]) => from));
  const waits = new Set(plan.edges.map(([, to]) => to));
  return [
    ...plan.ids.filter((id) => !waits.has(id)).map((id) => [PLANNER, id]), ...plan.edges,
    ...plan.ids.filter((id) => !needed.has(id)).map((id) => [id, MERGE]),
  ];
}

export function conflictsPage(model, go) {
  const all = model.pieces.map((p, i) => [p, i]).filter(([p]) => p.k === "conflict");
  const cards = all.map(([piece, index]) => {
    const about = piece.a;
    const link = (id) => {
      const to = model.pieces.findIndex((p) => p.th === id);
      return el("button", { disabled: to < 0, onclick: () => go(to) }, id);
    };
    const winners = about["weaver.conflict.winners"] || [];
    const threads = about["weaver.conflict.threads"] || [];
    const facts = [
      ["between", el("span", {}, threads.map(link))],
      ["resolved", about["weaver.conflict.resolved"] ? `by ${about["weaver.conflict.strategy"]}` : "no"],
      ["in favour of", el("span", {}, winners.map(link))],
      ["against", el("span", {}, threads.filter((t) => winners.length && !winners.includes(t)).map(link))],
    ];
    let values = [];
    try { values = JSON.parse(about["weaver.conflict.values"] || "[]"); } catch { values = []; }
    for (const value of values) {
      const sure = value.confidence === null || value.confidence === undefined ? "" : ` (confidence ${value.confidence})`;
      facts.push([(value.threads || []).join(", "), `${value.value}${sure}`]);
    }
    if (about["weaver.conflict.value"]) facts.push(["resolved to", about["weaver.conflict.value"]]);
    if (about["weaver.conflict.evidence"]) facts.push(["evidence", about["weaver.conflict.evidence"]]);
    return el("section", { class: "card" }, el("h2", {}, el("span", { class: "model-text" }, piece.l)), table(null, facts),
      el("p", {}, el("button", { onclick: () => go(index) }, "Show in the waterfall")));
  });
  const none = el("p", { class: "dim" }, "No conflict between threads was found in this run.");
  return { node: el("div", { class: "page" }, cards.length ? cards : none) };
}

export function sumsPage(model, go) {
  const run = model.run;
  const path = run.path.map((i) => [model.pieces[i], i]).filter(([p]) => p.own > 0);
  const meter = el("div", { class: "meter", role: "img", "aria-label": "Critical path over time" }, path.map(([p]) =>
    el("div", { class: `k-${kindOf(model.pieces, p)}`, title: `${p.l}: ${secs(p.own)}`, style: { width: `${p.own / run.seconds * 100}%` } })));
  const owner = (p) => (p.k === "call" && p.p >= 0 ? model.pieces[p.p] : p);
  const steps = path.sort(([a], [b]) => b.own - a.own).slice(0, 60).map(([p, i]) =>
    [el("button", { class: "plain", onclick: () => go(i) }, p.k === "call" ? owner(p).l : p.l), p.k, secs(p.own), `${(p.own / run.seconds * 100).toFixed(1)} %`, p.q ? secs(p.q) : "", p.f ? secs(p.f) : "", p.k === "call" ? whole(p.o) : ""]);
  const group = (name, rows) => [el("h2", {}, name), table(["", "calls", "tokens in", "tokens out", "cost", "seconds"],
    rows.map(([label, calls, i, o, m, s]) => [label, whole(calls), whole(i), whole(o), money(m) || "unknown", secs(s)]), [1, 2, 3, 4, 5])];
  const states = {};
  for (const p of model.pieces) if (p.k === "thread") (states[p.st === "cancelled" ? `cancelled: ${words(p.r || "?")}` : p.st] ||= []).push(p);
  const bystate = Object.entries(states).map(([name, list]) => [name, whole(list.length), whole(list.reduce((n, p) => n + p.o, 0)), secs(list.reduce((n, p) => n + p.e - p.s, 0))]);
  return {
    node: el("div", { class: "page" },
      el("h2", {}, `Critical path: ${secs(run.seconds)}`), meter,
      el("p", { class: "dim" }, "What the answer had to wait for; making anything else faster would not have made the run faster."),
      table(["piece", "kind", "on the path", "share", "queue", "first token", "tokens"], steps, [2, 3, 4, 5, 6]),
      group("Calls by role", run.roles), group("Calls by model", run.models),
      el("h2", {}, "Threads by how they ended"), table(["state", "threads", "tokens out", "summed time"], bystate, [1, 2, 3]),
      run.notes.length ? [el("h2", {}, "Notes"), el("ul", {}, run.notes.map((n) => el("li", {}, n)))] : []),
  };
}
