// Small helpers. Text from a trace reaches the page through textContent only, never as markup.
const SIGNS = { succeeded: "✓", failed: "✗", timed_out: "!", cancelled: "⊘", skipped: "·", running: "…" };

function el(tag, options, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(options || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "style") Object.assign(node.style, value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== false) node.append(child);
  }
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, String(value));
  }
  node.append(...children);
  return node;
}

const whole = (n) => n.toLocaleString("en-US");

function secs(value) {
  if (Math.abs(value) < 0.1) return `${(value * 1000).toFixed(value && Math.abs(value) < 0.01 ? 1 : 0)} ms`;
  if (Math.abs(value) < 100) return `${value.toFixed(2)} s`;
  return `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, "0")} min`;
}

function money(value) {
  if (value === null || value === undefined) return "";
  if (value > 0 && value < 0.00005) return "<$0.0001";
  return value < 1 ? `$${value.toFixed(4)}` : `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function say(text) {
  document.getElementById("said").textContent = text;
}

function table(head, rows, numbers) {
  const cells = (row, tag) => row.map((value, i) =>
    el(tag, { class: numbers && numbers.includes(i) ? "n" : "text" }, value instanceof Node ? value : String(value)));
  return el("table", {},
    head && el("thead", {}, el("tr", {}, cells(head, "th"))),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row, "td")))));
}

// A list of many rows of one height: only those on the screen are in the document.
class Rows {
  constructor(height, fill, options) {
    this.height = height;
    this.fill = fill;
    this.count = 0;
    this.pool = new Map();
    this.space = el("div", { class: "space" });
    this.node = el("div", { class: "rows", tabindex: 0, ...options }, this.space);
    this.node.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(this.node);
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  reset(count) {
    this.count = count;
    this.space.style.height = `${count * this.height}px`;
    for (const node of this.pool.values()) node.remove();
    this.pool.clear();
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - 4);
    const last = Math.min(this.count, Math.ceil((this.node.scrollTop + this.node.clientHeight) / this.height) + 4);
    for (const [index, node] of this.pool) {
      if (index < first || index >= last) { node.remove(); this.pool.delete(index); }
    }
    for (let index = first; index < last; index++) {
      if (this.pool.has(index)) continue;
      const node = this.fill(index);
      node.style.top = `${index * this.height}px`;
      this.pool.set(index, node);
      this.space.append(node);
    }
  }

  show(index) {
    const top = index * this.height;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + this.height > this.node.scrollTop + this.node.clientHeight) {
      this.node.scrollTop = top + this.height - this.node.clientHeight;
    }
    this.draw();
  }
}
