"""Independent samples of one task, and votes on their answers: what the sampling methods share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from weaver._coordination.answers.equivalence import KINDS, equivalence
from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.answers.votes import Votes
from weaver._data.conversation.condensed import transcript
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.output.structured_output import Shape
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.thread_options import Body
from weaver._text.untrusted import fenced
from weaver.errors import InvalidOutputError, NoAnswerError

UNNEEDED = ("settled", "quorum_met", "lost_race", "pruned", "not_needed")
"""Why a thread is cancelled without loss: the answer does not need it any more."""
Work = Callable[[Run], Awaitable[Answer]]
"""What one thread of `each` does."""
MARK = (
    "First write down your reasoning, step by step. Then write the final answer alone on a last line that "
    'begins with "Answer:".'
)


def sample_tasks(
    run: Run, task: Task, number: int, *, temperature: float | None = None, mark: bool = True
) -> list[Task]:
    """``number`` times the same task, each with its own seed.

    Fewer, and a note, when the run may not start that many threads any more.

    Args:
        temperature: of the samples, unless the task or the run sets one.
        mark: ask for a last line ``Answer: ...``, which votes read; not for tasks with an output type.
    """
    drawn = replace(
        task,
        seed=run.context.seed,
        temperature=temperature if run.context.temperature is None else run.context.temperature,
    )
    if mark and task.output is None:
        drawn = adding(drawn, MARK)
    return [drawn.sample(i) for i in range(affordable(run, number))]


def adding(task: Task, words: str) -> Task:
    """The task with ``words`` after its question."""
    if not task.messages:
        return replace(task, prompt=f"{task.prompt}\n\n{words}")
    *earlier, last = task.messages
    return replace(task, messages=(*earlier, last.extended(words)))


def shortened(text: str, chars: int) -> str:
    """Return the last ``chars`` characters, from the start of a line where one begins in their first half."""
    if len(text) <= chars:
        return text
    end = text[-chars:]
    line = end.find("\n", 0, chars // 2)
    return f"[...]\n{end[line + 1 :]}"


def shown(task: Task) -> str:
    """Quote the task as data for a judge or planner: earlier turns, the question, the context."""
    return "\n\n".join(filter(None, (transcript(task.earlier), fenced(task.question, "task"), task.context)))


def log_stop(run: Run, policy: str, stopped: bool, drawn: int, most: int, *, share: float = 0.0) -> None:
    """Record whether a rule ended the sampling before its end.

    Args:
        drawn, most: samples (or rounds, traces) that were begun, and that would have been at most.
        share: of the votes that the leading answer had then.
    """
    features = {"drawn": float(drawn), "most": float(most), "share": share}
    chosen, other = ("stop", "go on") if stopped else ("go on", "stop")
    run.context.log_decision("stop", chosen, other, policy=policy, features=features)


def log_choice(run: Run, policy: str, best: int, scores: Sequence[float | None]) -> None:
    """Record which of several answers is taken, by scores instead of ballots.

    Args:
        best: its place among them, from 0.
        scores: of all answers in their order; None where there is none.
    """
    names = [f"answer {number}" for number in range(1, len(scores) + 1)]
    features = {"answers": float(len(scores))}
    features |= {f"score {name}": float(s) for name, s in zip(names, scores, strict=True) if s is not None}
    run.context.log_decision("vote", names[best], *names, policy=policy, features=features)


def affordable(run: Run, wanted: int) -> int:
    """``wanted`` threads, or as many as may still be started; at least one, which the ledger may refuse."""
    remaining = run.remaining.threads
    number = wanted if remaining is None or remaining >= wanted else max(1, remaining)
    features = {"wanted": float(wanted)} | ({} if remaining is None else {"threads left": float(remaining)})
    names = dict.fromkeys((f"{number} threads", f"{wanted} threads"))
    run.context.log_decision("width", *names, policy="limits/1", features=features)
    if number < wanted:
        run.note(f"Only {remaining} of {wanted} threads may be started; raise max_threads for more.")
    return number


def stop_at(run: Run) -> float | None:
    """Return the event-loop time at which threads must stop so that one more call fits; None: no deadline."""
    return run.context.time.threads_deadline_at


def told_without_tools(run: Run, task: Task) -> None:
    """Note that the task's tools are not used: for methods that only continue text."""
    if task.tools or (task.agent is not None and task.agent.tools):
        run.note("This strategy works on text only: its threads cannot call the task's tools.")


