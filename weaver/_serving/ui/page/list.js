// The runs and workflows at the side.
import { SIGNS, el, money, secs, whole } from "../viewer/base.js";
import { call } from "./api.js";

export function ago(milliseconds) {
  const seconds = (Date.now() - milliseconds) / 1000;
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return new Date(milliseconds).toLocaleDateString();
}

export function factsLine(row) {
  const facts = [row.strategy, row.seconds === null ? "" : secs(row.seconds), row.tokens ? `${whole(row.tokens)} tokens` : "", money(row.cost)];
  return facts.filter(Boolean).join(" · ");
}

export class RunList {
  constructor(node, page) {
    this.page = page;
    this.current = "";
    this.search = el("input", { type: "search", placeholder: "Find a run (press /)", "aria-label": "Find a run", oninput: () => this.draw() });
    this.lists = el("div", { class: "lists" });
    node.append(el("div", { class: "head" }, el("a", { class: "primary", href: "#/" }, "New question"), this.search), this.lists);
  }

  async load() {
    if (this.loading) { this.stale = true; return; }
    this.loading = true;
    try {
      this.page.runs = (await call("/runs")).runs;
      this.draw();
    } catch { /* the banner says so */ }
    this.loading = false;
    if (this.stale) { this.stale = false; setTimeout(() => this.load(), 300); }
  }

  find() { this.search.focus(); }

  mark(target) {
    this.current = target;
    for (const link of this.lists.querySelectorAll("a")) {
      if (link.getAttribute("href") === target) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
  }

  draw() {
    const text = this.search.value.trim().toLowerCase();
    const rows = this.page.runs.filter((row) => !text || `${row.question} ${row.strategy} ${row.model} ${row.id} ${row.status}`.toLowerCase().includes(text));
    const active = document.activeElement && this.lists.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const item = (row) => el("li", {}, el("a", { href: `#/run/${encodeURIComponent(row.id)}` },
      el("span", { class: "title" }, row.question || row.strategy || row.id),
      el("span", { class: "meta" }, el("span", { class: row.status, "aria-hidden": "true" }, SIGNS[row.status] || "·"), el("span", { class: "hidden-text" }, row.status),
        row.asks ? el("span", { class: "asks" }, "waits for you") : el("span", { class: "facts-line" }, factsLine(row)), el("span", { class: "end" }, ago(row.started)))));
    const going = rows.filter((row) => ["running", "starting"].includes(row.status));
    const over = rows.filter((row) => !["running", "starting"].includes(row.status)).slice(0, 200);
    const flows = this.page.about ? this.page.about.workflows : [];
    const group = (name, items) => (items.length ? [el("h2", {}, name), el("ul", { "aria-label": name }, items)] : []);
    this.lists.replaceChildren(...group("Running", going.map(item)),
      ...(text ? [] : group("Workflows", flows.map((flow) => el("li", {}, el("a", { href: `#/workflow/${encodeURIComponent(flow.name)}` },
        el("span", { class: "title" }, flow.name), el("span", { class: "meta" }, `${flow.steps} steps`)))))),
      ...group("Runs", over.map(item)), ...(rows.length ? [] : [el("p", { class: "dim" }, text ? "No run fits." : "No run yet.")]));
    this.mark(this.current);
    if (active) [...this.lists.querySelectorAll("a")].find((a) => a.getAttribute("href") === active)?.focus();
  }
}
