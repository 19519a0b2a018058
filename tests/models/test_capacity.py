"""What an endpoint takes is learned within a few round trips, with few refusals; simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio
import pytest

from tests.models.endpoints import Endpoint, PingedEndpoint
from weaver._data.messages import user
from weaver._models.compose import layered
from weaver._models.endpoint_memory import memory
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.layers.capacity import HOSTED, LOCAL, LONGEST_PING, Adaptive, Opening
from weaver._models.layers.limit import EndpointLimits, Gates, Limited
from weaver._models.layers.rates import Allowance, Bucket, Window
from weaver._models.openai.errors.http_errors import Failures
from weaver._models.openai.errors.rate_headers import allowances_in, exceeded_in
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Model, Request
from weaver.errors import RateLimitError
from weaver.testing import Scripted, Server, virtual_time

HELLO = Request(messages=(user("Hello"),))


async def ask(model: Model, tokens: int | None = None) -> None:
    current_call.set(CallLog(probable_tokens=tokens))
    async with model.stream(HELLO) as deltas:
        async for _ in deltas:
            pass


def simulate(
    endpoint: Endpoint, calls: int, *, gates: Gates | None = None, tokens: int | None = None
) -> float:
    """Make so many calls at once. Returns the virtual seconds until the last one ended."""

    async def main() -> float:
        model = layered(endpoint, gates=gates or Gates())
        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(ask, model, tokens)
        return anyio.current_time()

    return anyio.run(main, backend_options=virtual_time()[1])


@pytest.mark.parametrize(("capacity", "way"), [(32, 0.0), (32, 0.004), (200, 0.004), (1000, 0.004)])
def test_an_endpoint_that_refuses_above_its_capacity(capacity: int, way: float) -> None:
    endpoint = Endpoint(lambda _: capacity, way=way)
    calls = max(1000, 10 * capacity)
    seconds = simulate(endpoint, calls)
    assert len(endpoint.done) == calls
    assert endpoint.refused <= 0.02 * calls
    assert endpoint.rate(0.8, 5) >= 0.9 * capacity
    assert seconds <= 1.3 * calls / capacity  # the last ones may be those that waited to be sent again


@pytest.mark.parametrize("capacity", [200, 1000])
def test_refusals_from_far_away_are_waited_for(capacity: int) -> None:
    endpoint = PingedEndpoint(lambda _: capacity, way=0.1, endpoint=f"https://far-{capacity}.example/v1")
    calls = 10 * capacity
    assert simulate(endpoint, calls) <= 1.2 * 10
    assert endpoint.refused <= 0.02 * calls
    assert endpoint.rate(0.8, 5) >= 0.9 * capacity


@pytest.mark.parametrize(
    ("capacity", "busy", "used"),
    [
        (32, {"stall": 0.2}, 0.9),
        (32, {"stall": 0.5}, 0.75),
        (200, {"work": 0.0004}, 0.9),
        (1000, {"work": 0.0004}, 0.9),  # near the end the refusals take 0.4 s
        (200, {"stall": 0.1}, 0.8),
    ],
)
def test_refusals_of_a_busy_server_are_waited_for(capacity: int, busy: dict[str, float], used: float) -> None:
    endpoint = PingedEndpoint(lambda _: capacity, **busy)
    calls = max(1000, 10 * capacity)
    simulate(endpoint, calls)
    assert len(endpoint.done) == calls
    assert endpoint.refused <= 0.02 * calls
    assert endpoint.rate(0.8, 5) >= used * capacity


@pytest.mark.parametrize("kind", [Endpoint, PingedEndpoint])
@pytest.mark.parametrize("calls", [1000, 10_000])
def test_an_endpoint_that_takes_everything_gets_it(calls: int, kind: type[Endpoint]) -> None:
    endpoint = kind(lambda _: 1e9, spread=0.0)
    assert simulate(endpoint, calls) <= 1.3
    assert endpoint.refused == 0


@dataclass
class DeafEndpoint(Endpoint):
    """One that never answers a ping, or breaks the connection."""

    breaks: bool = False

    async def ping(self) -> None:
        if self.breaks:
            raise ConnectionError("broken")
        await anyio.sleep_forever()


@pytest.mark.parametrize(("breaks", "most"), [(True, 1.3), (False, 8 * LONGEST_PING)])
def test_pings_without_an_answer_delay_and_do_not_stop(breaks: bool, most: float) -> None:
    assert simulate(DeafEndpoint(lambda _: 1e9, spread=0.0, breaks=breaks), 200) <= most


def test_a_slow_ping_shows_a_queue_and_the_limit_waits() -> None:
    limit = Adaptive(Opening(10, 0.01), pings=True)

    def pinged(at: float, seconds: float) -> float:
        """The limit after a ping that was sent at ``at``."""
        limit.hold(at)
        number = limit.ping()
        assert number is not None
        assert limit.ping() is None
        limit.answered(number - 1, at)  # an old one
        assert limit.hold(at + 0.9 * seconds) > 0.0
        limit.answered(number, at + seconds)
        limit.hold(at + 1.1 * seconds + 0.01)
        return limit.limit

    assert pinged(0.0, 0.01) == 12
    assert pinged(0.021, 0.02) == pytest.approx(14.4)
    assert pinged(0.053, 1.0) == pytest.approx(14.4)
    assert pinged(1.053, 0.02) == pytest.approx(17.28)


@pytest.mark.anyio
async def test_a_server_is_pinged_while_calls_wait() -> None:
    with Server(Scripted("ok", first=0.3)).in_thread() as server:
        inside = OpenAIModel("openai/x", base_url=server.url)
        model = layered(inside, gates=Gates())
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask, model)
        assert server.max_in_flight > LOCAL.start
        assert server.stats()["requests"] == 100
        await inside.ping()
        await model.aclose()


@pytest.mark.parametrize(
    ("capacity", "seconds", "refused"),
    [
        (lambda now: 200 if now < 10 else 50, 105, 0.06),
        (lambda now: 50 if now < 10 else 400, 29, 0.02),
        (lambda now: 0 if 5 < now < 15 else 100, 85, 0.03),  # an outage
        (lambda now: 200 + 100 * ((now // 5) % 2), 32, 0.04),  # another client comes and goes
    ],
)
def test_capacity_that_changes_is_followed(
    capacity: Callable[[float], float], seconds: float, refused: float
) -> None:
    endpoint = Endpoint(capacity)
    assert simulate(endpoint, 6000) <= seconds
    assert len(endpoint.done) == 6000
    assert endpoint.refused <= refused * 6000


@pytest.mark.parametrize("tells", [False, True])
def test_a_limit_of_tokens_a_minute_is_kept_to(tells: bool) -> None:
    endpoint = Endpoint(lambda _: 1e9, tokens_per_minute=100_000, tells=tells)
    seconds = simulate(endpoint, 600, tokens=1000)
    assert endpoint.refused <= 0.1 * 600
    assert seconds <= 1.1 * (600 - 100) * 0.6


def test_a_limit_that_is_said_before_it_is_met_refuses_nothing() -> None:
    endpoint = Endpoint(lambda _: 1e9, seconds=0.01, tokens_per_minute=1_000_000, tells=True)

    async def main() -> None:
        model = layered(endpoint, gates=Gates())
        for _ in range(1500):
            await ask(model, 1000)

    anyio.run(main, backend_options=virtual_time()[1])
    assert endpoint.refused == 0


def test_the_next_process_begins_with_what_was_learned() -> None:
    url = "http://models.example/v1"
    first = Endpoint(lambda _: 40, endpoint=url)
    simulate(first, 400)
    facts = memory().get("capacity", url)
    assert facts == {"calls": 40, "refused": True}
    again = Endpoint(lambda _: 40, endpoint=url)
    simulate(again, 400)
    assert again.refused <= 4 < first.refused


def test_what_was_learned_wrongly_does_not_last() -> None:
    url = "http://models.example/v1"
    memory().put("capacity", url, "", {"calls": 2, "refused": True})
    endpoint = Endpoint(lambda _: 1e9, endpoint=url, spread=0.0)
    assert simulate(endpoint, 1000) < 6
    memory().put("capacity", url, "", {"calls": "many", "refused": 7})
    assert simulate(Endpoint(lambda _: 1e9, endpoint=url, spread=0.0), 1000) < 3


@pytest.mark.anyio
async def test_where_it_starts() -> None:
    async def start(endpoint: str, **limits: int) -> float:
        model = Limited(Endpoint(lambda _: 1, endpoint=endpoint), EndpointLimits(**limits), gates=Gates())
        return (await model.gate()).concurrency.limit

    assert await start("http://127.0.0.1:9/v1") == LOCAL.start
    assert await start("https://models.example/v1") == HOSTED.start
    assert await start("") == HOSTED.start
    assert await start("https://models.example/v1", max_concurrency=7) == 7


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ()),
        ({"x-ratelimit-remaining-requests": "3"}, ()),  # until when?
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29000",
                "x-ratelimit-reset-tokens": "2s",
            },
            (Allowance("requests", 499, 500, 0.12), Allowance("tokens", 29000, 30000, 2)),
        ),
        (
            {
                "Anthropic-RateLimit-Input-Tokens-Remaining": "10",
                "anthropic-ratelimit-input-tokens-reset": "30",
                "anthropic-ratelimit-tokens-remaining": "900",
                "anthropic-ratelimit-tokens-reset": "30",
            },
            (Allowance("tokens", 10, None, 30),),
        ),
        (
            {"ratelimit-remaining": "0", "ratelimit-reset": "7", "ratelimit-limit": "x"},
            (Allowance("requests", 0, None, 7),),
        ),
        ({"x-ratelimit-remaining-requests": "14000", "x-ratelimit-reset-requests": "23h4m"}, ()),
        ({"x-ratelimit-remaining-tokens": "nan", "x-ratelimit-reset-tokens": "1s"}, ()),
    ],
)
def test_headers_of_servers(headers: dict[str, str], expected: tuple[Allowance, ...]) -> None:
    assert allowances_in(headers) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rate limit reached on tokens per min (TPM): Limit 30000, Used 29800", "tokens"),
        ("This request would exceed your rate limit of 50 requests per minute", "requests"),
        ("Too many requests", None),
        ("Rate limit: too many requests", None),
        ("Too many concurrent requests per minute", None),
        ("overloaded", None),
    ],
)
def test_what_a_refusal_is_about(text: str, expected: str | None) -> None:
    assert exceeded_in(text, ()) == expected
    failed = Failures("m", "http://x/v1", ()).status(429, {}, text.encode())
    assert isinstance(failed, RateLimitError)
    assert failed.exceeded == expected


def test_a_bucket_fills_evenly() -> None:
    bucket = Bucket()
    assert bucket.wait(0.0, 1e9) == 0.0
    bucket.announce(Allowance("tokens", 100, 700, 60), 10.0, 50)  # 50 left, 10 a second
    assert bucket.wait(10.0, 50) == 0.0
    bucket.spend(10.0, 50)
    assert bucket.wait(10.0, 100) == pytest.approx(10)
    assert bucket.wait(20.0, 100) == 0.0
    assert bucket.wait(10.0, 1e9) == pytest.approx(70)  # more than it holds: when it is full


def test_a_window_learns_from_refusals_and_forgets_slowly() -> None:
    window = Window()
    for _ in range(10):
        window.spend(0.0, 1.0)
    assert window.wait(0.0, 1.0) == 0.0
    window.refused(0.0)
    assert window.wait(1.0, 1.0) == pytest.approx(59)
    assert window.wait(61.0, 10.0) == 0.0
    given = Window(3.0)
    given.spend(0.0, 1.0)
    given.refused(0.0)
    assert given.wait(0.0, 2.0) == 0.0
