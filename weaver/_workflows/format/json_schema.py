"""The JSON Schema of the format, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weaver._json_reading.json_types import Json
from weaver._workflows.format.definition import Definition

FILE = Path(__file__).parents[1] / "weaver-v1.schema.json"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a workflow file, made from the models of the format."""
    schema = _tidy(Definition.model_json_schema(by_alias=True))
    schema["properties"].pop("extensions")
    schema["patternProperties"] = {"^x-": {"description": "Yours: for anchors and notes."}}
    # Types of inputs and outputs are JSON Schema by nature, but their shapes here are ours.
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Weaver workflow (weaver/v1)",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def schema_text() -> str:
    """The schema as it is committed and printed."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(node: Json) -> Any:
    """Drop titles made of key names and null, and flatten unions: editors show the rest."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs", "patternProperties") and isinstance(value, dict):
            out[key] = {name: _tidy(part) for name, part in value.items()}
        elif key in ("examples", "default", "enum", "const"):
            out[key] = value
        elif key != "title":
            out[key] = _tidy(value)
    if "description" in out and isinstance(out["description"], str):
        out["description"] = out["description"].replace("``", "`")
    if "anyOf" in out:
        options: list[Any] = []
        for option in out.pop("anyOf"):
            nested = (
                option["anyOf"]
                if set(option) <= {"anyOf", "examples", "description"} and "anyOf" in option
                else [option]
            )
            options += [o for o in nested if o != {"type": "null"}]
        unique = [o for i, o in enumerate(options) if o not in options[:i]]
        for option in unique:
            option.pop("examples", None)
            option.pop("description", None)
        if len(unique) == 1:
            out = {**unique[0], **out}
        else:
            out["anyOf"] = unique
    if out.get("default", 0) in (None, {}, [], ""):
        del out["default"]
    return out
