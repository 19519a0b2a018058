// The other views: threads, plan, conflicts, sums, and two runs beside each other.
function threadsPage(shown, go) {
  const all = shown.pieces.map((p, i) => [p, i]).filter(([p]) => p.k === "thread");
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
  const rows = new Rows(22, (at) => {
    const [p, i] = order[at];
    return el("div", { class: `row${i === shown.selected ? " selected" : ""}`, role: "row", onclick: () => { shown.selected = i; rows.reset(order.length); }, ondblclick: () => go(i) },
      cell(0, [el("span", { style: { paddingLeft: `${sorted < 0 ? (depth(p) - 1) * 16 : 0}px` } }), el("span", { class: `sign ${p.st}` }, SIGNS[p.st] || "?"), " ", el("span", { class: "said-by-model" }, p.l)], { title: p.l }),
      cell(1, el("span", { class: p.st }, p.st.replace("_", " "))), cell(2, p.r, { title: p.r }), cell(3, whole(p.c)), cell(4, whole(p.i)),
      cell(5, whole(p.o)), cell(6, money(p.m)), cell(7, secs(p.e - p.s)), cell(8, p.cr ? "●" : ""));
  }, { role: "grid", "aria-label": "Threads" });
  const depth = (p) => Number(p.a["weaver.task.depth"] || 1);
  const head = el("div", { class: "axis", style: { paddingLeft: "4px" } }, columns.map(([name, value], i) =>
    cell(i, el("button", {
      style: { border: 0, background: "none", padding: 0 }, title: `Sort by ${name}`,
      onclick: () => {
        sorted = sorted === i ? -1 : i;
        const compare = (a, b) => (typeof a === "number" ? b - a : a < b ? -1 : a > b ? 1 : 0);
        order = sorted < 0 ? all : [...all].sort(([a], [b]) => compare(value(a), value(b)));
        rows.reset(order.length);
      },
    }, name))));
  const told = Object.entries(states).map(([state, n]) => el("span", { class: `chip ${state}` }, `${whole(n)} ${state.replace("_", " ")}`));
  return {
    node: el("div", { class: "chart", style: { padding: "0 12px", minHeight: 0 } },
      el("div", { class: "tools" }, `${whole(all.length)} threads`, told, el("span", { class: "dim" }, "click a column to sort, press Enter or double-click for the waterfall")), head, rows.node),
    ready() { rows.reset(order.length); rows.node.focus(); },
    key(event) {
      const at = Math.max(0, order.findIndex(([, i]) => i === shown.selected));
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1, PageDown: at + 20, PageUp: at - 20 }[event.key];
      if (event.key === "Enter" && order.length && document.activeElement === rows.node) { go(order[at][1]); return true; }
      if (to === undefined || !order.length) return false;
      const place = Math.min(Math.max(to, 0), order.length - 1);
      shown.selected = order[place][1];
      rows.reset(order.length);
      rows.show(place);
      return true;
    },
  };
}

function planPage(shown, go) {
  const run = shown.run;
  const parts = [];
  if (run.decision) {
    const { parallel, by, reason } = run.decision;
    parts.push(el("p", {}, `${parallel ? "In parallel" : "Not in parallel"}, decided by ${by}`, reason ? `: ${reason}` : "", "."));
  }
  for (const plan of run.plans) {
    parts.push(el("h2", {}, plan.prefix ? `Plan of ${plan.prefix}` : "Plan"), graph(plan, shown, go));
  }
  if (!run.plans.length) parts.push(el("p", { class: "dim" }, "No plan with subtasks was made in this run."));
  return { node: el("div", { class: "page" }, parts) };
}

