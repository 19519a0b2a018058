"""Every reader of foreign text takes linear time: models, servers and tools decide what stands there.

A reader is fed hostile texts of one length and of four times that length. The longer may take ten times as
long at most (a quadratic reader takes sixteen), and a bounded time for 100,000 characters. Times are the
process's own, the least of several, so that a busy machine does not matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

import pytest

from weaver import Answer, Task
from weaver._coordination.answers.equivalence import equivalence, items_of
from weaver._coordination.conflicts.claims import split_claims, with_claims
from weaver._coordination.values.final import (
    answer_of,
    final_part,
    is_short,
    json_value,
    plain,
    plain_math,
    written_answer,
)
from weaver._coordination.values.mentions import last_number, mentions, quantities_in
from weaver._coordination.values.quantities import quantity
from weaver._coordination.values.scalars import read_value
from weaver._json_reading.streaming import JsonReader
from weaver._json_reading.whole import problem_in, read_json, without_thoughts
from weaver._models.openai.chunks.reader import ChunkReader
from weaver._models.openai.chunks.thoughts import ThoughtSplitter
from weaver._models.openai.errors.complaints import complaint_in, wait_in
from weaver._models.openai.errors.error_bodies import message_in, text_of_html
from weaver._models.openai.sse import EventReader, TooLargeError
from weaver._planning.enumerations import MAX_CHARS
from weaver._planning.listed import listing_in
from weaver._planning.policy import Rules
from weaver._planning.reader import PlanReader
from weaver._runtime.output.structured_output import Shape
from weaver._strategies.native import FORMATS, check, format_named, statistics
from weaver._text.untrusted import fenced
from weaver._tracing.record.redact import Redactor
from weaver.errors import WeaverError

SHORT, LONG = 25_000, 100_000
SECONDS = 0.3
"""For `LONG` characters. The aim is 5 ms on a quiet machine; this bound finds what is far from linear."""

SEEDS = {
    "open brackets": "[",
    "open objects": '{"a":',
    "brackets and braces": "[{",
    "quotes": '"',
    "escaped quotes": '\\"',
    "backslashes": "\\",
    "titles": "<title>",
    "open tags": "<think>",
    "closed tags": "</think>",
    "angles": "<",
    "threads": "<Thread>1. a\n",
    "numbers": "1,",
    "decimals": "1.",
    "digits": "7",
    "minus": "-",
    "spaces": " ",
    "newlines": "\n",
    "tabs and a mark": "\t*",
    "backticks": "`",
    "fences": "```json\n",
    "answers": "the answer is ",
    "boxes": "\\boxed{",
    "hashes": "#### ",
    "bullets": "- a\n",
    "questions": "Is it? ",
    "letters": "a",
    "words": "word ",
    "sentences": "It is. So ",
    "subjects": "a | b | c\n",
    "keys": "sk-",
    "emails": "a@",
    "comments": "/* ",
    "slashes": "// x\n",
    "subtasks": '{"id": "a", "prompt": "b"}, ',
    "data lines": "data: {}\n\n",
    "units": "3 km/h ",
    "accents": "é",
    "wide": "你",
    "surrogates": "\\ud800",
    "tries": "try again in 7 ",
}


def feed_plan(text: str) -> None:
    reader = PlanReader()
    for at in range(0, len(text), 7):
        reader.feed(text[at : at + 7])


def feed_json(text: str) -> None:
    reader = JsonReader()
    for at in range(0, len(text), 7):
        reader.feed(text[at : at + 7])
    reader.finish()


def feed_thoughts(text: str) -> None:
    splitter = ThoughtSplitter()
    for at in range(0, len(text), 7):
        if splitter.done:  # as its caller does
            break
        splitter.split(text[at : at + 7])


def feed_events(text: str) -> None:
    reader, data = EventReader(), text.encode("utf-8", "replace")
    for at in range(0, len(data), 512):
        reader.feed(data[at : at + 512])
    reader.end()


def read_chunk(text: str) -> None:
    ChunkReader().read(text.encode("utf-8", "replace"))


KINDS = ("auto", "number", "choice", "bool", "json", "text")
READERS: dict[str, Callable[[str], Any]] = {
    "plan, streamed": feed_plan,
    "JSON, streamed": feed_json,
    "JSON": read_json,
    "JSON's problem": problem_in,
    "thoughts": without_thoughts,
    "thoughts, streamed": feed_thoughts,
    "events": feed_events,
    "chunk": read_chunk,
    "typed output": Shape(list[int]).parse,
    "error body": lambda text: message_in(text.encode("utf-8", "replace")),
    "error page": text_of_html,
    "complaint": lambda text: complaint_in(400, text.encode("utf-8", "replace")),
    "wait": lambda text: wait_in({"retry-after": text[:200]}, text.encode("utf-8", "replace")),
    "marked answer": answer_of,
    "written answer": written_answer,
    "final part": final_part,
    "short": is_short,
    "JSON value": json_value,
    "plain": plain,
    "plain mathematics": plain_math,
    "last number": last_number,
    "quantities": quantities_in,
    "mentions": lambda text: mentions(text, "7"),
    "quantity": quantity,
    "value": read_value,
    "items": items_of,
    **{
        f"equal {kind}": equivalence(kind).read
        for kind in ("auto", "number", "choice", "bool", "json", "text")
    },
    "claims": split_claims,
    "answer with claims": lambda text: with_claims(Answer(text)),
    "rules": lambda text: Rules().judge(Task(text)),
    "rules, short": lambda text: listing_in.__wrapped__(text[:MAX_CHARS]),
    "fence": fenced,
    "redaction": Redactor(),
    **{f"{name}, checked": lambda text, name=name: check(text, name) for name in FORMATS},
    **{f"{name}, counted": lambda text, name=name: statistics(text, name) for name in FORMATS},
}


def hostile(length: int) -> Iterator[tuple[str, str]]:
    for name, seed in SEEDS.items():
        yield name, (seed * (length // len(seed) + 1))[:length]
    yield "a plan of noise", '{"parallel": true, "x": ' + "[1, " * (length // 4)
    yield "a long reason", '{"parallel": true, "reason": "' + "a" * length
    yield "blank thinking", "<think>" + " " * length
    yield "an unfinished box", "\\boxed{" + "{" * length


def seconds(reader: Callable[[str], Any], text: str, *, tries: int = 3) -> float:
    least = float("inf")
    for _ in range(tries):
        began = time.process_time()
        with suppress(WeaverError, ValueError, TooLargeError, Exception):
            reader(text)
        least = min(least, time.process_time() - began)
    return least


SPREAD = {"plan, streamed", "JSON, streamed", "thoughts, streamed"}
"""Readers of many small pieces: their time is spread over 14,000 turns of the event loop."""


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_linear_time(name: str):
    reader = READERS[name]
    bound = 5 * SECONDS if name in SPREAD else SECONDS
    slow = []
    for (kind, short), (_, long) in zip(hostile(SHORT), hostile(LONG), strict=True):
        took = seconds(reader, long, tries=1)
        if took <= bound / 4:
            continue
        before = seconds(reader, short)
        if is_late := took > bound or took > 10 * before + 0.02:
            took = min(took, seconds(reader, long))
            is_late = took > bound or took > 10 * before + 0.02
        if is_late:
            slow.append(f"{kind}: {before * 1e3:.0f} ms, {took * 1e3:.0f} ms")
    assert slow == []


def tagged(names: Sequence[str], length: int) -> Iterator[tuple[str, str]]:
    """Texts of two control tags of a format: in turns, and all of one kind before all of the other."""
    tags = [f"<{name}>" for name in names]
    for first, second in product((tag for tag in tags if tag[1] != "/"), tags):
        pairs = length // len(first + second)
        if second[1] == "/" or first <= second:  # two opening tags in turns are the same whichever is first
            yield f"{first}{second} in turns", (first + second) * pairs
        if first != second:
            yield f"{first} before {second}", first * pairs + second * pairs


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pasta"])
def test_control_tags_are_read_in_linear_time(name: str):
    form = format_named(name)
    readers: dict[str, Callable[[str], Any]] = {"closed": form.closing, "checked": form.check}
    slow = []
    for what, reader in readers.items():
        for (kind, short), (_, long) in zip(
            tagged(form.names, 8_000), tagged(form.names, 32_000), strict=True
        ):
            took = seconds(reader, long, tries=1)
            if took <= 0.03 or took <= 10 * (before := seconds(reader, short)) + 0.02:
                continue
            took = min(took, seconds(reader, long))
            if took > 10 * before + 0.02:
                slow.append(f"{what}, {kind}: {before * 1e3:.0f} ms, {took * 1e3:.0f} ms")
    assert slow == []


def test_many_blocks_of_claims_are_taken_out_in_linear_time():
    block = "```claims\n[]\n```\n"
    before, took = (seconds(split_claims, block * (length // len(block))) for length in (250_000, 1_000_000))
    assert took <= 10 * before + 0.05
