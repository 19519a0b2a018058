"""Tool results that are too large for a model's context: kept aside, read in pieces."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from weaver._models.protocol import ToolSpec
from weaver._tools.protocol import Context, ToolOptions
from weaver.errors import InvalidToolArgumentsError, ToolError

MAX_RESULT_CHARS = 20_000
"""Characters of one tool result that a model gets at once, unless the run says otherwise."""
SHOWN_SHARE = 0.25
"""Share of that many characters that is shown of a larger result."""
MAX_KEPT_CHARS = 64 * 2**20
"""Characters of large results that one run keeps; the oldest are dropped first."""
READ_RESULT = "read_result"


class ResultStore:
    """Large results of one run, and the tool that reads them.

    Args:
        max_chars: characters of a result that a model gets at once.
    """

    options = ToolOptions(trusted=False)

    def __init__(self, max_chars: int = MAX_RESULT_CHARS) -> None:
        self.max_chars = max_chars
        self._results: OrderedDict[str, str] = OrderedDict()
        self._count = 0
        self._kept = 0
        self.spec = ToolSpec(
            READ_RESULT,
            "Read a part of a large tool result that was kept aside.",
            {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "the result's id, for example r1"},
                    "start": {"type": "integer", "minimum": 0, "description": "first character, from 0"},
                    "length": {"type": "integer", "minimum": 1, "description": f"at most {max_chars}"},
                },
                "required": ["id"],
            },
        )

    def kept(self, result: str) -> str:
        """Keep a result that is too large; what the model gets: its beginning, and how to read the rest."""
        self._count += 1
        id = f"r{self._count}"  # noqa: A001 - what the model calls it
        self._keep(id, result)
        beginning = result[: max(1, int(self.max_chars * SHOWN_SHARE))]
        return (
            f"{beginning}\n\n[These are the first {len(beginning):,} of {len(result):,} characters of result "
            f"{id}. Read more with {READ_RESULT}(id={id!r}, start={len(beginning)}).]"
        )

    async def call(self, arguments: str, context: Context[Any]) -> str:  # noqa: ARG002 - `Tool`
        """Read a part of a kept result.

        Raises:
            ToolError: the arguments do not fit, or there is no such result.
        """
        try:
            values = json.loads(arguments or "{}")
            name, start = str(values["id"]), max(0, int(values.get("start", 0)))
            length = min(self.max_chars, max(1, int(values.get("length", self.max_chars))))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InvalidToolArgumentsError(
                f"{READ_RESULT} takes id, and may take start and length."
            ) from None
        text = self._results.get(name)
        if text is None:
            names = ", ".join(self._results) or "none"
            raise ToolError(f"There is no result {name!r}; there are: {names}.")
        end = min(len(text), start + length)
        return f"{text[start:end]}\n\n[characters {start:,} to {end:,} of {len(text):,}]"

    def _keep(self, id: str, result: str) -> None:  # noqa: A002 - as above
        self._results[id] = result[:MAX_KEPT_CHARS]
        self._kept += len(self._results[id])
        while self._kept > MAX_KEPT_CHARS and len(self._results) > 1:
            _, dropped = self._results.popitem(last=False)
            self._kept -= len(dropped)
