// The one colour code: what colour a piece of a run has, wherever it is drawn.
import { colour } from "./base.js";

const COLOURS = {
  run: "work", call: "work", thread: "work", step: "work", plan: "plan", tool: "tool", synthesis: "merge", conflict: "conflict",
};
const STATES = { failed: "bad", timed_out: "bad", cancelled: "cut", skipped: "cut" };

// A call has the colour of the work that it is for.
export function kindOf(pieces, piece) {
  const parent = pieces[piece.p];
  return piece.k === "call" && parent && parent.k !== "run" ? parent.k : piece.k;
}

export function colourOf(pieces, piece) {
  return colour(STATES[piece.st] || COLOURS[kindOf(pieces, piece)] || "wait");
}

export function barClass(pieces, piece) {
  return `bar k-${kindOf(pieces, piece)} ${piece.k} ${piece.st === "succeeded" ? "" : piece.st} ${piece.cr ? "critical" : ""}`;
}
