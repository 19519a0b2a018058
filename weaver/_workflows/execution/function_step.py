"""Steps that call a registered Python function."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import TypeAdapter, ValidationError

from weaver._data.messages import ToolCall
from weaver._data.result import Answer
from weaver._runtime.calls.tool_calls import use_tool
from weaver._runtime.run import Run
from weaver._workflows.execution.approval import Setting
from weaver._workflows.execution.preparation.prepared import PreparedStep
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.expressions.signatures import gives_text
from weaver._workflows.schema.types import in_words
from weaver.errors import StepError


async def call_function(
    run: Run, one: PreparedStep, arguments: Any, setting: Setting, values: dict[str, Any]
) -> Answer:
    """Call the function of a step; traced, and once per journal.

    Args:
        values: where the result is put, under the thread's path.

    Raises:
        ToolError: the arguments do not fit, or it raised.
        StepError: the result does not fit the step's ``output``.
    """
    tool = one.function
    assert tool is not None
    if tool.spec.name in setting.functions:
        value = setting.functions[tool.spec.name]
    else:
        call = ToolCall(f"step-{one.id}", tool.spec.name, json.dumps(arguments, ensure_ascii=False))
        result = await use_tool(run.context, {tool.spec.name: tool}, call)
        value = result if gives_text(tool) else _json(result)
    if one.output is not None:
        try:
            value = TypeAdapter(one.output).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(p) for p in first["loc"]) or "the result"
            raise StepError(
                f"Step {one.id}: what {tool.spec.name} gave does not fit: {where}: {in_words(first['msg'])}."
            ) from None
    values[run.path] = value
    return Answer(text_of(value) or "done", output=value)


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except ValueError:
        return text


def _finite(written: str) -> float:
    if not math.isfinite(number := float(written)):
        raise StepError(f"{written} is not a number that JSON has.", hint="Give null, or a text, instead.")
    return number
