// The waterfall: tree on the left, bars over time on the right, an overview above.
function waterfall(shown, store) {
  const detail = el("aside", { class: "detail", "aria-label": "Details", tabindex: 0 });
  const rows = new Rows(22, fill, { role: "treegrid", "aria-label": "Waterfall", "aria-rowcount": 0 });
  const axis = el("div", { class: "axis" }, el("div", { class: "name" }), el("div", { class: "number" }, "time"),
    el("div", { class: "number wide" }, "tokens"), el("div", { class: "number" }, "cost"), el("div", { class: "track" }));
  const overview = minimap(shown, () => redraw());
  const search = el("input", { type: "search", placeholder: "Find (press /)", "aria-label": "Find", value: shown.text });
  const only = el("select", { "aria-label": "Show only" },
    [["all", "everything"], ["critical", "critical path"], ["failed", "failed"], ["cancelled", "cancelled"]]
      .map(([value, name]) => el("option", { value, selected: shown.only === value }, name)));
  const found = el("span", { class: "dim" });
  const button = (text, label, action) => el("button", { title: label, "aria-label": label, onclick: action }, text);
  const node = el("div", { class: "split" },
    el("div", { class: "chart" },
      el("div", { class: "tools" }, search, only,
        button("−", "Zoom out (-)", () => { shown.zoom(2); redraw(); }),
        button("+", "Zoom in (+)", () => { shown.zoom(0.5); redraw(); }),
        button("Whole run", "Show the whole run (0)", () => { shown.range = [0, shown.run.seconds || 1e-6]; redraw(); }),
        button("Open all", "Open all rows", () => { shown.collapsed.clear(); refresh(); }),
        button("Fold", "Fold all rows", () => {
          shown.pieces.forEach((p, i) => { if (i && p.n) shown.collapsed.add(p.id); });
          refresh();
        }),
        button("Details", "Show or hide details (d)", () => { detail.hidden = !detail.hidden; }),
        found),
      el("div", { class: "tools legend" }, legend()),
      overview.node, axis, rows.node),
    detail);

  function legend() {
    const item = (classes, text, inner) => el("span", {}, el("i", {}, el("div", { class: `bar ${classes}` }, inner)), text);
    return [
      item("call", "work", el("div", { class: "part first", style: { width: "40%" } })), "(pale: until the first token)",
      item("call", "queue", el("div", { class: "part queue", style: { width: "100%" } })),
      item("plan", "plan, merge"), item("tool", "tool"), item("join", "waiting"), item("cancelled", "cancelled"),
      item("failed", "failed"), item("call critical", "critical path ●"),
    ];
  }

  function fill(at) {
    const index = shown.rows[at];
    const piece = shown.pieces[index];
    const open = !shown.collapsed.has(piece.id);
    const bad = ["cancelled", "failed", "timed_out", "skipped"].includes(piece.st);
    const more = piece.w || (bad && piece.r && piece.r !== piece.st ? piece.r : "");
    const row = el("div", {
      class: `row${index === shown.selected ? " selected" : ""}${shown.text && shown.matches(piece) ? " hit" : ""}`,
      role: "row", id: `row-${index}`, "aria-level": piece.d + 1, "aria-selected": index === shown.selected,
      "aria-expanded": piece.n ? String(open) : undefined, "aria-rowindex": at + 1,
      onclick: (event) => {
        if (event.target.className === "turn" && piece.n) turn(index, !open);
        select(index);
      },
      ondblclick: () => { shown.range = [piece.s, Math.max(piece.e, piece.s + 1e-6)]; redraw(); },
    },
    el("div", { class: "name", role: "gridcell", title: `${piece.l}${more ? ` (${more})` : ""}` },
      el("span", { class: "star" }, piece.cr ? "●" : ""),
      el("span", { style: { width: `${Math.min(piece.d, 20) * 12}px`, flex: "none" } }),
      el("span", { class: "turn" }, piece.n ? (open ? "▾" : "▸") : ""),
      el("span", { class: `sign ${piece.st}`, title: piece.st }, SIGNS[piece.st] || "?"),
      el("span", { class: "label" }, piece.l || piece.k), el("span", { class: "more" }, more)),
    el("div", { class: "number", role: "gridcell" }, secs(piece.e - piece.s)),
    el("div", { class: "number wide", role: "gridcell" }, piece.c ? `${whole(piece.i)}→${whole(piece.o)}` : ""),
    el("div", { class: "number", role: "gridcell" }, piece.c ? money(piece.m) : ""),
    el("div", { class: "track", role: "gridcell" }, bar(index, piece, open)));
    return row;
  }

  function bar(index, piece, open) {
    const [from, to] = shown.range;
    if (piece.e < from || piece.s > to) return null;
    const share = (t) => (t - from) / (to - from) * 100;
    const left = Math.max(share(piece.s), -50);
    const right = Math.min(share(piece.e), 150);
    const node = el("div", {
      class: `bar ${piece.k} ${piece.st === "succeeded" ? "" : piece.st} ${piece.cr ? "critical" : ""}`,
      style: { left: `${left}%`, width: `max(2px, ${right - left}%)` },
    });
    const call = piece.k === "call" ? piece : !open && piece.n === 1 ? shown.pieces[index + 1] : null;
    if (call && call.k === "call" && right > left) {
      const inner = (t) => `${Math.min(Math.max((share(t) - left) / (right - left), 0), 1) * 100}%`;
      if (call.q) node.append(el("div", { class: "part queue", style: { width: inner(call.s + call.q) } }));
      if (call.f) {
        node.append(el("div", { class: "part first", style: { left: inner(call.s + call.q), width: inner(call.s + call.f) } }));
      }
    }
    return node;
  }

  function drawAxis() {
    const track = axis.lastChild;
    track.replaceChildren();
    axis.style.marginRight = `${rows.node.offsetWidth - rows.node.clientWidth}px`;
    const [from, to] = shown.range;
    const step = niceStep((to - from) / Math.max(2, Math.floor((track.clientWidth || 600) / 70)));
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      track.append(el("span", { class: "tick", style: { left: `${(t - from) / (to - from) * 100}%` } }, secs(t)));
    }
  }

  function turn(index, open) {
    const id = shown.pieces[index].id;
    if (open) shown.collapsed.delete(id); else shown.collapsed.add(id);
    refresh();
  }

  function select(index) {
    const before = shown.rows.indexOf(shown.selected);
    shown.selected = index;
    for (const at of [before, shown.rows.indexOf(index)]) {
      const old = rows.pool.get(at);
      if (old) { const fresh = fill(at); fresh.style.top = old.style.top; old.replaceWith(fresh); rows.pool.set(at, fresh); }
    }
    rows.node.setAttribute("aria-activedescendant", `row-${index}`);
    drawDetail();
  }

  function drawDetail() {
    detail.replaceChildren(...detailOf(shown, shown.selected, go));
  }

  function go(index) {
    if (index < 0) return;
    shown.reveal(index);
    search.value = "";
    only.value = "all";
    refresh();
    rows.show(shown.rows.indexOf(index));
    select(index);
    rows.node.focus();
  }

  function redraw() {
    rows.reset(shown.rows.length);
    drawAxis();
    overview.draw();
  }

  function refresh() {
    shown.update();
    found.textContent = shown.text || shown.only !== "all" ? `${whole(shown.hits)} found` : "";
    rows.node.setAttribute("aria-rowcount", shown.rows.length);
    redraw();
  }

  function next(test) {
    const count = shown.pieces.length;
    for (let i = 1; i <= count; i++) {
      const at = (shown.selected + i) % count;
      if (test(shown.pieces[at])) { go(at); return; }
    }
    say("Nothing of that kind.");
  }

  function key(event) {
    const at = shown.rows.indexOf(shown.selected);
    const piece = shown.pieces[shown.selected];
    const page = Math.max(1, Math.floor(rows.node.clientHeight / 22) - 1);
    const move = (to) => {
      const index = shown.rows[Math.min(Math.max(to, 0), shown.rows.length - 1)];
      rows.show(shown.rows.indexOf(index));
      select(index);
    };
    const actions = {
      ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1), PageDown: () => move(at + page),
      PageUp: () => move(at - page), Home: () => move(0), End: () => move(shown.rows.length - 1),
      ArrowRight: () => (piece.n && shown.collapsed.has(piece.id) ? turn(shown.selected, true) : move(at + 1)),
      ArrowLeft: () => (piece.n && !shown.collapsed.has(piece.id) ? turn(shown.selected, false) : piece.p >= 0 && go(piece.p)),
      Enter: () => { detail.hidden = false; detail.focus(); }, d: () => { detail.hidden = !detail.hidden; },
      "+": () => { shown.zoom(0.5, (piece.s + piece.e) / 2); redraw(); }, "=": () => { shown.zoom(0.5, (piece.s + piece.e) / 2); redraw(); },
      "-": () => { shown.zoom(2); redraw(); }, 0: () => { shown.range = [0, shown.run.seconds || 1e-6]; redraw(); },
      "[": () => { shown.pan(-0.25); redraw(); }, "]": () => { shown.pan(0.25); redraw(); },
      z: () => { shown.range = [piece.s, Math.max(piece.e, piece.s + 1e-6)]; redraw(); },
      c: () => next((p) => p.cr && p.k !== "run"), e: () => next((p) => ["failed", "timed_out"].includes(p.st)),
      x: () => next((p) => p.st === "cancelled"),
    };
    const inside = document.activeElement === rows.node || document.activeElement === document.body;
    if (!(event.key in actions) || (event.key.length > 1 && !inside)) return false;
    actions[event.key]();
    return true;
  }

  rows.node.addEventListener("wheel", (event) => {
    const box = axis.lastChild.getBoundingClientRect();
    const at = shown.range[0] + (event.clientX - box.left) / box.width * (shown.range[1] - shown.range[0]);
    if (event.ctrlKey || event.metaKey) { event.preventDefault(); shown.zoom(event.deltaY > 0 ? 1.25 : 0.8, at); redraw(); }
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      shown.pan((event.deltaX || event.deltaY) / 1000);
      redraw();
    }
  }, { passive: false });
  dragged(axis.lastChild, (a, b) => {
    const [from, to] = shown.range;
    shown.range = [from + a * (to - from), from + b * (to - from)];
    redraw();
  });
  search.addEventListener("input", () => { shown.text = search.value.trim().toLowerCase(); refresh(); });
  only.addEventListener("change", () => { shown.only = only.value; refresh(); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") {
      if (event.key === "Escape") { search.value = shown.text = ""; refresh(); }
      else {
        const first = shown.pieces.findIndex((p) => shown.matches(p));
        if (first >= 0 && shown.rows.length) { rows.show(shown.rows.indexOf(first)); select(first); }
      }
      rows.node.focus();
      event.stopPropagation();
    }
  });
  return { node, key, go, find: () => search.focus(), ready() { refresh(); select(shown.selected); rows.show(shown.rows.indexOf(shown.selected)); rows.node.focus(); } };
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least || 1));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least) || power * 10;
}

