// Two runs beside each other.
import { el, money, secs, table, whole } from "./base.js";
import { markdown } from "./markdown.js";
import { paint } from "./waterfall.js";

export function comparePage([a, b]) {
  const until = Math.max(a.seconds, b.seconds) || 1e-6;
  const change = (x, y, text, better) => {
    if (typeof x !== "number" || typeof y !== "number") return "";
    if (x === y) return "same";
    const share = x ? ` (${((y - x) / x * 100).toFixed(0)} %)` : "";
    const sign = y > x ? "+" : "−";
    return el("span", { class: !better ? "" : y < x ? "less" : "worse" }, `${sign}${text(Math.abs(y - x))}${share}`);
  };
  const value = (x, text) => (x === null || x === undefined ? "unknown" : text(x));
  const line = (name, pick, text, better = true) => [
    name, value(pick(a), text), value(pick(b), text), change(pick(a), pick(b), text, better), pair(pick(a), pick(b)),
  ];
  const plain = (name, pick) => [name, pick(a), pick(b), "", ""];
  const canvas = [a, b].map((run, i) => el("canvas", { class: "lane", role: "img", "aria-label": `${"AB"[i]} over time: ${secs(run.seconds)}` }));
  const threads = new Map();
  [a, b].forEach((run, which) => {
    for (const p of run.pieces) if (p.k === "thread") (threads.get(p.th) || threads.set(p.th, [null, null]).get(p.th))[which] = p;
  });
  const spread = ([x, y]) => Math.abs((x ? x.e - x.s : 0) - (y ? y.e - y.s : 0));
  const each = [...threads].sort(([, x], [, y]) => spread(y) - spread(x)).slice(0, 300);
  const longest = Math.max(1e-9, ...each.flatMap(([, pieces]) => pieces.map((p) => (p ? p.e - p.s : 0))));
  const most = Math.max(1, ...each.flatMap(([, pieces]) => pieces.map((p) => (p ? p.o : 0))));
  const rows = each.map(([id, [x, y]]) => [
    el("span", { class: "model-text" }, (y || x).l || id), x ? x.st : "not there", y ? y.st : "not there",
    bars(x && x.e - x.s, y && y.e - y.s, longest, secs), bars(x && x.o, y && y.o, most, whole),
  ]);
  return {
    node: el("div", { class: "page" },
      el("div", { class: "columns" }, [a, b].map((run, i) => el("section", { "aria-label": `Run ${"AB"[i]}` },
        el("h2", {}, el("i", { class: `key-${"ab"[i]}` }), `${"AB"[i]}: ${run.strategy} `, el("span", { class: "dim mono" }, run.id)),
        run.question && el("p", { class: "model-text" }, run.question), answerOf(run)))),
      el("h2", {}, "Numbers"),
      el("div", { class: "scrolls" }, table(["", "A", "B", "B against A", ""], [
        plain("strategy", (r) => r.strategy), plain("model", (r) => r.model), plain("status", (r) => r.status),
        line("time", (r) => r.seconds, secs), line("tokens on the critical path", (r) => r.criticalTokens, whole),
        line("tokens out", (r) => r.output, whole), line("tokens in", (r) => r.input, whole), line("calls", (r) => r.calls, whole),
        line("cost", (r) => r.cost, money), line("threads", (r) => r.threads, whole, false),
        line("cancelled threads", (r) => r.cancelled, whole, false), line("conflicts", (r) => r.conflicts, whole, false),
      ], [1, 2, 3], { class: "numbers" })),
      el("h2", {}, "Both over the same time"), el("div", { class: "dim" }, `A, ${secs(a.seconds)}`), canvas[0],
      el("div", { class: "dim" }, `B, ${secs(b.seconds)}`), canvas[1],
      rows.length ? [el("h2", {}, "Threads, the largest differences in time first"),
        el("div", { class: "scrolls" }, table(["thread", "A", "B", "time", "tokens out"], rows, [], { class: "wide-table" }))] : []),
    ready() { paint(canvas[0], a, until); paint(canvas[1], b, until); },
  };
}

function answerOf(run) {
  const text = run.pieces[0] && run.pieces[0].a["weaver.run.answer"];
  return el("div", { class: "message" }, el("div", {}, "answer"), el("div", { class: "text", tabindex: 0, role: "region", "aria-label": "Answer" }, text ? markdown(text) : "not kept"));
}

function pair(x, y) {
  return typeof x === "number" && typeof y === "number" ? bars(x, y, Math.max(x, y, 1e-9), () => "") : "";
}

function bars(x, y, most, text) {
  const bar = (n, name) => el("div", { class: name },
    typeof n === "number" ? [el("i", { style: { width: `${n / most * 110}px` } }), text(n)] : "–");
  return el("div", { class: "pairs" }, bar(x, "a"), bar(y, "b"));
}
