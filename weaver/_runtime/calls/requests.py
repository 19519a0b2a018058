"""Requests as they are sent: what the run adds to them, and their size."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weaver._data.conversation.sizes import conversation_tokens
from weaver._data.usage import estimate_tokens
from weaver._models.protocol import Request
from weaver._runtime.state.instructions import instructed

if TYPE_CHECKING:
    from weaver._runtime.state.context import ThreadContext

REASONING_TOKENS = 4096
"""Added to the cap of a call to a model that has been seen to reason before it answers: a cap says how long
an answer may be, and servers count the reasoning with it, which then leaves no answer at all."""


def with_defaults(request: Request, run: ThreadContext, role: str) -> Request:
    """Fill in the instructions, the temperature and the seed of the run."""
    changes: dict[str, Any] = {}
    if request.prompt is None and (instructions := run.instructions):
        changes["messages"] = instructed(request.messages, instructions, role)
    if request.temperature is None and run.temperature is not None:
        changes["temperature"] = run.temperature
    if request.seed is None and run.seed is not None:
        changes["seed"] = run.seed
    return replace(request, **changes) if changes else request


def with_room_to_reason(request: Request) -> Request:
    """Raise the cap of a call to a model that reasons before it answers."""
    # Raw prompts and unfinished messages are continued as they are: their caps mean every token.
    if request.max_tokens is None or request.prompt is not None or request.prefill:
        return request
    return replace(request, max_tokens=request.max_tokens + REASONING_TOKENS)


def estimated_input(request: Request) -> int:
    """Estimate the tokens that a request sends."""
    if request.prompt is not None:
        return estimate_tokens(request.prompt)
    tokens = 4 + conversation_tokens(request.messages)
    for tool in request.tools:
        tokens += estimate_tokens(json.dumps(dict(tool.parameters))) + estimate_tokens(tool.description) + 8
    return tokens
