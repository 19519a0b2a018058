"""Fields that a server refuses are asked for in the next way, or left out, or an error."""

from __future__ import annotations

import anyio
import pytest

from tests.models.conftest import Serve, hear
from weaver._data.messages import user
from weaver._models.layers.call_log import CallLog, Change, Dropped, current_call
from weaver._models.protocol import (
    Request,
)
from weaver._testing import faults as f
from weaver.errors import BadRequestError

pytestmark = pytest.mark.anyio
HELLO = Request(messages=(user("Hello"),))


@pytest.mark.parametrize(
    ("field", "request_", "instead"),
    [
        ("stream_options", HELLO, None),
        ("max_tokens", Request(messages=(user("x"),), max_tokens=5), "max_completion_tokens"),
    ],
)
async def test_fields_that_a_server_rejects(
    serve: Serve, field: str, request_: Request, instead: str | None
) -> None:
    rejection = f"Unsupported parameter: '{field}'" + (f". Use '{instead}' instead." if instead else "")
    server, model = await serve(
        faults=[f.Rule(f.Refusal(400, message=rejection), when=lambda r: True, times=1)]
    )
    await hear(model, request_)
    await hear(model, request_)
    first, again, later = server.requests
    assert field in first.body
    for body in (again.body, later.body):
        assert field not in body
        assert instead is None or body[instead] == 5


@pytest.mark.parametrize(
    ("said", "left_out"),
    [
        ("Unsupported value: 'temperature' does not support 0.0 with this model.", {"temperature"}),
        ("`temperature` and `top_p` cannot both be specified for this model.", {"top_p"}),
        ("Extra inputs are not permitted: seed", {"seed"}),
        ("UnsupportedParamsError: does not support parameters: ['top_p', 'temperature']", {"top_p"}),
    ],
)
async def test_sampling_that_a_model_does_not_take_is_left_out_and_told(
    serve: Serve, said: str, left_out: set[str]
) -> None:
    request = Request(messages=(user("x"),), temperature=0.0, top_p=0.5, seed=1)
    server, model = await serve(faults=[f.Rule(f.Refusal(400, message=said), times=1)])
    told: list[Change] = []
    current_call.set(CallLog(on_change=told.append))
    await hear(model, request)
    await hear(model, request)
    first, again, later = (set(r.body) for r in server.requests)
    assert first - again == first - later == left_out
    assert told == [Dropped(model.name, name) for name in left_out]


async def test_several_calls_at_once_learn_the_same(serve: Serve) -> None:
    refusal = f.Refusal(400, message="temperature is not supported")
    server, model = await serve(faults=[f.Rule(refusal, when=lambda r: r.temperature is not None)])
    request = Request(messages=(user("x"),), temperature=0.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(hear, model, request)
    assert sum("temperature" not in r.body for r in server.requests) == 8


@pytest.mark.parametrize(
    ("said", "request_"),
    [
        ("temperature must lie between 0 and 2", Request(messages=(user("x"),), temperature=5.0)),
        ("'stop' is not supported", Request(messages=(user("x"),), stop=("a",))),
        ("temperature is not supported", HELLO),
        ("use max_completion_tokens", Request(prompt="x", max_tokens=5)),
    ],
)
async def test_other_refusals_are_errors(serve: Serve, said: str, request_: Request) -> None:
    server, model = await serve(faults=[f.Rule(f.Refusal(400, message=said))])
    with pytest.raises(BadRequestError):
        await hear(model, request_)
    assert len(server.requests) == 1
