"""HTML pages (extra ``documents``): their text as Markdown, with headings, lists and tables."""

from __future__ import annotations

import re
from typing import Any

from weaver._documents.content import InMemory
from weaver._documents.document import Document
from weaver.errors import ConfigurationError, InvalidTaskError

_SKIPPED = {"script", "style", "noscript", "template", "svg", "head", "iframe", "nav", "object"}
_BLOCKS = {
    *("p", "div", "section", "article", "main", "header", "footer", "aside", "ul", "ol", "table", "form"),
    *("blockquote", "figure", "figcaption", "dl", "dt", "dd", "hr", "pre", "address", "details", "summary"),
}
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}


def from_html(data: bytes, name: str) -> Document:
    """Return the text of an HTML page.

    Raises:
        InvalidTaskError: it has no text.
        ConfigurationError: the extra is not installed.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise ConfigurationError(
            f"Reading {name} needs the extra 'documents'.", hint='pip install "weaver-reasoning[documents]"'
        ) from error
    root = LexborHTMLParser(data).root
    text = _tidy("".join(_pieces(root))) if root is not None else ""
    if not text.strip():
        raise InvalidTaskError(f"The document {name} has no text.", hint="It may be a page made by scripts.")
    return Document(name, "markdown", InMemory(text.encode("utf-8", "replace")))


def _pieces(root: Any) -> list[str]:
    """Texts and line ends in the order of the page; our own stack, so that depth does not matter."""
    pieces: list[str] = []
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            pieces.append(node)
            continue
        tag = node.tag
        if tag == "-text":
            pieces.append(" ".join((node.text_content or "").split(" ")).replace("\n", " "))
            continue
        if tag in _SKIPPED or tag.startswith(("-", "!")):
            continue
        before, after = _around(tag)
        pieces.append(before)
        children: list[Any] = []
        child = node.child
        while child is not None:
            children.append(child)
            child = child.next
        stack.append(after)
        stack += reversed(children)
    return pieces


def _around(tag: str) -> tuple[str, str]:
    if tag in _HEADINGS:
        return f"\n\n{_HEADINGS[tag]} ", "\n\n"
    if tag == "li":
        return "\n- ", ""
    if tag == "tr":
        return "\n", ""
    if tag in {"td", "th"}:
        return "", " | "
    if tag == "br":
        return "\n", ""
    return ("\n\n", "\n\n") if tag in _BLOCKS else ("", "")


def _tidy(text: str) -> str:
    lines = [" ".join(line.split()).removesuffix(" |") for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