def votes_on(
    task: Task, same: str | Callable[[str], object] | None = None, *, max_weight: float = 1
) -> Votes:
    """Votes that compare answers the way ``same``, the task, or the task's output type says."""
    return Votes(equivalence_of(task, same), max_weight=max_weight)


def equivalence_of(task: Task, same: str | Callable[[str], object] | None = None) -> Equivalence:
    """Return the rule by which two answers are the same: that of ``same``, the task or its output type."""
    if same is None and task.equivalence is None and task.output is not None:
        return _of_type(task.output)
    return equivalence(same or task.equivalence)


def _of_type(type_: Any) -> Equivalence:
    """Equal values of an output type; a text that does not fit it is no answer."""
    shape = Shape[Any](type_)

    def read(text: str) -> Any:
        try:
            return ("json", shape.type.dumped(shape.parse(text, cut=False)))
        except InvalidOutputError:
            return None

    return replace(KINDS["json"], name="typed", read=read)


def said(thread: Thread) -> Answer | None:
    """The answer of a thread that succeeded; None of one that did not."""
    return thread.answer if thread.state == "succeeded" else None


def spoken(thread: Thread) -> str:
    """Return what a thread has said, whole or cut; "" when nothing."""
    return thread.text.strip()


def note_losses(
    run: Run,
    threads: Sequence[Thread],
    wanted: int,
    *,
    what: str,
    heard: Callable[[Thread], object] = said,
) -> list[Thread]:
    """The threads that limits, the clock or failures took; a note says how many, and why.

    Args:
        wanted: how many the user asked for.
        what: the threads, in words.
        heard: whether a thread has a part in the answer: `said` or `spoken`.
    """
    losers = [t for t in threads if not heard(t) and t.cancel_reason not in UNNEEDED]
    if losers:
        ended = Counter(getattr(t.error, "message", None) or t.cancel_reason or t.state for t in losers)
        why = "; ".join(f"{number} ended with: {how.rstrip('.')}" for how, number in ended.items())
        run.note(f"Only {len(list(filter(heard, threads)))} of {wanted} {what} answered. {why}.")
    return losers


def with_losses(
    run: Run,
    answer: Answer,
    threads: Sequence[Thread],
    wanted: int,
    *,
    what: str = "samples",
    heard: Callable[[Thread], object] = said,
) -> Answer:
    """``answer``; incomplete, and that is noted, if threads that it should be made of were lost.

    Not for a search that ended because no further thread could change its answer. Arguments as for
    `note_losses`; that fewer threads than ``wanted`` were started at all, `affordable` has noted.
    """
    losers = note_losses(run, threads, wanted, what=what, heard=heard)
    if not losers and len(threads) >= wanted:
        return answer
    gone = wanted - len(list(filter(heard, threads)))
    return replace(answer, complete=False, missing=(*answer.missing, f"{gone} of {wanted} {what}"))


async def each(run: Run, task: Task, works: Sequence[Work], *, name: str) -> list[Thread]:
    """A thread for each piece of work on ``task``; all of them, in order, once the last has finished.

    Each samples with its own seed. Their failures are data, and noted.

    Raises:
        BudgetExceededError: they may not be started.
    """

    def body(work: Work) -> Body:
        return lambda run, _: work(run)

    async with run.fork(name=name) as threads:
        for number, work in enumerate(works):
            seed = None if run.context.seed is None else run.context.seed + number
            threads.start(replace(task, title=f"{name} {number + 1}", seed=seed), body=body(work))
        threads.close()
        try:
            await threads.join()
        except NoAnswerError as error:
            run.note(error.message)
        else:
            note_losses(run, threads.all, len(works), what=f"threads for a {name}")
        return threads.all
