"""Labels of tasks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weaver import Task


@given(st.text(st.sampled_from("ab \n\t\u00a0é"), min_size=1, max_size=200).filter(str.strip))
def test_a_label_is_the_first_60_characters_with_single_blanks(prompt: str) -> None:
    assert Task(prompt).label == " ".join(prompt.split())[:60]


class _Counted(str):
    """A prompt that records how many words it was split into."""

    __slots__ = ()
    words = 0

    def split(self, *args: object, **options: object) -> list[str]:  # type: ignore[override]
        parts = str.split(self, *args, **options)  # type: ignore[arg-type]
        _Counted.words = max(_Counted.words, len(parts))
        return parts


def test_a_label_does_not_split_a_long_prompt_whole() -> None:
    assert Task(_Counted("word " * 40_000)).label == ("word " * 20)[:60]
    assert 0 < _Counted.words <= 40
