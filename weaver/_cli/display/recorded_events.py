"""Events as a journal holds them, back in their classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from weaver import events


def event_from(value: Mapping[str, Any]) -> Any:
    """Return the event whose `as_dict` is ``value``; None for one that this version does not know."""
    fields = {name: item for name, item in value.items() if name != "event"}
    name = str(value.get("event"))
    return _adapter(name).validate_python(fields) if name in events.__dict__ else None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    from weaver._data.plan import Plan
    from weaver._documents.places import Source

    adapter: TypeAdapter[Any] = TypeAdapter(getattr(events, name))
    # `Result` names what it only needs for its type checker.
    adapter.rebuild(_types_namespace={"Plan": Plan, "Source": Source, "RenderableType": Any})
    return adapter
