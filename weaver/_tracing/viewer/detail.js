// Everything about one piece.
import { SIGNS, el, money, secs, table, whole } from "./base.js";

const TEXTS = [
  "gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages",
  "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "weaver.task.answer", "weaver.run.answer",
  "weaver.run.question",
];

export function detailOf(model, index, go) {
  const run = model.run;
  const piece = model.pieces[index];
  const facts = [
    ["state", el("span", { class: piece.st }, `${SIGNS[piece.st] || ""} ${piece.st.replace("_", " ")}`)],
    ["time", `${secs(piece.e - piece.s)}  (${secs(piece.s)} to ${secs(piece.e)})`],
  ];
  if (piece.r) facts.splice(1, 0, [piece.st === "cancelled" ? "cancelled because" : "reason", piece.r]);
  if (piece.w) facts.push(["join", piece.w]);
  if (piece.cr) facts.push(["critical path", `yes, ${secs(piece.own)} of its own`]);
  if (piece.q) facts.push(["waited for the endpoint", secs(piece.q)]);
  if (piece.f) facts.push(["first token after", secs(piece.f)]);
  if (piece.c) {
    facts.push(["calls", whole(piece.c)], ["tokens", `${whole(piece.i)} in, ${whole(piece.o)} out`]);
    facts.push(["cost", money(piece.m) || "unknown"]);
  }
  const parts = [
    el("h2", {}, el("span", { class: "model-text" }, piece.l || piece.k)),
    el("div", { class: "dim" }, `${piece.k}${piece.th ? ` ${piece.th}` : ""}`),
    table(null, facts),
  ];
  parts.push(...messagesOf(piece));
  if (piece.k === "thread" || piece.k === "plan" || piece.k === "synthesis") {
    for (let i = index + 1; i <= index + piece.n; i++) {
      const call = model.pieces[i];
      if (call.p !== index || call.k !== "call") continue;
      const messages = messagesOf(call);
      if (messages.length) parts.push(el("h3", {}, call.l), ...messages);
    }
  }
  if (piece.ev && piece.ev.length) {
    parts.push(el("h3", {}, "Events"), table(null, piece.ev.map(([name, at, about]) =>
      [`${name} at ${secs(at)}`, Object.entries(about).map(([k, v]) => `${k}: ${v}`).join("\n")])));
  }
  if (piece.ln && piece.ln.length) {
    const links = piece.ln.slice(0, 200).map(([id, name]) => {
      const to = model.pieces.findIndex((p) => p.id === id);
      return el("button", { disabled: to < 0, onclick: () => go(to) }, name || id);
    });
    parts.push(el("h3", {}, `Links (${piece.ln.length})`), el("div", { class: "tools" }, links));
  }
  const rest = Object.entries(piece.a).filter(([key]) => !TEXTS.includes(key));
  parts.push(el("h3", {}, "Attributes"), table(null, [...rest.map(([k, v]) => [k, valueText(v)]), ["span id", piece.id]]));
  if (!run.content) parts.push(el("p", { class: "dim" }, "Messages were not captured (docs/tracing.md says how)."));
  return parts;
}

function valueText(value) {
  return Array.isArray(value) ? value.join(", ") : String(value);
}

function messagesOf(piece) {
  const messages = [];
  const add = (who, text) => {
    if (text) messages.push(el("div", { class: "message" }, el("div", {}, who), el("pre", { tabindex: 0 }, text)));
  };
  const parsed = (key) => {
    try { return JSON.parse(piece.a[key] || "[]"); } catch { return [{ role: "unreadable", parts: [{ content: piece.a[key] }] }]; }
  };
  for (const part of parsed("gen_ai.system_instructions")) add("system", part.content);
  for (const key of ["gen_ai.input.messages", "gen_ai.output.messages"]) {
    for (const message of parsed(key)) {
      for (const part of message.parts || []) {
        const who = [message.role, part.type === "text" ? "" : part.type, part.name].filter(Boolean).join(" · ");
        add(who, textOf(part.content || part.response || part.arguments || ""));
      }
    }
  }
  for (const [key, name] of [
    ["weaver.run.question", "question"], ["gen_ai.tool.call.arguments", "arguments"],
    ["gen_ai.tool.call.result", "result"], ["weaver.task.answer", "answer"], ["weaver.run.answer", "answer"],
  ]) add(name, textOf(piece.a[key] || ""));
  return messages;
}

const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