function dragged(node, done) {
  node.addEventListener("pointerdown", (event) => {
    const box = node.getBoundingClientRect();
    const share = (e) => Math.min(Math.max((e.clientX - box.left) / box.width, 0), 1);
    const start = share(event);
    node.setPointerCapture(event.pointerId);
    node.addEventListener("pointerup", (up) => {
      const end = share(up);
      if (Math.abs(end - start) > 0.005) done(Math.min(start, end), Math.max(start, end));
    }, { once: true });
  });
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// All pieces at once, a pixel each if need be; also used to compare two runs.
function paint(canvas, run, until) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 600;
  const height = canvas.clientHeight || 46;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const colours = {
    succeeded: colour("ok"), failed: colour("bad"), timed_out: colour("bad"), cancelled: colour("cut"),
    skipped: colour("cut"), running: colour("run"),
  };
  const special = { plan: colour("plan"), synthesis: colour("plan"), tool: colour("tool") };
  const lanes = [];
  const shown = run.pieces.filter((p) => p.d === 1 && p.k !== "join");
  const placed = shown.map((piece) => {
    let lane = lanes.findIndex((end) => end <= piece.s);
    if (lane < 0) lane = lanes.length;
    lanes[lane] = piece.e;
    return lane;
  });
  const step = height / Math.max(lanes.length, 1);
  shown.forEach((piece, i) => {
    context.fillStyle = piece.cr ? colour("critical") : (piece.st === "succeeded" && special[piece.k]) || colours[piece.st] || colour("wait");
    context.fillRect(piece.s / until * width, placed[i] * step, Math.max((piece.e - piece.s) / until * width, 1), Math.max(step - (step > 3 ? 1 : 0), 0.6));
  });
}

function minimap(shown, changed) {
  const canvas = el("canvas", { "aria-hidden": true });
  const pane = el("div", { class: "window" });
  const node = el("div", { class: "minimap", title: "Drag to zoom, double-click to see all" }, canvas, pane);
  dragged(node, (a, b) => { shown.range = [a * shown.run.seconds, b * shown.run.seconds]; changed(); });
  node.addEventListener("dblclick", () => { shown.range = [0, shown.run.seconds || 1e-6]; changed(); });
  new ResizeObserver(() => draw()).observe(node);
  function draw() {
    const until = shown.run.seconds || 1e-6;
    paint(canvas, shown.run, until);
    pane.style.left = `${shown.range[0] / until * 100}%`;
    pane.style.width = `${(shown.range[1] - shown.range[0]) / until * 100}%`;
  }
  return { node, draw };
}
