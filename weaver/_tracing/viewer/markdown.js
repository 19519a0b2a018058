// Markdown of models as elements: headings, lists, tables, quotes, code, emphasis, links. No markup passes through.
// Every line is read once, and what stands inside a line in one pass, whatever is written there.
import { clean, el } from "./base.js";

const LONGEST_MARKDOWN = 300_000;
const MOST_LINE = 20_000;
const LIST_ITEM = /^(\s{0,12})([-*+]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const TABLE_ROW = /^\s*\|.*\|\s*$/;
const TABLE_RULE = /^\s*\|?[\s:|-]{3,400}\|?\s*$/;

export function markdown(text) {
  const node = el("div", { class: "markdown", dir: "auto" });
  if (text.length > LONGEST_MARKDOWN) {
    node.append(el("pre", { class: "long" }, text));
    return node;
  }
  const lines = text.replace(/\r\n/g, "\n").split("\n");
  let at = 0;
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) node.append(el("p", { dir: "auto" }, paragraph.flatMap((line, i) => [i ? document.createElement("br") : null, ...inlineOf(line)])));
    paragraph = [];
  };
  while (at < lines.length) {
    const line = lines[at];
    const heading = line.length < 1000 && HEADING.exec(line);
    if (/^\s*(```|~~~)/.test(line)) {
      flush();
      at = codeBlock(lines, at, node);
    } else if (heading) {
      flush();
      node.append(el(`h${Math.min(6, heading[1].length + 2)}`, { dir: "auto" }, inlineOf(heading[2])));
      at++;
    } else if (TABLE_ROW.test(line) && at + 1 < lines.length && TABLE_RULE.test(lines[at + 1]) && lines[at + 1].includes("-")) {
      flush();
      at = tableOf(lines, at, node);
    } else if (LIST_ITEM.test(line)) {
      flush();
      at = listOf(lines, at, node);
    } else if (/^\s*>/.test(line)) {
      flush();
      const quoted = [];
      while (at < lines.length && /^\s*>/.test(lines[at])) quoted.push(lines[at++].replace(/^\s*>\s?/, ""));
      node.append(el("blockquote", {}, el("p", { dir: "auto" }, quoted.flatMap((part, i) => [i ? document.createElement("br") : null, ...inlineOf(part)]))));
    } else if (/^\s*([-*_])\s*(\1\s*){2,80}$/.test(line)) {
      flush();
      node.append(el("hr"));
      at++;
    } else {
      if (line.trim()) paragraph.push(line.trim()); else flush();
      at++;
    }
  }
  flush();
  return node;
}

function codeBlock(lines, at, node) {
  const [, fence, language] = /^\s*(```+|~~~+)\s*(\S{0,30})/.exec(lines[at]);
  const body = [];
  at++;
  while (at < lines.length && !lines[at].trim().startsWith(fence)) body.push(lines[at++]);
  node.append(el("pre", { class: "code", tabindex: 0, "aria-label": language ? `${language} code` : "code" }, el("code", {}, body.join("\n"))));
  return at + 1;
}

function tableOf(lines, at, node) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").slice(0, 50);
  const head = cells(lines[at]);
  at += 2;
  const rows = [];
  while (at < lines.length && TABLE_ROW.test(lines[at])) rows.push(cells(lines[at++]));
  node.append(el("div", { class: "scrolls" }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((cell) => el("th", { scope: "col", dir: "auto" }, inlineOf(cell.trim()))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, head.map((_, i) => el("td", { dir: "auto" }, inlineOf((row[i] || "").trim())))))))));
  return at;
}

function listOf(lines, at, node) {
  const open = [];
  while (at < lines.length) {
    const item = LIST_ITEM.exec(lines[at]);
    if (!item) {
      const more = lines[at];
      if (open.length && more.trim() && /^\s{2,}/.test(more)) {
        const last = open[open.length - 1].list.lastChild;
        last.append(document.createElement("br"), ...inlineOf(more.trim()));
        at++;
        continue;
      }
      if (open.length && !more.trim() && at + 1 < lines.length && LIST_ITEM.test(lines[at + 1])) { at++; continue; }
      break;
    }
    const depth = item[1].length;
    const ordered = /\d/.test(item[2]);
    while (open.length && (open[open.length - 1].depth > depth + 1 || (open[open.length - 1].depth >= depth - 1 && open[open.length - 1].ordered !== ordered))) open.pop();
    const top = open[open.length - 1];
    if (!top || depth > top.depth + 1) {
      const fresh = el(ordered ? "ol" : "ul", ordered ? { start: parseInt(item[2], 10) } : {});
      (top && top.list.lastChild ? top.list.lastChild : node).append(fresh);
      open.push({ depth, ordered, list: fresh });
    }
    open[open.length - 1].list.append(el("li", { dir: "auto" }, inlineOf(item[3])));
    at++;
  }
  return at;
}

// Code, strong, emphasis and links, in one pass over the characters.
function inlineOf(text) {
  if (text.length > MOST_LINE) return [clean(text)];
  const out = [];
  let plain = "";
  const flush = () => { if (plain) out.push(clean(plain)); plain = ""; };
  const closing = new Map(); // the next place of each mark, so that a mark without an end is looked for once
  const next = (mark, from) => {
    const known = closing.get(mark);
    if (known !== undefined && (known < 0 || known >= from)) return known;
    const place = text.indexOf(mark, from);
    closing.set(mark, place);
    return place;
  };
  for (let i = 0; i < text.length;) {
    const c = text[i];
    if (c === "\\" && i + 1 < text.length && /[\\`*_[\]|#>-]/.test(text[i + 1])) {
      plain += text[i + 1];
      i += 2;
      continue;
    }
    let end = -1;
    if (c === "`" && (end = next("`", i + 1)) > i) {
      flush();
      out.push(el("code", {}, text.slice(i + 1, end)));
      i = end + 1;
    } else if (text.startsWith("**", i) && (end = next("**", i + 2)) > i + 2 && text[i + 2] !== " ") {
      flush();
      out.push(el("strong", {}, text.slice(i + 2, end).replace(/`/g, "")));
      i = end + 2;
    } else if (c === "*" && text[i + 1] !== " " && text[i + 1] !== "*" && (end = next("*", i + 1)) > i + 1 && text[end - 1] !== " ") {
      flush();
      out.push(el("em", {}, text.slice(i + 1, end)));
      i = end + 1;
    } else if (c === "[" && (end = next("](", i + 1)) > i && end - i < 500) {
      const close = next(")", end + 2);
      const target = close > 0 && close - end < 2000 ? text.slice(end + 2, close).trim() : "";
      if (/^https?:\/\/[^\s]+$/.test(target)) {
        flush();
        const name = text.slice(i + 1, end) || target;
        out.push(el("a", { href: target, rel: "noopener noreferrer nofollow", target: "_blank", title: target }, name));
        i = close + 1;
      } else {
        plain += c;
        i++;
      }
    } else {
      plain += c;
      i++;
    }
  }
  flush();
  return out;
}
