"""Settling a conflict by deriving the disputed value afresh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from weaver._coordination.answers.judged import judged
from weaver._coordination.conflicts.policies.positions import Derived, about, in_short, match, question
from weaver._coordination.conflicts.statements import Told
from weaver._coordination.values.scalars import Value, read_value
from weaver._data.result import Conflict, ConflictValue, Resolution
from weaver._data.task import Agent, Task
from weaver._runtime.run import Run


async def verify(
    run: Run, conflict: Conflict, threads: Sequence[Told], *, samples: int = 1
) -> Resolution | None:
    """Let fresh threads derive only the disputed value, blind to the candidates.

    Settles for the candidate that most of them come to. A value that nobody had claimed settles nothing: it
    is noted, and the next policy decides.

    Args:
        samples: how many fresh threads; they run at the same time.

    Raises:
        BudgetExceededError: no threads are left, or the tree is too deep.
    """
    derived = await _derive(run, conflict, threads, samples=samples, agent=None)
    return await _for_candidate(run, conflict, threads, derived)


async def escalate(
    run: Run, conflict: Conflict, threads: Sequence[Told], *, agent: str = "expert"
) -> Resolution | None:
    """Let a stronger model derive the disputed value, blind to the candidates, and take its word.

    A value that nobody had claimed is taken too: the stronger model is asked because it knows better.

    Args:
        agent: name of a configured agent with its own model.
    """
    chosen = run.context.state.agents.get(agent)
    if chosen is None or f"agent/{agent}" not in run.context.state.models:
        run.note(f"The policy 'escalate' was left out: there is no agent {agent!r} with its own model.")
        return None
    derived = await _derive(run, conflict, threads, samples=1, agent=chosen)
    if not derived:
        return None
    outcome = derived[0]
    value = await _candidate(run, conflict, threads, outcome)
    return Resolution("escalate", value.value if value else outcome.text, _evidence(agent, outcome))


async def _derive(
    run: Run, conflict: Conflict, threads: Sequence[Told], *, samples: int, agent: Agent | None
) -> list[Derived]:
    involved = {i for value in conflict.values for i in value.threads}
    tools: dict[int, Any] = {
        id(t): t for thread in threads if thread.id in involved for t in thread.task.tools
    }
    task = Task(
        prompt=question(conflict, run, threads),
        title=f"verify {about(conflict)}"[:80],
        output=Derived,
        tools=tuple(tools.values()),
        agent=agent,
    )
    tasks = [task if i == 0 else task.sample(i) for i in range(samples)]
    async with run.fork(tasks, name="verify") as fresh:
        answers = [thread.answer async for thread in fresh.as_finished()]
    return [a.output for a in answers if a is not None and isinstance(a.output, Derived)]


async def _for_candidate(
    run: Run, conflict: Conflict, threads: Sequence[Told], derived: Sequence[Derived]
) -> Resolution | None:
    matched = [(await _candidate(run, conflict, threads, d), d) for d in derived]
    counts = Counter(v.value for v, _ in matched if v is not None)
    for value, outcome in matched:
        if value is None:
            run.note(
                f"{about(conflict)}: a fresh thread came to {outcome.text!r}, which no thread had claimed."
            )
    ranked = counts.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    winner, count = ranked[0]
    outcome = next(d for v, d in matched if v is not None and v.value == winner)
    who = "a fresh thread" if len(derived) == 1 else f"{count} of {len(derived)} fresh threads"
    return Resolution("verify", winner, _evidence(who, outcome))


async def _candidate(
    run: Run, conflict: Conflict, threads: Sequence[Told], derived: Derived
) -> ConflictValue | None:
    """The candidate that a derived value is; for words in other words ("I. Falk"), the judge is asked."""
    value = match(conflict, threads, derived.text)
    texts = [derived.text, *(v.value for v in conflict.values)]
    if value is not None or not all(isinstance(read_value(t), Value) for t in texts):
        return value
    arbiter = judged(run, about(conflict)).arbiter
    assert arbiter is not None
    same = await arbiter([(derived.text, v.value) for v in conflict.values])
    fitting = [v for v, verdict in zip(conflict.values, same, strict=True) if verdict]
    return fitting[0] if len(fitting) == 1 else None


def _evidence(who: str, derived: Derived) -> str:
    because = f": {in_short(derived.working)}" if derived.working.strip() else ""
    return f"{who} derived {derived.text}{because}"
