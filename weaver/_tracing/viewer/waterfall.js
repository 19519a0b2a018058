// The waterfall: tree on the left, bars over time on the right, an overview above.
import { Rows, SIGNS, announce, colour, el, money, secs, whole, words } from "./base.js";
import { detailOf } from "./detail.js";
import { barClass, colourOf } from "./kinds.js";

const ROW = 26;

export function waterfall(model) {
  const detail = el("aside", { class: "detail", "aria-label": "Details", tabindex: 0, hidden: !model.details });
  const rows = new Rows(ROW, fill, { role: "treegrid", "aria-label": "Waterfall", "aria-rowcount": 0 });
  const axis = el("div", { class: "axis" }, el("div", { class: "name" }),
    el("div", { class: "number tokens" }, "tokens"), el("div", { class: "number cost" }, "cost"), el("div", { class: "track" }));
  const overview = minimap(model, () => redraw());
  const search = el("input", { type: "search", placeholder: "Find (press /)", "aria-label": "Find", value: model.text });
  const only = el("select", { "aria-label": "Show only" },
    [["all", "everything"], ["critical", "critical path"], ["failed", "failed"], ["cancelled", "cancelled"]]
      .map(([value, name]) => el("option", { value, selected: model.only === value }, name)));
  const hits = el("span", { class: "dim" });
  const button = (text, label, action) => el("button", { title: label, "aria-label": label, onclick: action }, text);
  const node = el("div", { class: "split" },
    el("div", { class: `chart${model.run.cost === null ? " no-cost" : ""}` },
      el("div", { class: "tools" }, search, only,
        button("−", "Zoom out (-)", () => { model.zoom(2); redraw(); }),
        button("+", "Zoom in (+)", () => { model.zoom(0.5); redraw(); }),
        button("Whole run", "Show the whole run (0)", () => { model.range = [0, model.run.seconds || 1e-6]; redraw(); }),
        button("Open all", "Open all rows", () => { model.collapsed.clear(); refresh(); }),
        button("Fold", "Fold all rows", () => {
          model.pieces.forEach((p, i) => { if (i && p.n) model.collapsed.add(p.id); });
          refresh();
        }),
        button("Details", "Show or hide details (d)", () => details(detail.hidden)),
        hits),
      overview.node, axis, rows.node, el("div", { class: "legend", "aria-hidden": "true" }, legend())),
    detail);

  function legend() {
    const item = (classes, text, inner) => el("span", {}, el("i", {}, el("div", { class: `bar ${classes}` }, inner)), text);
    return [
      item("k-plan", "planner"), item("k-thread", "thread", el("div", { class: "part first", style: { width: "40%" } })), "(pale: until the first token)",
      item("k-tool", "tool"), item("k-conflict", "conflict"), item("k-synthesis", "merge"), item("k-join join", "waiting"),
      item("k-thread", "queue", el("div", { class: "part queue", style: { width: "100%" } })), item("k-thread cancelled", "cancelled"),
      item("k-thread failed", "failed"), item("k-thread critical", ["critical path", el("b", { class: "star" }, "●")]),
    ];
  }

  function details(visible) {
    model.details = visible;
    detail.hidden = !visible;
    drawDetail();
    redraw();
  }

  function fill(at) {
    const index = model.rows[at];
    const piece = model.pieces[index];
    const open = !model.collapsed.has(piece.id);
    const bad = ["cancelled", "failed", "timed_out", "skipped"].includes(piece.st);
    const more = piece.w || (bad && piece.r && piece.r !== piece.st ? words(piece.r) : "");
    return el("div", {
      class: `row${index === model.selected ? " selected" : ""}${model.text && model.matches(piece) ? " hit" : ""}`,
      role: "row", id: `row-${index}`, "aria-level": piece.d + 1, "aria-selected": String(index === model.selected),
      "aria-expanded": piece.n ? String(open) : undefined, "aria-rowindex": at + 1,
      "aria-label": `${piece.l || piece.k}, ${piece.st.replace("_", " ")}, ${secs(piece.e - piece.s)}`,
      onclick: (event) => {
        if (event.target.className === "turn" && piece.n) turn(index, !open);
        select(index);
        if (event.target.className !== "turn" && detail.hidden) details(true);
      },
      ondblclick: () => { model.range = [piece.s, Math.max(piece.e, piece.s + 1e-6)]; redraw(); },
    },
    el("div", { class: "name", role: "gridcell", title: `${piece.l}${more ? ` (${more})` : ""}` },
      el("span", { class: "star" }, piece.cr ? "●" : ""),
      el("span", { class: "indent", style: { width: `${Math.min(piece.d, 20) * 12}px` } }),
      el("span", { class: "turn" }, piece.n ? (open ? "▾" : "▸") : ""),
      el("span", { class: `sign ${piece.st}`, title: piece.st }, SIGNS[piece.st] || "?"),
      el("span", { class: "label" }, piece.l || piece.k), el("span", { class: "more" }, more)),
    el("div", { class: "number tokens", role: "gridcell" }, piece.c ? `${whole(piece.i)} → ${whole(piece.o)}` : ""),
    el("div", { class: "number cost", role: "gridcell" }, piece.c ? money(piece.m) : ""),
    el("div", { class: "track", role: "gridcell" }, bar(index, piece, open)));
  }

  function bar(index, piece, open) {
    const [from, to] = model.range;
    if (piece.e < from || piece.s > to) return null;
    const share = (t) => (t - from) / (to - from) * 100;
    const left = Math.max(share(piece.s), -50);
    const right = Math.min(share(piece.e), 150);
    const node = el("div", { class: barClass(model.pieces, piece), style: { left: `${left}%`, width: `max(3px, ${right - left}%)` } });
    const call = piece.k === "call" ? piece : !open && piece.n === 1 ? model.pieces[index + 1] : null;
    if (call && call.k === "call" && right > left) {
      const inner = (t) => `${Math.min(Math.max((share(t) - left) / (right - left), 0), 1) * 100}%`;
      if (call.q) node.append(el("div", { class: "part queue", style: { width: inner(call.s + call.q) } }));
      if (call.f) {
        node.append(el("div", { class: "part first", style: { left: inner(call.s + call.q), width: inner(call.s + call.f) } }));
      }
    }
    // The time stands behind the bar, or before it where there is more room.
    const behind = right < 80 || left < 100 - right;
    const place = behind ? { left: `${Math.min(right, 88)}%` } : { right: `${Math.min(100 - left, 88)}%` };
    return [node, el("span", { class: "took", style: right - left > 78 ? { display: "none" } : place }, secs(piece.e - piece.s))];
  }

  function drawAxis() {
    const track = axis.lastChild;
    track.replaceChildren();
    axis.style.marginRight = `${rows.node.offsetWidth - rows.node.clientWidth}px`;
    const [from, to] = model.range;
    const width = track.clientWidth || 600;
    const step = niceStep((to - from) / Math.max(2, Math.floor(width / 60)));
    const last = to - (to - from) * 44 / width; // a tick after it would be cut
    for (let t = Math.ceil(from / step) * step; t < last; t += step) {
      track.append(el("span", { class: "tick", style: { left: `${(t - from) / (to - from) * 100}%` } }, secs(t)));
    }
  }

  function turn(index, open) {
    const id = model.pieces[index].id;
    if (open) model.collapsed.delete(id); else model.collapsed.add(id);
    refresh();
  }

  function select(index) {
    const before = model.rows.indexOf(model.selected);
    model.selected = index;
    for (const at of [before, model.rows.indexOf(index)]) {
      const old = rows.pool.get(at);
      if (old) { const fresh = fill(at); fresh.style.top = old.style.top; old.replaceWith(fresh); rows.pool.set(at, fresh); }
    }
    rows.node.setAttribute("aria-activedescendant", `row-${index}`);
    drawDetail();
  }

  function drawDetail() {
    if (detail.hidden) return;
    const close = el("button", { class: "icon close", "aria-label": "Close details", onclick: () => { details(false); rows.node.focus(); } }, "×");
    detail.replaceChildren(close, ...detailOf(model, model.selected, go));
  }

  function go(index) {
    if (index < 0) return;
    model.reveal(index);
    search.value = "";
    only.value = "all";
    refresh();
    rows.show(model.rows.indexOf(index));
    select(index);
    rows.node.focus();
  }

  function redraw() {
    rows.reset(model.rows.length);
    drawAxis();
    overview.draw();
  }

  function refresh() {
    model.update();
    hits.textContent = model.text || model.only !== "all" ? `${whole(model.hits)} found` : "";
    rows.node.setAttribute("aria-rowcount", model.rows.length);
    redraw();
  }

  function next(test) {
    const count = model.pieces.length;
    for (let i = 1; i <= count; i++) {
      const at = (model.selected + i) % count;
      if (test(model.pieces[at])) { go(at); return; }
    }
    announce("Nothing of that kind.");
  }

  function key(event) {
    const at = model.rows.indexOf(model.selected);
    const piece = model.pieces[model.selected];
    const page = Math.max(1, Math.floor(rows.node.clientHeight / ROW) - 1);
    const move = (to) => {
      const index = model.rows[Math.min(Math.max(to, 0), model.rows.length - 1)];
      rows.show(model.rows.indexOf(index));
      select(index);
    };
    const actions = {
      ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1), PageDown: () => move(at + page),
      PageUp: () => move(at - page), Home: () => move(0), End: () => move(model.rows.length - 1),
      ArrowRight: () => (piece.n && model.collapsed.has(piece.id) ? turn(model.selected, true) : move(at + 1)),
      ArrowLeft: () => (piece.n && !model.collapsed.has(piece.id) ? turn(model.selected, false) : piece.p >= 0 && go(piece.p)),
      Enter: () => { details(true); detail.focus(); }, d: () => details(detail.hidden),
      "+": () => { model.zoom(0.5, (piece.s + piece.e) / 2); redraw(); }, "=": () => { model.zoom(0.5, (piece.s + piece.e) / 2); redraw(); },
      "-": () => { model.zoom(2); redraw(); }, 0: () => { model.range = [0, model.run.seconds || 1e-6]; redraw(); },
      "[": () => { model.pan(-0.25); redraw(); }, "]": () => { model.pan(0.25); redraw(); },
      z: () => { model.range = [piece.s, Math.max(piece.e, piece.s + 1e-6)]; redraw(); },
      c: () => next((p) => p.cr && p.k !== "run"), e: () => next((p) => ["failed", "timed_out"].includes(p.st)),
      x: () => next((p) => p.st === "cancelled"),
    };
    const inside = document.activeElement === rows.node || document.activeElement === document.body;
    if (event.key === "Escape" && !detail.hidden) { details(false); rows.node.focus(); return true; }
    if (!(event.key in actions) || (event.key.length > 1 && !inside)) return false;
    actions[event.key]();
    return true;
  }

  rows.node.addEventListener("wheel", (event) => {
    const box = axis.lastChild.getBoundingClientRect();
    const at = model.range[0] + (event.clientX - box.left) / box.width * (model.range[1] - model.range[0]);
    if (event.ctrlKey || event.metaKey) { event.preventDefault(); model.zoom(event.deltaY > 0 ? 1.25 : 0.8, at); redraw(); }
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      model.pan((event.deltaX || event.deltaY) / 1000);
      redraw();
    }
  }, { passive: false });
  dragged(axis.lastChild, (a, b) => {
    const [from, to] = model.range;
    model.range = [from + a * (to - from), from + b * (to - from)];
    redraw();
  });
  search.addEventListener("input", () => { model.text = search.value.trim().toLowerCase(); refresh(); });
  only.addEventListener("change", () => { model.only = only.value; refresh(); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") {
      if (event.key === "Escape") { search.value = model.text = ""; refresh(); }
      else {
        const first = model.pieces.findIndex((p) => model.matches(p));
        if (first >= 0 && model.rows.length) { rows.show(model.rows.indexOf(first)); select(first); }
      }
      rows.node.focus();
      event.stopPropagation();
    }
  });
  return { node, key, go, find: () => search.focus(), ready() { refresh(); select(model.selected); rows.show(model.rows.indexOf(model.selected)); rows.node.focus(); } };
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

