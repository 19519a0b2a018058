// Puts the page together: head, tabs, keys, and the live connection.
function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  let runs = data.runs;
  let shown = runs.map((run) => new Shown(run));
  let which = 0;
  let tab = "waterfall";
  let page = null;

  const tabs = () => [
    ["waterfall", "Waterfall"], ["threads", "Threads"], ["plan", "Plan"], ["conflicts", `Conflicts${runs[which].conflicts ? ` (${runs[which].conflicts})` : ""}`],
    ["sums", "Time and tokens"], ...(runs.length > 1 ? [["compare", "Compare"]] : []),
  ];

  function head() {
    const run = runs[which];
    const fact = (name, value) => value !== "" && el("span", {}, el("span", { class: "dim" }, `${name} `), el("b", {}, value));
    const theme = el("button", { title: "Light or dark (t)", "aria-label": "Light or dark", onclick: toggle }, "◐");
    const pick = runs.length > 1 && el("select", { "aria-label": "Run", onchange: (e) => { which = Number(e.target.value); draw(); } },
      runs.map((r, i) => el("option", { value: i, selected: i === which }, `${"AB"[i]}: ${r.id}`)));
    document.getElementById("head").replaceChildren(
      el("div", { class: "first" }, el("h1", {}, run.strategy || "run"), el("span", { class: `chip ${run.status}`, id: "status" }, run.status),
        el("span", { class: "dim mono" }, `run ${run.id}`), el("span", { class: "dim mono" }, `trace ${run.trace}`), pick || "",
        el("span", { class: "spacer" }), el("span", { class: "dim", id: "live" }), theme, el("button", { title: "Keys (?)", onclick: help }, "?")),
      run.question ? el("div", { class: "question said-by-model" }, run.question) : "",
      el("div", { class: "facts" }, fact("model", run.model), fact("started", run.started ? new Date(run.started).toLocaleString() : ""), fact("time", secs(run.seconds)),
        fact("threads", whole(run.threads)), run.cancelled ? fact("cancelled", whole(run.cancelled)) : "", fact("calls", whole(run.calls)),
        fact("tokens", `${whole(run.input)} in, ${whole(run.output)} out`), fact("cost", money(run.cost) || "unknown"),
        run.criticalTokens ? fact("critical path", `${whole(run.criticalTokens)} tokens`) : ""));
    document.title = `${run.strategy} ${run.id} - weaver trace`;
  }

  function go(index) {
    if (index < 0) return;
    shown[which].reveal(index);
    tab = "waterfall";
    draw();
  }

  function draw() {
    if (!runs.length) {
      document.getElementById("main").replaceChildren(el("p", { class: "page" }, "The run has not begun yet."));
      return;
    }
    head();
    document.getElementById("tabs").replaceChildren(...tabs().map(([id, name], i) => el("button", {
      role: "tab", id: `tab-${id}`, "aria-selected": String(id === tab), title: `${i + 1}`, onclick: () => { tab = id; draw(); },
    }, name)));
    const now = shown[which];
    page = {
      waterfall: () => waterfall(now), threads: () => threadsPage(now, go), plan: () => planPage(now, go),
      conflicts: () => conflictsPage(now, go), sums: () => sumsPage(now, go), compare: () => comparePage(runs),
    }[tab]();
    const main = document.getElementById("main");
    main.setAttribute("role", "tabpanel");
    main.setAttribute("aria-labelledby", `tab-${tab}`);
    main.replaceChildren(page.node);
    if (page.ready) page.ready();
  }

  function toggle() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    draw();
  }

  function help() {
    const dialog = document.getElementById("help");
    const keys = [
      ["↑ ↓ PageUp PageDown Home End", "move"], ["→ ←", "open, close, to the parent"], ["+ − 0 z", "zoom in, out, whole run, this piece"],
      ["[ ]", "pan"], ["c e x", "next on the critical path, failed, cancelled"], ["/", "find"], ["d Enter", "details"],
      ["1 to 6", "views"], ["t", "light or dark"], ["? Esc", "this list"], ["Ctrl+wheel, drag over the axis", "zoom"],
    ];
    dialog.replaceChildren(el("h2", {}, "Keys"), table(null, keys.map(([k, what]) => [el("kbd", {}, k), what])),
      el("p", {}, el("button", { onclick: () => dialog.close() }, "Close")));
    if (dialog.open) dialog.close(); else dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    const number = Number(event.key);
    let done = true;
    if (event.key === "?") help();
    else if (document.getElementById("help").open) done = false;
    else if (event.key === "t") toggle();
    else if (event.key === "/") { if (tab !== "waterfall") { tab = "waterfall"; draw(); } page.find(); }
    else if (number >= 1 && number <= tabs().length) { tab = tabs()[number - 1][0]; draw(); }
    else done = Boolean(page.key && page.key(event));
    if (done) event.preventDefault();
  });

  async function follow(live) {
    const told = document.getElementById.bind(document, "live");
    let seen = data.revision;
    for (;;) {
      await new Promise((wake) => { setTimeout(wake, live.every); });
      try {
        const answer = await fetch(`${live.url}?since=${seen}`, { cache: "no-store" });
        if (answer.status === 204) { if (told()) told().textContent = "live"; continue; }
        if (!answer.ok) throw new Error(String(answer.status));
        const fresh = await answer.json();
        seen = fresh.revision;
        if (!fresh.runs.length) continue;
        runs = fresh.runs;
        if (shown.length) shown[0].replace(runs[0]); else shown = [new Shown(runs[0])];
        const focus = document.activeElement && document.activeElement.tagName;
        if (!["INPUT", "SELECT"].includes(focus)) refreshLive();
        if (runs[0].complete) { if (told()) told().textContent = "finished"; return; }
      } catch {
        if (told()) told().textContent = LIVE_ERROR;
        return;
      }
    }
  }

  function refreshLive() {
    const scroller = document.querySelector(".rows");
    const top = scroller ? scroller.scrollTop : 0;
    draw();
    const after = document.querySelector(".rows");
    if (after) after.scrollTop = top;
    const told = document.getElementById("live");
    if (told) told.textContent = "live";
  }

  draw();
  if (data.live) follow(data.live);
}

start();
