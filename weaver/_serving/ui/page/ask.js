// Asking a question.
import { el } from "../viewer/base.js";
import { post } from "./api.js";

const NUMBERS = ["deadline", "max_cost", "max_total_tokens", "max_threads"];

// The fields that a question, a plan and a workflow have in common.
export function limitFields(page, values = {}) {
  const about = page.about || { strategies: [], models: [], limits: {}, strategy: "", model: "" };
  const field = (label, control, help) => el("label", { class: "field" }, el("span", {}, label), control, help && el("small", {}, help));
  const number = (name, step, unit) => el("input", {
    type: "number", name, min: step, step: "any", inputmode: "decimal", placeholder: about.limits[name] ? String(about.limits[name]) : unit, value: values[name] ?? "",
  });
  const strategy = el("select", { name: "strategy" },
    about.strategies.map((s) => el("option", { value: s.name, selected: s.name === (values.strategy || about.strategy).split(":")[0] }, s.name)));
  const summary = el("small", {});
  const describe = () => { summary.textContent = (about.strategies.find((s) => s.name === strategy.value) || { summary: "" }).summary; };
  strategy.addEventListener("change", describe);
  describe();
  const [start, options] = [values.strategy || about.strategy, el("input", { type: "text", name: "options", placeholder: "key=value,…", autocomplete: "off", spellcheck: "false" })];
  options.value = start.includes(":") ? start.slice(start.indexOf(":") + 1) : "";
  return {
    strategy: [
      el("label", { class: "field double" }, el("span", {}, "Strategy"), strategy, summary),
      field("Its options", options, el("span", {}, "see ", el("code", {}, "weaver strategies"))),
    ],
    rest: [
      el("label", { class: "field roomy" }, el("span", {}, "Model"), el("span", { class: "joined" }, el("input", { type: "text", name: "model", list: "models", value: values.model || "", placeholder: about.model || "provider/name", autocomplete: "off", spellcheck: "false" }),
        el("datalist", { id: "models" }, about.models.map((name) => el("option", { value: name }))))),
      field("Deadline, seconds", number("deadline", 0.1, "none")),
      field("Budget, US dollars", number("max_cost", 0, "none")),
      field("Budget, tokens", number("max_total_tokens", 1, "none")),
      field("Most threads", number("max_threads", 1, "256")),
    ],
  };
}

export function readLimits(form) {
  const values = {};
  for (const name of ["strategy", "model"]) {
    const text = form.elements[name] ? form.elements[name].value.trim() : "";
    if (text) values[name] = text;
  }
  const options = form.elements.options ? form.elements.options.value.trim() : "";
  if (options) values.strategy += `:${options}`;
  for (const name of NUMBERS) {
    const text = form.elements[name] ? form.elements[name].value.trim() : "";
    if (text) values[name] = Number(text);
  }
  return values;
}

export function askView(page, start = page.question || {}) {
  page.question = null;
  const problem = el("div", { role: "alert" });
  const question = el("textarea", { name: "question", required: true, "aria-label": "Your question", placeholder: "Compare three cities as a place to live: climate, cost, transport.", dir: "auto" });
  question.value = start.question || "";
  const { strategy, rest } = limitFields(page, start);
  const buttons = [
    el("button", { class: "primary", type: "submit" }, "Ask"),
    el("button", { type: "button", onclick: () => act(makePlan) }, "Plan first"),
  ];
  const form = el("form", { class: "ask", onsubmit: (event) => { event.preventDefault(); act(ask); } },
    question, el("div", { class: "fields" }, strategy, rest), problem,
    el("div", { class: "actions" }, buttons, el("span", { class: "hint" }, "Ctrl+Enter asks. A plan can be changed before it runs.")));
  form.noValidate = true;

  async function ask(body) {
    const { id } = await post("/runs", body);
    page.refresh();
    page.go(`#/run/${encodeURIComponent(id)}`);
  }

  async function makePlan(body) {
    const plan = await post("/plan", body);
    page.plan = { ...body, plan };
    page.go("#/plan");
  }

  async function act(action) {
    problem.replaceChildren();
    const body = { question: question.value.trim(), ...readLimits(form) };
    if (!body.question) {
      page.fail(problem, new Error("Write a question first."));
      question.focus();
      return;
    }
    for (const button of buttons) button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      await action(body);
    } catch (error) {
      page.fail(problem, error);
    } finally {
      for (const button of buttons) button.disabled = false;
      form.removeAttribute("aria-busy");
    }
  }

  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); act(ask); }
  });
  const about = page.about;
  return {
    node: el("div", { class: "scroll" }, el("div", { class: "column" },
      el("h1", { class: "title" }, "Ask"),
      el("p", { class: "lead" }, "Weaver forks the question into parallel threads where that pays, and merges what they find."),
      about && about.problem && el("div", { class: "notice" }, `No model can be used yet: ${about.problem} Kept runs can be opened.`),
      about && !about.keeps && el("div", { class: "notice" }, "Runs are not kept on this machine (WEAVER_TRACE_STORE=off): they are gone with the server."),
      form)),
    title: "Ask",
    ready() { question.focus(); },
  };
}