// All pieces at once, a pixel each if need be; also used to compare two runs.
export function paint(canvas, run, until) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 600;
  const height = canvas.clientHeight || 46;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const lanes = [];
  const top = run.pieces.filter((p) => p.d === 1 && p.k !== "join");
  const placed = top.map((piece) => {
    let lane = lanes.findIndex((end) => end <= piece.s);
    if (lane < 0) lane = lanes.length;
    lanes[lane] = piece.e;
    return lane;
  });
  const step = height / Math.max(lanes.length, 1);
  top.forEach((piece, i) => {
    context.fillStyle = colourOf(run.pieces, piece);
    context.fillRect(piece.s / until * width, placed[i] * step, Math.max((piece.e - piece.s) / until * width, 1), Math.max(step - (step > 3 ? 1 : 0), 0.6));
    if (!piece.cr) return;
    context.fillStyle = colour("critical");
    context.fillRect(piece.s / until * width, placed[i] * step + step - Math.min(3, step / 3), Math.max((piece.e - piece.s) / until * width, 1), Math.min(3, step / 3));
  });
}

function minimap(model, changed) {
  const canvas = el("canvas", { "aria-hidden": true });
  const pane = el("div", { class: "window" });
  const node = el("div", { class: "minimap", title: "Drag to zoom, double-click to see all" }, canvas, pane);
  dragged(node, (a, b) => { model.range = [a * model.run.seconds, b * model.run.seconds]; changed(); });
  node.addEventListener("dblclick", () => { model.range = [0, model.run.seconds || 1e-6]; changed(); });
  new ResizeObserver(() => draw()).observe(node);
  function draw() {
    const until = model.run.seconds || 1e-6;
    paint(canvas, model.run, until);
    pane.classList.toggle("whole", model.range[1] - model.range[0] >= until);
    pane.style.left = `${model.range[0] / until * 100}%`;
    pane.style.width = `${(model.range[1] - model.range[0]) / until * 100}%`;
  }
  return { node, draw };
}
