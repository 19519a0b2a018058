// What waits for a person: tool calls and steps of workflows.
import { el } from "../viewer/base.js";
import { post, runPath } from "./api.js";
import { pretty } from "./thread.js";

export function approvals(page, view) {
  return Object.entries(view.state.approvals).map(([id, request]) => card(page, view, id, request));
}

function card(page, view, id, request) {
  const problem = el("div", { role: "alert" });
  const reason = el("input", { type: "text", "aria-label": "A comment (optional)", placeholder: "A comment (optional)" });
  const send = async (approved, always) => {
    for (const button of node.querySelectorAll("button")) button.disabled = true;
    try {
      await post(runPath(view.run, "/approvals"), { id, approved, always, reason: reason.value });
    } catch (error) {
      page.fail(problem, error);
      for (const button of node.querySelectorAll("button")) button.disabled = false;
    }
  };
  const step = request.kind === "step";
  const thread = request.thread && view.state.threads[request.thread];
  const name = step ? `May step ${request.step} go on?` : `May ${thread ? `“${thread.title}”` : "the run"} call ${request.tool}?`;
  const node = el("div", { class: "approval", role: "group", "aria-label": name },
    el("h3", { class: "model-text" }, name), request.reason && el("p", { class: "dim model-text" }, request.reason),
    el("pre", { tabindex: 0, "aria-label": step ? "Question" : "Arguments" }, step ? request.message : pretty(request.arguments)),
    el("div", { class: "actions" }, el("button", { class: "primary", onclick: () => send(true, false) }, "Approve"),
      !step && el("button", { onclick: () => send(true, true) }, `Always approve ${request.tool}`),
      el("button", { class: "danger", onclick: () => send(false, false) }, "Deny"), reason), problem);
  return node;
}
