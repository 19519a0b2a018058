// Changing a plan before it runs, or after it has run.
import { el } from "../viewer/base.js";
import { graph } from "../viewer/graph.js";
import { limitFields, readLimits } from "./ask.js";
import { post } from "./api.js";

const MERGES = [
  ["", "as the run decides"], ["write", "the synthesizer writes it"], ["concat", "the parts as they are"], ["reference", "a frame with the parts in it"], ["pick", "one of the parts"], ["data", "by code, from typed parts"],
];

export function planView(page) {
  const start = page.plan || { question: "", plan: null };
  const plan = start.plan || { subtasks: [], merge: null };
  const direct = plan.parallel === false && !plan.subtasks.length;
  const parts = plan.subtasks.map((s) => ({ ...s, depends_on: [...(s.depends_on || [])] }));
  const problem = el("div", { role: "alert" });
  const question = el("textarea", { name: "question", dir: "auto", "aria-label": "Question" });
  question.value = start.question || "";
  const picture = el("div");
  const list = el("div");
  const merge = el("select", { name: "merge" }, MERGES.map(([value, name]) => el("option", { value, selected: (plan.merge || "") === value }, value ? `${value}: ${name}` : name)));
  const { rest } = limitFields(page, start);
  const run = el("button", { class: "primary", type: "submit" }, "Run this plan");
  const form = el("form", { onsubmit: submit }, el("label", { class: "field wide" }, el("span", {}, "Question"), question), el("h2", {}, "Plan"), picture, list,
    el("div", { class: "actions" }, el("button", { type: "button", onclick: () => { parts.push({ id: freshId(), title: "", prompt: "", depends_on: [] }); draw(); focusLast(); } }, "Add a part")),
    el("div", { class: "fields" }, el("label", { class: "field" }, el("span", {}, "Merge"), merge), rest), problem,
    el("div", { class: "actions" }, run, el("button", { type: "button", onclick: () => history.back() }, "Cancel")));
  form.noValidate = true;

  function freshId() {
    let number = parts.length + 1;
    while (parts.some((part) => part.id === `part${number}`)) number++;
    return `part${number}`;
  }

  function focusLast() {
    const fields = list.querySelectorAll("fieldset:last-child textarea");
    if (fields.length) fields[0].focus();
  }

  function drawPicture() {
    const nodes = [
      { id: "\u0000planner", title: "Question", kind: "plan", state: "planned", facts: `${parts.length} parts` },
      ...parts.map((part) => ({ id: part.id, title: part.title || part.id, kind: "thread", state: "planned", facts: part.depends_on.length ? `after ${part.depends_on.join(", ")}` : "at once" })),
      { id: "\u0000merge", title: "Merge", kind: "synthesis", state: "planned", facts: merge.value || "as the run decides" },
    ];
    const needed = new Set(parts.flatMap((part) => part.depends_on));
    const edges = [
      ...parts.filter((p) => !p.depends_on.length).map((p) => ["\u0000planner", p.id]), ...parts.flatMap((p) => p.depends_on.map((from) => [from, p.id])),
      ...parts.filter((p) => !needed.has(p.id)).map((p) => [p.id, "\u0000merge"]),
    ];
    picture.replaceChildren(parts.length ? graph(nodes, edges, "Plan") : el("p", { class: "dim" }, direct ? "The planner would answer this question directly. Add parts to answer it in parallel all the same." : "There are no parts yet."));
  }

  function draw() {
    list.replaceChildren(...parts.map((part, number) => {
      const field = (label, control) => el("label", { class: "field" }, el("span", {}, label), control);
      const text = (name, tag = "input") => {
        const control = el(tag, { dir: "auto", oninput: () => {
          if (name === "id") {
            for (const other of parts) other.depends_on = other.depends_on.map((id) => (id === part.id ? control.value : id));
          }
          part[name] = control.value;
          drawPicture();
        }, onchange: () => { if (name === "id") draw(); } });
        control.value = part[name] || "";
        return control;
      };
      const needs = parts.filter((other) => other !== part).map((other) => el("label", {}, el("input", {
        type: "checkbox", checked: part.depends_on.includes(other.id), onchange: (event) => {
          part.depends_on = event.target.checked ? [...part.depends_on, other.id] : part.depends_on.filter((id) => id !== other.id);
          drawPicture();
        },
      }), el("span", { class: "model-text" }, other.id)));
      const prompt = field("What its thread is asked; it sees nothing else", text("prompt", "textarea"));
      prompt.classList.add("wide");
      return el("fieldset", { class: "subtask" }, el("legend", {}, `Part ${number + 1}`),
        el("div", { class: "fields" }, field("Id", text("id")), field("Title", text("title")), prompt,
          needs.length ? el("div", { class: "field wide" }, el("span", {}, "Waits for"), el("div", { class: "needs", role: "group", "aria-label": `Part ${number + 1} waits for` }, needs)) : null),
        el("div", { class: "actions" }, el("button", { type: "button", "aria-label": `Remove part ${number + 1}`, onclick: () => {
          parts.splice(number, 1);
          for (const other of parts) other.depends_on = other.depends_on.filter((id) => id !== part.id);
          draw();
        } }, "Remove")));
    }));
    drawPicture();
  }

  async function submit(event) {
    event.preventDefault();
    problem.replaceChildren();
    if (!question.value.trim() || !parts.length) {
      page.fail(problem, new Error(parts.length ? "Write the question." : "Add a part first."));
      return;
    }
    run.disabled = true;
    const limits = readLimits(form);
    delete limits.strategy;
    try {
      const { id } = await post("/runs", { question: question.value.trim(), ...limits, plan: { ...plan, parallel: true, merge: merge.value || null, subtasks: parts } });
      page.refresh();
      page.go(`#/run/${encodeURIComponent(id)}`);
    } catch (error) {
      page.fail(problem, error);
    } finally {
      run.disabled = false;
    }
  }

  merge.addEventListener("change", drawPicture);
  draw();
  return {
    node: el("div", { class: "scroll" }, el("div", { class: "column" }, el("h1", { class: "title" }, "Edit the plan"),
      el("p", { class: "lead" }, "Each part is one thread. Threads that wait for none start at once; the merge makes one answer of all."), form)),
    title: "Plan",
  };
}
