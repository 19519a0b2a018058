"""Usage in the places and shapes in which servers report it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.conftest import hear
from weaver._data.messages import user
from weaver._data.usage import Usage
from weaver._models.protocol import Prices, Request

from .conftest import DONE, Raw, chunk, event, usage

pytestmark = pytest.mark.anyio
HELLO = Request((user("Name a river."),))
ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def report(**numbers: Any) -> bytes:
    return event({"id": "x", "choices": [], "usage": numbers})


@pytest.mark.parametrize(
    "parts",
    [
        [usage(40, 7)],
        [chunk({}, "stop", usage={"prompt_tokens": 40, "completion_tokens": 7}), report(**ZERO)],
        [chunk({}, usage={"prompt_tokens": 40, "completion_tokens": 1}), report(completion_tokens=7)],
        [chunk({}, usage={"prompt_tokens": 40, "completion_tokens": n}) for n in (2, 5, 7)],
        [
            event(
                {
                    "choices": [
                        {"index": 0, "delta": {}, "usage": {"prompt_tokens": 40, "completion_tokens": 7}}
                    ]
                }
            )
        ],
        [event({"choices": [], "x_groq": {"usage": {"prompt_tokens": 40, "completion_tokens": 7}}})],
        [report(prompt_tokens="40", completion_tokens="7", completion_tokens_details=None)],
        [report(input_tokens=40, output_tokens=7)],
        [report(prompt_tokens=40, completion_tokens=7, prompt_tokens_details={"cached_tokens": None})],
    ],
)
async def test_input_and_output(raw: Raw, parts: list[bytes]) -> None:
    _, model = await raw(chunk({"content": "The Elbe."}), *parts, DONE)
    counted = (await hear(model, HELLO)).usage
    assert counted == Usage(1, 40, 7, cost_usd=None)


@pytest.mark.parametrize(
    "parts", [[], [report(**ZERO)], [report(prompt_tokens=None)], [event({"choices": [], "usage": {}})]]
)
async def test_no_usage_is_none(raw: Raw, parts: list[bytes]) -> None:
    _, model = await raw(chunk({"content": "The Elbe."}), chunk({}, "stop"), *parts, DONE)
    assert (await hear(model, HELLO)).usage is None


@pytest.mark.parametrize(
    ("numbers", "produced"),
    [
        ({"total_tokens": 547, "completion_tokens_details": {"reasoning_tokens": 500}}, 507),
        ({"total_tokens": 52, "completion_tokens_details": {"reasoning_tokens": 5}}, 12),
        ({"total_tokens": 47, "completion_tokens_details": {"reasoning_tokens": 5}}, 7),
        ({"reasoning_tokens": 300}, 307),
        ({"reasoning_tokens": 3}, 7),
    ],
)
async def test_reasoning_that_is_counted_apart(raw: Raw, numbers: dict[str, Any], produced: int) -> None:
    _, model = await raw(
        chunk({"content": "The Elbe."}), report(prompt_tokens=40, completion_tokens=7, **numbers), DONE
    )
    counted = (await hear(model, HELLO)).usage
    assert counted is not None
    assert counted.output_tokens == produced
    assert counted.total_tokens == 40 + produced


@pytest.mark.parametrize(
    ("numbers", "given", "cached", "written"),
    [
        ({"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": 64}}, 90, 64, 0),
        ({"prompt_tokens": 90, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 26}, 90, 64, 0),
        ({"prompt_tokens": 90, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 20}, 90, 60, 20),
        ({"input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 20}, 90, 60, 20),
        (
            {"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 80}},
            90,
            1,
            80,
        ),
    ],
)
async def test_caches(raw: Raw, numbers: dict[str, Any], given: int, cached: int, written: int) -> None:
    _, model = await raw(chunk({"content": "The Elbe."}), report(completion_tokens=7, **numbers), DONE)
    counted = (await hear(model, HELLO)).usage
    assert counted is not None
    assert (counted.input_tokens, counted.cached_tokens, counted.cache_written_tokens) == (
        given,
        cached,
        written,
    )
    assert (counted + counted).cache_written_tokens == 2 * written
    assert Prices(1.0, 2.0).cost(counted) == pytest.approx((given + 14) / 1e6)
