// One thread: its title, state, text while it is written, tools.
import { SIGNS, clean, el, secs, whole } from "../viewer/base.js";

const TAIL = 12_000; // characters of a text that a closed card lays out

export class ThreadCard {
  constructor(id, stop) {
    this.id = id;
    this.title = el("h3", { dir: "auto" });
    this.stopButton = el("button", { onclick: stop }, "Stop");
    this.meta = el("div", { class: "meta" });
    this.body = el("div", { class: "body", tabindex: 0, role: "region" });
    this.tools = el("div");
    this.problem = el("div", { class: "problem", hidden: true });
    this.node = el("article", { class: "thread-card", tabindex: -1 }, el("header", {}, this.title, this.stopButton), this.meta, this.problem, this.tools, this.body);
    this.length = 0;
  }

  update(state, changes) {
    const thread = state.threads[this.id];
    const fields = changes === null ? null : new Set(changes.map(([path]) => path[2]));
    const has = (...names) => fields === null || fields.has(undefined) || names.some((name) => fields.has(name));
    if (has("title", "state", "remark", "error", "usage", "seconds")) this.drawHead(thread);
    if (has("tools")) this.drawTools(thread);
    if (has("text", "reasoning")) this.drawText(thread, changes);
  }

  drawHead(thread) {
    this.node.className = `thread-card ${thread.state}${this.isOpen ? " open" : ""}`;
    this.node.setAttribute("aria-label", clean(`${thread.title || thread.id}, ${thread.state.replace("_", " ")}`));
    this.body.setAttribute("aria-label", clean(`Text of ${thread.title || thread.id}`));
    this.node.style.marginInlineStart = thread.depth > 1 ? `${Math.min(thread.depth - 1, 4) * 14}px` : "";
    this.title.textContent = clean(thread.title || thread.id);
    this.stopButton.hidden = thread.state !== "running";
    this.stopButton.setAttribute("aria-label", clean(`Stop ${thread.title || thread.id}`));
    this.clock = el("span", {}, thread.seconds === null ? "" : secs(thread.seconds));
    const tokens = thread.usage && thread.usage.output_tokens;
    this.meta.replaceChildren(el("span", { class: thread.state }, `${SIGNS[thread.state] || ""} ${thread.state.replace("_", " ")}`), this.clock,
      ...(tokens ? [el("span", {}, `${whole(tokens)} tokens`)] : []), ...(thread.remark ? [el("span", {}, thread.remark)] : []),
      ...(thread.after.length ? [el("span", {}, `after ${thread.after.join(", ")}`)] : []), this.toggle());
    this.problem.hidden = !thread.error;
    this.problem.textContent = clean(thread.error || "");
  }

  toggle() {
    return el("button", { class: "plain", "aria-expanded": String(Boolean(this.isOpen)), onclick: (event) => {
      this.isOpen = !this.isOpen;
      this.node.classList.toggle("open", this.isOpen);
      if (this.thread) this.drawText(this.thread, null);
      event.target.textContent = this.isOpen ? "less" : "all of it";
      event.target.setAttribute("aria-expanded", String(this.isOpen));
    } }, this.isOpen ? "less" : "all of it");
  }

  drawText(thread, changes) {
    this.thread = thread;
    const grows = changes !== null && changes.every(([path, , appends]) => path.length > 2 && (!["text", "reasoning"].includes(path[2]) || appends));
    const bottom = this.body.scrollHeight - this.body.scrollTop - this.body.clientHeight < 30;
    const fits = this.isOpen || thread.text.length < TAIL;
    if (grows && fits && this.body.firstChild && changes.every(([path]) => path[2] !== "reasoning")) {
      const added = changes.filter(([path]) => path[2] === "text").map(([, value]) => value).join("");
      this.body.lastChild.appendData ? this.body.lastChild.appendData(clean(added)) : this.body.append(clean(added));
    } else {
      this.body.replaceChildren(...(thread.reasoning ? [el("details", {}, el("summary", { class: "dim" }, "reasoning"), el("div", { class: "dim" }, thread.reasoning))] : []), clean(fits ? thread.text : `…${thread.text.slice(-TAIL)}`));
    }
    if (bottom && thread.state === "running") this.body.scrollTop = this.body.scrollHeight;
  }

  drawTools(thread) {
    this.tools.replaceChildren(...thread.tools.map(toolCall));
  }

  tick(state) {
    const thread = state.threads[this.id];
    if (thread && thread.seconds === null && this.clock) {
      this.clock.textContent = secs(Math.max(0, (Date.now() - state.started) / 1000 - thread.begin));
    }
  }

  focus() {
    this.node.scrollIntoView({ block: "center", behavior: "smooth" });
    this.node.focus({ preventScroll: true });
  }
}

export function toolCall(call) {
  return el("details", { class: "call" },
    el("summary", {}, el("span", { class: call.state }, SIGNS[call.state] || ""), " ", el("b", {}, call.tool), call.seconds === null ? "" : ` ${secs(call.seconds)}`),
    el("pre", { tabindex: 0, "aria-label": "Arguments" }, pretty(call.arguments)), call.result ? el("pre", { tabindex: 0, "aria-label": "Result" }, call.result) : null);
}

// Arguments as a person must read them before agreeing: whole, and every odd character visible.
export function pretty(value) {
  let text = value;
  if (typeof value === "string") {
    try { text = JSON.stringify(JSON.parse(value), null, 2); } catch { text = value; }
  } else text = JSON.stringify(value, null, 2);
  return String(text).replace(/[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u00ad]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
