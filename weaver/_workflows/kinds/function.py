"""Steps that call a registered Python function: ``function``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, StrictStr

from weaver._workflows.expressions.types import ANY, Kind, accepts, of_spec
from weaver._workflows.kinds.step_kind import StepKind
from weaver._workflows.schema.components import Part
from weaver._workflows.schema.types import ValueSpec
from weaver._workflows.source.diagnostics import did_you_mean
from weaver.errors import StepError

if TYPE_CHECKING:
    from weaver._data.result import Answer
    from weaver._data.task import Task
    from weaver._runtime.run import Run
    from weaver._tools.protocol import Tool
    from weaver._workflows.execution.preparation.prepared import Lookup
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.validation.registry import Surroundings
    from weaver._workflows.validation.step_checker import StepCheck


class FunctionKeys(Part):
    """The key of steps that call a function; arguments are under ``with``."""

    function: StrictStr | None = Field(
        default=None, description="A registered Python function to call with `with`.", examples=["word_count"]
    )


class FunctionStep(StepKind):
    """Calls a registered Python function; traced, and once per journal.

    Attributes:
        tool: the function, where it is known.
    """

    key = "function"
    keys = FunctionKeys
    takes = ("retry", "output", "with")
    offer = "a function"
    outline = ("[/", "/]")
    tool: Tool | None = None

    # ---- the file

    def check(self, check: StepCheck) -> None:
        """Report an unknown function, and arguments that do not fit."""
        from weaver._workflows.expressions import signatures

        name, surroundings = str(self.spec.function), check.surroundings
        if (tool := surroundings.known(name)) is None:
            if surroundings.strict:
                hint = did_you_mean(name, surroundings.tool_names())
                hint = hint or "a program registers it with weaver.workflows.register(function)"
                check.wrong("function", f"there is no function {name!r}", hint)
            return
        arguments = check.kinds["with"].fields or {} if "with" in check.kinds else {}
        parameters = signatures.parameters(tool)
        for argument, kind in arguments.items():
            if argument not in parameters:
                hint = did_you_mean(argument, parameters)
                check.wrong(("with", argument), f"{name} has no parameter {argument!r}", hint, on_key=True)
            elif (why := accepts(parameters[argument], kind)) is not None:
                hint = "use number(x)" if kind.name == "string" and "number" in why else ""
                check.wrong(("with", argument), f"the argument does not fit: {why}", hint)
        for argument in tool.spec.parameters.get("required", ()):
            if argument not in arguments and check.is_unsaid("with"):
                problem = f"the argument {argument!r} of {name} is missing"
                check.wrong("function", problem, f"give it: with: {{{argument}: ...}}")

    def output(self, surroundings: Surroundings) -> Kind:
        """Return the type of `output`, else of the function's annotations."""
        if self.spec.output is not None:
            return of_spec(self.spec.output).tainted(True)
        from weaver._workflows.expressions import signatures

        tool = surroundings.known(str(self.spec.function))
        return (of_spec(signatures.result(tool)) if tool is not None else ANY).tainted(True)

    # ---- pictures, tests and dry runs

    @property
    def label(self) -> str:
        """The function's name."""
        return f"function {self.spec.function}"

    @property
    def stand_in(self) -> str | None:
        """The function's name."""
        return self.spec.function

    def result_type(self, surroundings: Surroundings) -> ValueSpec:
        """The type of `output`, else of the function's result."""
        from weaver._workflows.expressions import signatures

        tool = surroundings.known(str(self.spec.function))
        if self.spec.output is not None or tool is None:
            return super().result_type(surroundings)
        return signatures.result(tool)

    # ---- the run

    def bind(self, lookup: Lookup) -> None:
        """Look up the function."""
        self.tool = lookup.surroundings.tool(str(self.spec.function))

    async def run(
        self,
        work: StepRun,
        run: Run,
        names: Mapping[str, Any],
        task: Task | None,
    ) -> Answer:
        """Call the function.

        Raises:
            ToolError: the arguments do not fit, or it raised.
            StepError: the result does not fit the step's ``output``.
        """
        from weaver._data.messages import ToolCall
        from weaver._runtime.calls.tool_calls import use_tool
        from weaver._workflows.expressions import signatures

        assert self.tool is not None
        name = self.tool.spec.name
        arguments: Any = self.value(names, "with") or {}
        call = ToolCall(f"step-{self.step.id}", name, json.dumps(arguments, ensure_ascii=False))
        result = await use_tool(run.context, {name: self.tool}, call)
        return work.answer(run, result if signatures.gives_text(self.tool) else _json(result), by=name)


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except ValueError:
        return text


def _finite(written: str) -> float:
    if not math.isfinite(number := float(written)):
        raise StepError(f"{written} is not a number that JSON has.", hint="Give null, or a text, instead.")
    return number
