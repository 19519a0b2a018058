"""Writes ``llms.txt`` (the pages with their summaries) and ``llms-full.txt`` (their whole Markdown).

The form is that of llmstxt.org: a title, a summary, and lists of links under headings. Pages come in the
order of the table of contents. The API reference is taken from the built text, not from its directives.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

_SUMMARY = 200


def write(app: Sphinx, error: Exception | None) -> None:
    """Write both files beside the built pages."""
    if error is not None or app.builder.name != "html":
        return
    out, source = Path(app.outdir), Path(app.srcdir)
    head = f"# {app.config.project}\n\n> {app.config.llms_summary}\n"
    short, full = [head], [head]
    for caption, pages in _contents(app):
        short.append(f"\n## {caption}\n")
        for page in pages:
            title = app.env.titles[page].astext()
            text = _text(app, source, page)
            short.append(f"- [{title}]({page}.html): {_summary(text)}")
            full.append(f"\n---\nPage: {page}.html\n\n{text.strip()}\n")
    (out / "llms.txt").write_text("\n".join(short) + "\n", encoding="utf-8")
    (out / "llms-full.txt").write_text("\n".join(full), encoding="utf-8")


def _contents(app: Sphinx) -> list[tuple[str, list[str]]]:
    """The captions of the table of contents with all pages under them, in order."""
    root = app.env.get_doctree(app.config.root_doc)
    return [
        (
            str(tree.get("caption") or "Pages"),
            [page for name in tree["includefiles"] for page in _below(app, name)],
        )
        for tree in root.findall(addnodes.toctree)
    ]


def _below(app: Sphinx, page: str) -> list[str]:
    return [
        page,
        *(deeper for name in app.env.toctree_includes.get(page, ()) for deeper in _below(app, name)),
    ]


def _text(app: Sphinx, source: Path, page: str) -> str:
    if "/api/" in page:
        return _reference(app.env.get_doctree(page))
    return (source / f"{page}.md").read_text(encoding="utf-8")


def _reference(tree: nodes.document) -> str:
    """Signatures and docstrings as plain text."""
    parts: list[str] = []
    for node in tree.findall(
        lambda n: isinstance(n, nodes.title | addnodes.desc_signature | nodes.paragraph)
    ):
        text = " ".join(node.astext().split())
        if isinstance(node, nodes.title):
            parts.append(f"# {text}\n")
        elif isinstance(node, addnodes.desc_signature):
            parts.append(f"\n`{text}`\n")
        elif not isinstance(node.parent, nodes.document):
            parts.append(text)
    return "\n".join(parts)


def _summary(text: str) -> str:
    """The first sentence of a page's first paragraph."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        plain = " ".join(" ".join(lines).split())
        if plain and not block.startswith(("    ", "|", "<!--", "![", "- ")):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
            sentence = re.split(r"(?<=[.!?:])\s", plain)[0]
            return sentence if len(sentence) <= _SUMMARY else sentence[: _SUMMARY - 1] + "…"
    return ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_config_value("llms_summary", "", "env", str)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True}
