// A graph of steps from left to right: a plan, or a workflow.
import { SIGNS, cut, el, svg } from "./base.js";

const [WIDTH, HEIGHT, ACROSS, DOWN] = [226, 52, 276, 66];

// Draw `nodes` ({id, title, facts, kind, state, critical, open, mark}) and `edges` ([from, to]).
export function graph(nodes, edges, name) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const real = edges.filter(([from, to]) => byId.has(from) && byId.has(to));
  const { columns, ways } = inColumns(nodes, real);
  const tallest = Math.max(...columns.map((c) => c.length));
  const at = new Map();
  columns.forEach((column, x) => {
    const top = (tallest - column.length) * DOWN / 2;
    column.forEach((id, y) => at.set(id, { x: x * ACROSS + 4, y: top + y * DOWN + 6 }));
  });
  const [width, height] = [(columns.length - 1) * ACROSS + WIDTH + 8, tallest * DOWN + 4];
  const picture = svg("svg", { class: "steps", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": name });
  picture.style.minWidth = `${Math.round(width * 0.72)}px`;
  for (const way of ways) {
    const [first, last] = [byId.get(way[0]), byId.get(way[way.length - 1])];
    const hot = first.critical && last.critical ? " critical" : "";
    let { x, y } = at.get(way[0]);
    let path = `M${x + WIDTH} ${y + HEIGHT / 2}`;
    for (const id of way.slice(1)) {
      const from = { x: x + WIDTH, y: y + HEIGHT / 2 };
      ({ x, y } = at.get(id));
      const to = { x: byId.has(id) ? x - 6 : x, y: y + HEIGHT / 2 };
      const bend = Math.max(24, (to.x - from.x) / 2);
      path += `C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}${byId.has(id) ? "" : `H${x + WIDTH}`}`;
    }
    picture.append(svg("path", { class: `edge${hot}`, d: path }),
      svg("path", { class: "tip", d: `M${x - 6} ${y + HEIGHT / 2 - 4}L${x} ${y + HEIGHT / 2}L${x - 6} ${y + HEIGHT / 2 + 4}z` }));
  }
  for (const node of nodes) picture.append(box(node, at.get(node.id)));
  return el("div", { class: "graph", tabindex: 0, role: "region", "aria-label": `${name}, drawn as a graph` }, picture);
}

function box(node, { x, y }) {
  const open = node.open;
  return svg("g", {
    class: `node k-${node.kind || "thread"} ${node.state || "planned"}${node.critical ? " critical" : ""}`,
    transform: `translate(${x} ${y})`, tabindex: open ? 0 : undefined, role: open ? "button" : "img",
    "aria-label": `${node.title}: ${node.facts || node.state || ""}`, onclick: open || (() => {}),
    onkeydown: (event) => { if (open && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); event.stopPropagation(); open(); } },
  }, svg("title", {}, `${node.title}\n${node.facts || ""}`),
  svg("rect", { class: "box", width: WIDTH, height: HEIGHT }), svg("rect", { class: "edge-mark", x: 0, y: 8, width: 4, height: HEIGHT - 16 }),
  svg("text", { x: 14, y: 22 }, cut(node.title, 27)),
  svg("text", { x: 14, y: 40, class: "dim" }, svg("tspan", { class: "state" }, `${SIGNS[node.state] || ""} `), cut(node.facts || "", 30)));
}

// Columns by the longest way from the start; a cycle (a broken trace) is cut where it is met.
function inColumns(nodes, edges) {
  const before = new Map(nodes.map((node) => [node.id, []]));
  for (const [from, to] of edges) before.get(to).push(from);
  const level = new Map();
  for (const { id } of nodes) {
    const stack = [[id, false]];
    const open = new Set();
    while (stack.length) {
      const [node, leave] = stack.pop();
      if (leave) {
        open.delete(node);
        level.set(node, Math.max(-1, ...before.get(node).map((n) => (level.has(n) ? level.get(n) : -1))) + 1);
      } else if (!level.has(node) && !open.has(node)) {
        open.add(node);
        stack.push([node, true], ...before.get(node).filter((n) => !level.has(n) && !open.has(n)).map((n) => [n, false]));
      }
    }
  }
  // An edge over several columns gets a place in each of those between, so that it passes no box.
  const columns = [];
  for (const { id } of nodes) (columns[level.get(id)] ||= []).push(id);
  const ways = edges.map(([from, to], number) => {
    const way = [from];
    for (let x = level.get(from) + 1; x < level.get(to); x++) {
      const id = `\u0000way ${number} ${x}`;
      columns[x].push(id);
      before.set(id, [way[way.length - 1]]);
      way.push(id);
    }
    return [...way, to];
  });
  const place = new Map();
  columns.forEach((column) => {
    const middle = (id) => before.get(id).reduce((sum, n) => sum + (place.get(n) || 0), 0) / Math.max(1, before.get(id).length);
    const order = new Map(column.map((id, i) => [id, [middle(id), i]]));
    column.sort((a, b) => order.get(a)[0] - order.get(b)[0] || order.get(a)[1] - order.get(b)[1]);
    column.forEach((id, i) => place.set(id, i - (column.length - 1) / 2));
  });
  return { columns, ways };
}
