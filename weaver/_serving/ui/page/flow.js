// A workflow: its steps as a graph with their last run, its inputs, and running it.
import { SIGNS, cut, el, secs, whole } from "../viewer/base.js";
import { graph } from "../viewer/graph.js";
import { call, flowPath, post } from "./api.js";
import { limitFields, readLimits } from "./ask.js";

const KINDS = { task: "thread", function: "tool", uses: "step", approve: "conflict" };

export function flowView(page, name) {
  const node = el("div", { class: "scroll" }, el("div", { class: "column" }, el("p", { class: "dim" }, "Loading…")));
  const view = { node, title: name, ready: load, again: load };

  async function load() {
    try {
      draw(await call(flowPath(name)));
    } catch (error) {
      node.firstChild.replaceChildren(el("div", { role: "alert" }, el("div", { class: "notice error" }, error.message)));
    }
  }

  function draw(flow) {
    const last = flow.last;
    const nodes = flow.steps.map((step) => {
      const thread = last && last.threads[step.id];
      const does = step.does === "task" ? step.agent || step.strategy || "model" : { function: "function", uses: "workflow", approve: "a person approves" }[step.does] || step.does;
      const facts = thread ? `${thread.state.replace("_", " ")}${thread.seconds === null ? "" : ` · ${secs(thread.seconds)}`}` : `${does}${step.each ? ", each item" : ""}`;
      return { id: step.id, title: step.id, kind: KINDS[step.does] || "thread", state: thread ? thread.state : "planned", facts, open: () => show(step, thread) };
    });
    const chosen = el("section", { "aria-live": "polite" });
    const show = (step, thread) => chosen.replaceChildren(el("div", { class: "card" }, el("h2", {}, step.id),
      el("p", { class: "dim" }, [step.does, step.strategy, step.agent && `agent ${step.agent}`, step.each && "for each item", step.condition && `if ${step.condition}`].filter(Boolean).join(" · ")),
      step.text && el("pre", { class: "mono model-text" }, cut(step.text, 2000)),
      thread && [el("h3", {}, "Last run"), el("p", {}, el("span", { class: thread.state }, `${SIGNS[thread.state] || ""} ${thread.state.replace("_", " ")}`),
        thread.usage ? ` · ${whole(thread.usage.output_tokens || 0)} tokens` : "", thread.remark || thread.error ? ` · ${thread.error || thread.remark}` : ""),
      thread.text && el("div", { class: "message" }, el("pre", { tabindex: 0 }, thread.text))]));
    const problem = el("div", { role: "alert" });
    const { rest } = limitFields(page);
    const inputs = flow.inputs.map(inputField);
    const run = el("button", { class: "primary", type: "submit" }, "Run");
    const form = el("form", { onsubmit: async (event) => {
      event.preventDefault();
      problem.replaceChildren();
      run.disabled = true;
      try {
        const values = {};
        for (const input of inputs) input.read(values);
        const { id } = await post(flowPath(name, "/runs"), { inputs: values, ...readLimits(form) });
        page.refresh();
        page.go(`#/run/${encodeURIComponent(id)}`);
      } catch (error) {
        page.fail(problem, error);
      } finally {
        run.disabled = false;
      }
    } }, inputs.length ? [el("h2", {}, "Inputs"), el("div", { class: "fields" }, inputs.map((input) => input.node))] : null,
    el("details", {}, el("summary", {}, "Model and limits"), el("div", { class: "fields" }, rest)), problem, el("div", { class: "actions" }, run));
    form.noValidate = true;
    node.firstChild.replaceChildren(el("h1", { class: "title" }, flow.name), flow.description && el("p", { class: "lead" }, flow.description),
      graph(nodes, flow.edges, flow.name),
      last ? el("p", { class: "dim" }, "Last run: ", el("a", { href: `#/run/${encodeURIComponent(last.id)}` }, `${last.status}, ${new Date(last.started).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`)) : el("p", { class: "dim" }, "It has not been run yet."),
      chosen, form);
  }
  return view;
}

function inputField(input) {
  const label = `${input.name}${input.optional ? "" : " *"}`;
  const start = input.optional && input.default !== null ? input.default : "";
  const asText = (value) => (typeof value === "string" ? value : value === "" ? "" : JSON.stringify(value));
  const textual = input.type === "string" || input.type === "any";
  const control = input.choices.length
    ? el("select", {}, input.optional ? null : el("option", { value: "" }, ""), input.choices.map((choice) => el("option", { value: JSON.stringify(choice), selected: choice === input.default }, String(choice))))
    : input.type === "boolean" ? el("input", { type: "checkbox", checked: input.default === true })
      : el("textarea", { rows: textual ? 3 : 2, dir: "auto", placeholder: input.example === null ? (textual ? "" : `${input.type}, as JSON`) : asText(input.example) });
  if (control.tagName === "TEXTAREA") control.value = asText(start);
  return {
    node: el("label", { class: "field wide" }, el("span", {}, label), control, input.description && el("small", {}, input.description)),
    read(values) {
      if (control.type === "checkbox") { values[input.name] = control.checked; return; }
      const text = control.value;
      if (!text.trim()) return;
      if (input.choices.length) values[input.name] = JSON.parse(text);
      else if (input.type === "string") values[input.name] = text;
      else {
        try {
          values[input.name] = JSON.parse(text);
        } catch {
          if (input.type !== "any") throw new Error(`${input.name}: ${input.type} is expected, written as JSON.`);
          values[input.name] = text;
        }
      }
    },
  };
}
