"""The short way for usual chunks of text gives what the whole reader gives."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._models.openai.chunks.reader import ChunkReader, InvalidChunkError, ServerSaidError

DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["a", "", " b", None, ["c"], "<think>d", "</think>"]),
        "role": st.sampled_from(["assistant", None]),
        "reasoning_content": st.sampled_from(["r", ""]),
        "refusal": st.sampled_from(["no", None]),
    },
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "delta": DELTAS | st.none() | st.just("text"),
        "index": st.sampled_from([0, 1, None]),
        "finish_reason": st.sampled_from(["stop", "length", "", None]),
        "logprobs": st.sampled_from([None, {"content": []}]),
        "message": st.just({"content": "whole"}),
        "text": st.just("raw"),
        "error": st.sampled_from(["bad", None]),
    },
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, max_size=2)},
    optional={
        "usage": st.sampled_from([None, {"prompt_tokens": 3, "completion_tokens": 2}]),
        "error": st.sampled_from([None, "bad", {}]),
        "id": st.just("x"),
        "base_resp": st.sampled_from([{"status_code": 0}, {"status_code": 7}]),
        "object": st.sampled_from(["chat.completion.chunk", "error"]),
    },
)
USUAL = st.sampled_from(["a", " b"]).map(
    lambda text: {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
)


def read(chunks: list[Any], *, short: bool) -> tuple[Any, ...]:
    reader = ChunkReader()
    with pytest.MonkeyPatch.context() as patch:
        if not short:
            patch.setattr(ChunkReader, "_is_plain_text", lambda reader, chunk: False)
        failure: Any = None
        try:
            for chunk in chunks:
                reader.read(json.dumps(chunk).encode())
        except (InvalidChunkError, ServerSaidError) as error:
            failure = type(error), str(error)
        with suppress(InvalidChunkError):
            reader.close()
    return failure, list(reader.deltas), reader.finish, reader.finishes, reader.is_final, reader.tokens


@given(st.lists(USUAL | CHUNKS, max_size=8))
def test_the_short_way_reads_as_the_long_one(chunks: list[Any]) -> None:
    assert read(chunks, short=True) == read(chunks, short=False)
