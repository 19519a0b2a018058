// Small helpers. Text from a trace reaches the page through text nodes only, never as markup.
export const SIGNS = {
  succeeded: "✓", complete: "✓", failed: "✗", timed_out: "!", cancelled: "⊘", skipped: "·", running: "…", waiting: "·", planned: "·",
};

// Terminal sequences and characters that reorder a line are shown as what they are.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

export function clean(text) {
  return text.replace(/\r\n/g, "\n").replace(CONTROLS, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "␡" : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

export function el(tag, options, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(options || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "style") Object.assign(node.style, value);
    else if (key === "value") node.value = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : clean(String(value)));
  }
  for (const child of children.flat(3)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    node.append(child instanceof Node ? child : clean(String(child)));
  }
  return node;
}

export function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, clean(String(value)));
  }
  node.append(...children.map((child) => (child instanceof Node ? child : clean(String(child)))));
  return node;
}

export const whole = (n) => n.toLocaleString("en-US");

export function secs(value) {
  if (Math.abs(value) < 0.1) return `${(value * 1000).toFixed(value && Math.abs(value) < 0.01 ? 1 : 0)} ms`;
  if (Math.abs(value) < 100) return `${value.toFixed(2)} s`;
  return `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, "0")} min`;
}

export function money(value) {
  if (value === null || value === undefined) return "";
  if (value > 0 && value < 0.00005) return "<$0.0001";
  return value < 1 ? `$${value.toFixed(4)}` : `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

// A reason as words: names such as not_needed come from the program.
export const words = (name) => (/^[a-z_]+$/.test(name) ? name.replaceAll("_", " ") : name);

export const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

// Tell users of screen readers.
export function announce(text) {
  document.getElementById("announcement").textContent = clean(text);
}

export function table(head, rows, numbers, options) {
  const cells = (row, tag) => row.map((value, i) =>
    el(tag, { class: numbers && numbers.includes(i) ? "n" : "text", scope: tag === "th" && "col" }, value instanceof Node ? value : String(value)));
  return el("table", options || {},
    head && el("thead", {}, el("tr", {}, cells(head, "th"))),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row, "td")))));
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  return root.dataset.theme;
}

// A list of many rows of one height: only those on the screen are in the document.
export class Rows {
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
