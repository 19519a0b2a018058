"""How a small model reads: short questions in plain words, whose answers code checks against the lines.

Models of a few billion parameters and fewer name wrong line numbers and write entries that stand nowhere,
but answer "is this line one of them?" and questions about a short text well. So lines are judged one by one
where they are counted; else the part is asked the question itself, and the lines that bear the answer out
are taken.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from weaver._data.messages import system, user
from weaver._data.task import Task
from weaver._models.protocol import Request
from weaver._runtime.run import Run
from weaver._strategies.long_inputs.combining import Combine, Entry
from weaver._strategies.long_inputs.numbered_lines import NumberedLines
from weaver._text.untrusted import fenced

PLAIN: tuple[Combine, ...] = ("count", "write")
"""What small models are asked in plain words; they get the JSON forms for the rest."""
TEXT_ALONE = "Answer from the text alone."
_ONE_OF_THEM = "Is this line one of them? Answer yes or no."
_YES = re.compile(r"\W*yes\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
_WORD = re.compile(r"\w{2,}")
_ANSWER_TOKENS = 80
_LINES_OF_A_PART = 3
_NEARLY_BEST = 0.6
"""Lines count as bearing an answer out if they share at least this share of what the best line shares."""
_MOST_FACTS = 10
_FAR_FROM_BEST = 0.4


async def read_plainly(run: Run, task: Task, numbered: NumberedLines, combine: Combine) -> list[Entry]:
    """Ask a small model about the lines of a part.

    Args:
        combine: one of `PLAIN`.

    Raises:
        BudgetExceededError: a limit of the run.
        ModelError: the model cannot be asked.
    """
    if combine == "count":
        return [
            numbered.entry(run, number)
            for number in range(1, len(numbered) + 1)
            if await _counts(run, task, numbered.line(number), numbered.header(number))
        ]
    answer = await _ask(
        run, f"{fenced(numbered.text, 'lines')}\n\n{task.question}", TEXT_ALONE, _ANSWER_TOKENS
    )
    lines = [numbered.line(number) for number in range(1, len(numbered) + 1)]
    scores = _shared_weights(f"{task.user_words}\n{answer}", lines)
    least = _NEARLY_BEST * max(scores, default=0.0)
    ranked = sorted(range(len(lines)), key=lambda index: -scores[index])[:_LINES_OF_A_PART]
    return [
        numbered.entry(run, index + 1, **_value_of(lines[index]))
        for index in sorted(ranked)
        if scores[index] >= max(least, 1e-9)
    ]


def most_relevant(question: str, entries: Sequence[Entry]) -> list[Entry]:
    """The entries whose lines share the rarest words with the question, best first; at most ten."""
    # Cubed, so that many common words do not make up for the one that names what is asked about.
    scores = _shared_weights(question, [entry.source.text for entry in entries], power=3)
    order = sorted(range(len(entries)), key=lambda index: -scores[index])[:_MOST_FACTS]
    least = _FAR_FROM_BEST * (scores[order[0]] if order else 0.0)
    return [entries[index] for index in order if scores[index] >= least]


async def _counts(run: Run, task: Task, line: str, header: str) -> bool:
    columns = f"Columns: {header}\n" if header else ""
    reply = await _ask(run, f"{columns}Line: {line}\n\n{task.question} {_ONE_OF_THEM}", "", 4)
    return _YES.match(reply) is not None


async def _ask(run: Run, prompt: str, instructions: str, max_tokens: int) -> str:
    messages = (system(instructions), user(prompt)) if instructions else (user(prompt),)
    request = Request(messages, max_tokens=max_tokens, temperature=0.0, seed=run.context.seed)
    return (await run.think(request, name="read")).text


def _value_of(line: str) -> dict[str, str]:
    """The number of a line that has one, and the rest of the line, for finding contradictions."""
    numbers = _NUMBER.findall(line)
    return {"topic": _NUMBER.sub("#", line), "stated": numbers[0]} if len(numbers) == 1 else {}


def _shared_weights(text: str, lines: Sequence[str], *, power: int = 1) -> list[float]:
    """For each line the weight of the words that it shares with a text; words of few lines weigh most."""
    words = [_words(line) for line in lines]
    frequency = Counter(word for own in words for word in own)
    wanted = _words(text)
    return [
        sum(math.log((len(lines) + 1) / frequency[word]) ** power for word in own & wanted) for own in words
    ]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