function graph(plan, shown, go) {
  const level = {};
  const before = {};
  for (const id of plan.ids) before[id] = plan.edges.filter(([, to]) => to === id).map(([from]) => from);
  const place = (id, seen) => {
    if (level[id] !== undefined) return level[id];
    if (seen.has(id)) return 0;
    seen.add(id);
    level[id] = Math.max(-1, ...before[id].filter((d) => d in before).map((d) => place(d, seen))) + 1;
    return level[id];
  };
  for (const id of plan.ids) place(id, new Set());
  const columns = [];
  for (const id of plan.ids) (columns[level[id]] ||= []).push(id);
  const at = {};
  const [width, height, across, down] = [210, 46, 280, 62];
  columns.forEach((column, x) => {
    const middle = (id) => (before[id].length ? before[id].reduce((sum, d) => sum + (at[d] ? at[d].y : 0), 0) / before[id].length : 0);
    if (x) column.sort((a, b) => middle(a) - middle(b));
    column.forEach((id, y) => { at[id] = { x: x * across + 10, y: y * down + 10 }; });
  });
  const tall = Math.max(...columns.map((c) => c.length)) * down + 10;
  const picture = svg("svg", { width: columns.length * across, height: tall, role: "group", "aria-label": "Plan" },
    svg("defs", {}, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", fill: colour("dim") }))));
  for (const [from, to] of plan.edges) {
    if (!at[from] || !at[to]) continue;
    const [x1, y1, x2, y2] = [at[from].x + width, at[from].y + height / 2, at[to].x, at[to].y + height / 2];
    picture.append(svg("path", { class: "edge", "marker-end": "url(#tip)", d: `M${x1} ${y1}C${x1 + 35} ${y1} ${x2 - 35} ${y2} ${x2 - 1} ${y2}` }));
  }
  const clip = (text, n) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
  for (const id of plan.ids) {
    const index = plan.threads[id] === undefined ? -1 : plan.threads[id];
    const piece = shown.pieces[index];
    const title = svg("title", {});
    title.textContent = piece ? piece.l : id;
    const first = svg("text", { x: 10, y: 19 });
    first.textContent = clip(piece ? piece.l : id, 30);
    const second = svg("text", { x: 10, y: 37, class: "dim" });
    second.textContent = piece ? `${SIGNS[piece.st] || ""} ${piece.st.replace("_", " ")} · ${secs(piece.e - piece.s)} · ${whole(piece.o)} tokens` : "never started";
    picture.append(svg("g", {
      class: `node ${piece ? piece.st : "skipped"} ${piece && piece.cr ? "critical" : ""}`, tabindex: 0, role: "button",
      transform: `translate(${at[id].x} ${at[id].y})`, onclick: () => go(index),
      onkeydown: (event) => { if (event.key === "Enter") { event.stopPropagation(); go(index); } },
    }, title, svg("rect", { width, height }), first, second));
  }
  return picture;
}

function conflictsPage(shown, go) {
  const found = shown.pieces.map((p, i) => [p, i]).filter(([p]) => p.k === "conflict");
  const cards = found.map(([piece, index]) => {
    const about = piece.a;
    const link = (id) => {
      const to = shown.pieces.findIndex((p) => p.th === id);
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
    if (about["weaver.conflict.value"]) facts.push(["settled on", about["weaver.conflict.value"]]);
    if (about["weaver.conflict.evidence"]) facts.push(["evidence", about["weaver.conflict.evidence"]]);
    return el("section", { class: "card" }, el("h2", {}, el("span", { class: "said-by-model" }, piece.l)), table(null, facts),
      el("p", {}, el("button", { onclick: () => go(index) }, "Show in the waterfall")));
  });
  const none = el("p", { class: "dim" }, "No conflict between threads was found in this run.");
  return { node: el("div", { class: "page" }, cards.length ? cards : none) };
}

function sumsPage(shown, go) {
  const run = shown.run;
  const path = run.path.map((i) => [shown.pieces[i], i]).filter(([p]) => p.own > 0);
  const palette = ["ok", "plan", "tool", "run", "critical", "bad", "wait"].map(colour);
  const meter = el("div", { class: "meter", role: "img", "aria-label": "Critical path over time" }, path.map(([p], i) =>
    el("div", { title: `${p.l}: ${secs(p.own)}`, style: { width: `${p.own / run.seconds * 100}%`, background: palette[i % palette.length] } })));
  const owner = (p) => (p.k === "call" && p.p >= 0 ? shown.pieces[p.p] : p);
  const steps = path.sort(([a], [b]) => b.own - a.own).slice(0, 60).map(([p, i]) =>
    [el("button", { class: "plain", onclick: () => go(i) }, p.k === "call" ? owner(p).l : p.l), p.k, secs(p.own), `${(p.own / run.seconds * 100).toFixed(1)} %`, p.q ? secs(p.q) : "", p.f ? secs(p.f) : "", p.k === "call" ? whole(p.o) : ""]);
  const group = (name, rows) => [el("h2", {}, name), table(["", "calls", "tokens in", "tokens out", "cost", "seconds"],
    rows.map(([label, calls, i, o, m, s]) => [label, whole(calls), whole(i), whole(o), money(m) || "unknown", secs(s)]), [1, 2, 3, 4, 5])];
  const states = {};
  for (const p of shown.pieces) if (p.k === "thread") (states[p.st === "cancelled" ? `cancelled: ${p.r || "?"}` : p.st] ||= []).push(p);
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

function comparePage(runs) {
  const [a, b] = runs;
  const until = Math.max(a.seconds, b.seconds) || 1e-6;
  const change = (x, y, tell, better) => {
    if (typeof x !== "number" || typeof y !== "number") return "";
    if (x === y) return "same";
    const share = x ? ` (${((y - x) / x * 100).toFixed(0)} %)` : "";
    const sign = y > x ? "+" : "−";
    return el("span", { class: !better ? "" : y < x ? "less" : "worse" }, `${sign}${tell(Math.abs(y - x))}${share}`);
  };
  const line = (name, pick, tell, better = true) => [name, pick(a) === null ? "unknown" : tell(pick(a)), pick(b) === null ? "unknown" : tell(pick(b)), change(pick(a), pick(b), tell, better)];
  const canvas = [a, b].map(() => el("canvas", { style: { width: "100%", height: "90px", border: "1px solid var(--line)" } }));
  const threads = new Map();
  [a, b].forEach((run, which) => {
    for (const p of run.pieces) if (p.k === "thread") (threads.get(p.th) || threads.set(p.th, [null, null]).get(p.th))[which] = p;
  });
  const spread = ([x, y]) => Math.abs((x ? x.e - x.s : 0) - (y ? y.e - y.s : 0));
  const rows = [...threads].sort(([, x], [, y]) => spread(y) - spread(x)).slice(0, 300).map(([id, [x, y]]) => [
    id, x ? x.st : "not there", y ? y.st : "not there", x ? secs(x.e - x.s) : "", y ? secs(y.e - y.s) : "",
    x && y ? change(x.e - x.s, y.e - y.s, secs, true) : "", x ? whole(x.o) : "", y ? whole(y.o) : "", (y || x).l,
  ]);
  return {
    node: el("div", { class: "page" },
      table(["", `A: ${a.id}`, `B: ${b.id}`, "B against A"], [
        ["strategy", a.strategy, b.strategy, ""], ["model", a.model, b.model, ""], ["status", a.status, b.status, ""],
        line("wall time", (r) => r.seconds, secs), line("calls", (r) => r.calls, whole), line("tokens in", (r) => r.input, whole),
        line("tokens out", (r) => r.output, whole), line("cost", (r) => r.cost, money),
        line("tokens on the critical path", (r) => r.criticalTokens, whole), line("threads", (r) => r.threads, whole, false),
        line("cancelled threads", (r) => r.cancelled, whole, false), line("conflicts", (r) => r.conflicts, whole, false),
      ], [1, 2, 3]),
      el("h2", {}, "Both over the same time"), el("div", { class: "dim" }, `A, ${secs(a.seconds)}`), canvas[0],
      el("div", { class: "dim" }, `B, ${secs(b.seconds)}`), canvas[1],
      el("h2", {}, "Threads, the largest differences first"),
      table(["thread", "A", "B", "A", "B", "difference", "tokens A", "tokens B", "title"], rows, [3, 4, 5, 6, 7])),
    ready() { paint(canvas[0], a, until); paint(canvas[1], b, until); },
  };
}
