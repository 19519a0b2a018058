"""Reading server-sent events, however they arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._models.openai import sse
from weaver._models.openai.sse import ErrorEvent, EventReader, TooLargeError


def read(*reads: bytes) -> list[bytes]:
    reader = EventReader()
    return [event for part in reads for event in reader.feed(part)] + reader.end()


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b": comment\n\ndata: a\n\n:\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"id: 3\nevent: message\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"data: \xff\xfe\n\n", [b"\xff\xfe"]),
        (b"data\n\nnonsense: x\n\n", []),
        (b"", []),
    ],
)
def test_events_of_a_stream(wire: bytes, events: list[bytes]) -> None:
    assert read(wire) == events


def test_error_events_are_marked_and_the_next_one_is_not() -> None:
    wrong, right = read(b"event: error\ndata: {}\n\ndata: {}\n\n")
    assert isinstance(wrong, ErrorEvent)
    assert not isinstance(right, ErrorEvent)


@given(
    events=st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=1), max_size=6),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
def test_reads_may_end_anywhere(events: list[str], end: bytes, cuts: list[int]) -> None:
    data = [e.encode("utf-8", "replace") for e in events]
    wire = b"".join(b"data: " + d + end + end for d in data)
    places = sorted({min(c, len(wire)) for c in cuts} | {0, len(wire)})
    parts = [wire[a:b] for a, b in pairwise(places)]
    assert read(*parts) == data


@pytest.mark.parametrize("cut", [10, 1000])
def test_an_event_without_end_is_given_up(cut: int) -> None:
    reader = EventReader(max_event=5000)
    for _ in range(5000 // cut):
        assert reader.feed(b"x" * cut) == []
    with pytest.raises(TooLargeError):
        reader.feed(b"x" * cut)


def test_many_data_lines_count_together() -> None:
    reader = EventReader(max_event=5000)
    for _ in range(100):
        reader.feed(b"data: " + b"x" * 50 + b"\n")
    with pytest.raises(TooLargeError):
        reader.feed(b"data: x\n")


def test_the_limit_is_per_event() -> None:
    reader = EventReader(max_event=5000)
    got = [event for _ in range(100) for event in reader.feed(b"data: " + b"x" * 4000 + b"\n\n")]
    assert len(got) == 100


PIECES = [
    b"data: ", b"data:", b"data", b"event: error", b"error: e", b": c", b"\n", b"\n\n", b"\r\n", b"\r",
    b"a", b"{}", b"data: {}\n\n", b"data: a\n\ndata: b\n\n", b"id: 1\n", b"stray",
]  # fmt: skip


@given(reads=st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), max_size=6))
def test_the_short_way_reads_as_the_long_one(reads: list[bytes]) -> None:
    def events(*, short: bool) -> list[tuple[type[bytes], bytes]]:
        with pytest.MonkeyPatch.context() as patch:
            if not short:
                patch.setattr(sse, "_usual_events", lambda read, most: None)
            return [(type(event), event) for event in read(*reads)]

    assert events(short=True) == events(short=False)


def test_usual_events_take_the_short_way() -> None:
    assert sse._usual_events(b"data: a\n\ndata: b\n\n", 9) == [b"a", b"b"]
    assert sse._usual_events(b"data: a\n\ndata: bcde\n\n", 9) is None, "longer than an event may be"
