"""Each public object stands once in the API reference: where it is defined, or else on the first page."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

_pages: dict[int, str] = {}


def skip(app: Sphinx, what: str, name: str, obj: Any, *others: Any) -> bool | None:  # noqa: ARG001
    """Skip what another page has."""
    if what != "module" or others[0]:
        return None
    page: str = app.env.current_document.docname
    own = getattr(obj, "__module__", None)
    if own in ("weaver.errors", "weaver.events") and not page.endswith(own):
        return True
    return True if _pages.setdefault(id(obj), page) != page else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("autodoc-skip-member", skip)
    return {"version": "1", "parallel_read_safe": False}
