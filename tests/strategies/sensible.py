"""Replies and options with which every strategy over a chat model comes to an answer, fast."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from weaver._models.protocol import Request
from weaver._strategies.common import registry
from weaver.testing import Scripted, ScriptedModel

FAST = {
    "deep_prune": "deep_prune:samples=3,prefix_tokens=2",
    "difficulty_voting": "difficulty_voting:samples=5,easy=0",
    "self_consistency": "self_consistency:samples=5",
    "deepconf": "deepconf:warmup=3,samples=6,window=2",
    "parallel_probe": "parallel_probe:samples=3,interval=2,first_probe=1",
    "hogwild": "hogwild:tokens=30,step_tokens=10",
    "group_think": "group_think:tokens=30,chunk=10",
}
NATIVE = Path(registry.__file__).parent.parent / "native"
SHIPPED = sorted(point.name for point in entry_points(group=registry.GROUP))
"""Those of the package; benchmarks register others."""
OURS = [n for n in SHIPPED if not (NATIVE / f"{n}.py").exists()]
HARD = "Compare lists: 1. apples 2. pears. What is better? What is cheaper?"


def sense(request: Request) -> str:
    """Something that fits what was asked for: an instance of the schema, or words."""
    if request.output is not None:
        return json.dumps(instance(dict(request.output.schema)))
    told = request.messages[0].content if request.messages else ""
    if "fits this JSON Schema" in told:
        return json.dumps(instance(json.loads(told.rpartition("\n")[2])))
    return "1. First point\n2. Second point\nAnswer: 42"


def instance(schema: dict[str, Any], root: dict[str, Any] | None = None, number: int = 0) -> Any:
    root = root or schema
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], root, number)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type", "string"):
        case "object":
            return {name: instance(part, root, number) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [instance(schema["items"], root, n) for n in range(max(2, schema.get("minItems", 0)))]
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case _:
            return f"some words {number}"


def model(**how: float) -> ScriptedModel:
    return ScriptedModel([Scripted(sense, logprobs=(-1.0,) * 20, **how)])
