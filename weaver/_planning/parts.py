"""Parts as a model wrote them, made into subtasks that can be run. What was wrong is repaired, and noted.

Names, ids and needs are data of a model: nothing here raises because of them. Linear in what was written.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from weaver._data.plan import MergeName, Subtask, name_for, names_in, prompt_for, says_nothing
from weaver._data.waiting import cycle_in
from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._planning.part_questions import asks_one_answer, is_named_in, part_questions
from weaver._text.shortening import one_line

TITLE_CHARS = 500
ID_CHARS = 40
SHOWN_CHARS = 60
SHOWN_NAMES = 8
PROMPT_KEYS = ("prompt", "task", "question", "instruction", "instructions", "description", "text", "content")
NAME_KEYS = ("title", "name", "part", "label")
_SAFE_ID = re.compile(r"[^\W_][\w.-]*")
_PLACE = re.compile(r"\{[\w ]{0,20}\}")


def template(value: str) -> str:
    """A template with ``{}`` for the part's name, however the model wrote that place: ``{part}``, ``{ }``."""
    return value if "{}" in value else _PLACE.sub("{}", value)


@dataclass(slots=True)
class _Draft:
    """A part whose needs are still names as they were written."""

    subtask: Subtask
    needs: tuple[str, ...]


class Parts:
    """The parts of one plan, in the order they were written.

    Args:
        question: the whole task.
        ask: the template for parts that are only named, or "".
        agents, tools: names that parts may use; None: any.

    Attributes:
        notes: what was repaired, a sentence each.
    """

    def __init__(
        self,
        question: str = "",
        ask: str = "",
        *,
        agents: Collection[str] | None = None,
        tools: Collection[str] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._question = question
        self._ask = ask
        self._agents = agents
        self._tools = tools
        self._whole = _words(question)
        self._drafts: list[_Draft] = []
        self._ids: set[str] = set()
        self._aliases: dict[str, str | None] = {}
        self._works: dict[tuple[str, str, str | None], str] = {}
        self._empty = 0
        self._is_ask_noted = False
        self._is_closed = False
        self._are_all_listed = bool(question) and "{}" not in ask

    def __len__(self) -> int:
        return len(self._drafts)

    def add(self, value: Any) -> None:
        """Take the next part: a name, or an object with what is not the default."""
        if is_array(value):
            for item in value:
                if not is_array(item):  # deeper lists mean nothing
                    self.add(item)
            return
        part: dict[str, Any] = value if is_object(value) else {"name": value}
        name, prompt = _first_text(part, NAME_KEYS), _first_text(part, PROMPT_KEYS)
        written_id = _text(part.get("id"))
        if not (name or prompt or written_id):
            self._empty += 1
            return
        label = name or written_id or prompt
        if self._whole and self._whole in {_words(prompt), _words(name)}:
            self._alias(None, written_id, name)
            self.notes.append(f"The part {_quoted(label)} repeats the whole task; it was left out.")
            return
        agent = self._agent(part.get("agent"), label)
        work = self._work(label, prompt, agent)
        if work is not None and (twin := self._works.get(work)) is not None:
            self._alias(twin, written_id, name)
            self.notes.append(
                f"The part {_quoted(label)} asks for the same as {_quoted(twin)}; one thread answers both."
            )
            return
        if not prompt:
            name = self._own_name(name)
            self._note_template()
        subtask = Subtask(
            id=self._id(written_id, name),
            title=" ".join(name.split())[:TITLE_CHARS],
            prompt=prompt or prompt_for(name or label, self._question, self._ask),
            agent=agent,
            tools=self._tool_names(part.get("tools"), label),
            max_tokens=part.get("max_tokens"),
            is_listed=not prompt and not _needs(part),
        )
        self._alias(subtask.id, written_id, name, label, subtask.title, subtask.id)
        self._ids.add(subtask.id)
        if work is not None:
            self._works[work] = subtask.id
        self._drafts.append(_Draft(subtask, _needs(part)))
        self._are_all_listed &= not prompt and is_named_in(self._question, name)

    def close(self) -> None:
        """Say that no part follows: parts that the task lists get their own question."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._are_all_listed:
            return
        questions = part_questions(self._question, [draft.subtask.title for draft in self._drafts])
        for draft, question in zip(self._drafts, questions or (), strict=False):
            draft.subtask = draft.subtask.model_copy(update={"prompt": question})

    @property
    def merge(self) -> MergeName | None:
        """The merge that fits the parts, where the plan names none: a list stays a list."""
        if not self._drafts or not all(draft.subtask.is_listed for draft in self._drafts):
            return None
        return None if asks_one_answer(self._question) else "concat"

    def _work(self, label: str, prompt: str, agent: str | None) -> tuple[str, str, str | None] | None:
        """Return a key that is equal for parts that are the same work; None for a part without a twin.

        Parts that are only named stay apart: two poems are two parts. Not where a template or the question
        holds the name: two times Oslo is Oslo.
        """
        if prompt:
            return "prompt", _words(prompt), agent
        is_thing = "{}" in self._ask or is_named_in(self._question, label)
        return ("name", _words(label), agent) if is_thing else None

    def startable(self, started: Collection[str]) -> list[Subtask]:
        """Parts that are not in ``started``, and need only parts that are, or that come before them here.

        While the task seems to list the parts, none starts before `close`: where the list ends decides what
        each is asked.
        """
        if self._are_all_listed and not self._is_closed:
            return []
        ids = set(started)
        ready: list[Subtask] = []
        waiting = [draft for draft in self._drafts if draft.subtask.id not in ids]
        while waiting:
            held: list[_Draft] = []
            for draft in waiting:
                needs = [self._resolved(name) for name in draft.needs]
                if ids.issuperset(needs):
                    ready.append(_with_needs(draft.subtask, needs))
                    ids.add(draft.subtask.id)
                else:
                    held.append(draft)
            if len(held) == len(waiting):
                break
            waiting = held
        return ready

    def finish(self) -> list[Subtask]:
        """All parts, each need a part that there is, and no cycle. Adds what was wrong to `notes`."""
        self.close()
        if self._empty:
            self.notes.append(f"{self._empty} of the plan's parts could not be read.")
            self._empty = 0
        subtasks: list[Subtask] = []
        for draft in self._drafts:
            needs = [self._resolved(name) for name in draft.needs]
            unknown = [
                name
                for name, id_ in zip(draft.needs, needs, strict=True)
                if id_ is None and name.casefold() not in self._aliases
            ]
            if unknown:
                self.notes.append(
                    f"The part {_quoted(draft.subtask.label)} needs {_listed(unknown)}, which the plan does "
                    "not have; it starts without."
                )
            if draft.subtask.id in needs:
                self.notes.append(f"The part {_quoted(draft.subtask.label)} needs itself; it starts at once.")
            subtasks.append(_with_needs(draft.subtask, needs))
        return self._without_cycles(subtasks)

    def _without_cycles(self, subtasks: list[Subtask]) -> list[Subtask]:
        """Cut each cycle: the part that was written first waits for no part of it."""
        by_id = {s.id: s for s in subtasks}
        waiting = list(subtasks)
        placed: set[str] = set()
        while waiting:
            ready = [s for s in waiting if placed.issuperset(s.depends_on)]
            if not ready:
                cycle = cycle_in({s.id: s.depends_on for s in waiting})
                first = by_id[cycle[0]]
                needs = tuple(d for d in first.depends_on if d in placed)
                ready = [first.model_copy(update={"depends_on": needs})]
                by_id[first.id] = ready[0]
                self.notes.append(
                    f"The parts {_listed(cycle)} need one another in a cycle; {_quoted(first.id)} starts "
                    "first, without the others."
                )
            placed.update(s.id for s in ready)
            waiting = [s for s in waiting if s.id not in placed]
        return list(by_id.values())

    def _resolved(self, name: str) -> str | None:
        """The id that a need means: an id, a title, or the number of a part; None for no part."""
        key = name.casefold()
        if key not in self._aliases and name.isdecimal() and 1 <= int(name[:9]) <= len(self._drafts):
            return self._drafts[int(name[:9]) - 1].subtask.id
        return self._aliases.get(key)

    def _alias(self, id_: str | None, *names: str) -> None:
        for name in names:
            if name:
                self._aliases.setdefault(name.casefold(), id_)

    def _own_name(self, name: str) -> str:
        """The name of a part that is only named, with a number where another part has it."""
        if name.casefold() not in self._aliases:
            return name
        count = 2
        while f"{name} ({count})".casefold() in self._aliases:
            count += 1
        numbered = f"{name} ({count})"
        self.notes.append(f"The plan names {_quoted(name)} more than once; this one is {_quoted(numbered)}.")
        return numbered

    def _id(self, written: str, name: str) -> str:
        if not written:
            number = f"t{len(self._drafts) + 1}"
            return name_for(name or number, self._ids)
        if written in self._ids:
            id_ = name_for(written, self._ids)
            self.notes.append(f"Two parts have the id {_quoted(written)}; the second is {_quoted(id_)}.")
            return id_
        if len(written) <= ID_CHARS and _SAFE_ID.fullmatch(written):
            return written
        id_ = name_for(written, self._ids)
        self.notes.append(f"The id {_quoted(written)} cannot be used; the part is {_quoted(id_)}.")
        return id_

    def _note_template(self) -> None:
        if self._ask and "{}" not in self._ask and not self._is_ask_noted:
            self._is_ask_noted = True
            self.notes.append(
                f"The plan's template {_quoted(self._ask)} has no {{}} for the part; each thread gets the "
                "whole task and the name of its part."
            )

    def _agent(self, value: Json, label: str) -> str | None:
        if isinstance(value, dict):
            value = value.get("name")
        if not isinstance(value, str) or says_nothing(value):
            return None
        return self._one_of(value, self._agents, "agent", label)

    def _tool_names(self, value: Any, label: str) -> tuple[str, ...]:
        names = [self._one_of(str(name), self._tools, "tool", label) for name in names_in(value) or ()]
        return tuple(dict.fromkeys(name for name in names if name))

    def _one_of(self, name: str, allowed: Collection[str] | None, kind: str, label: str) -> str | None:
        if allowed is None or name in allowed:
            return name
        for right in allowed:
            if right.casefold() == name.strip().casefold():
                return right
        self.notes.append(
            f"The part {_quoted(label)} names the {kind} {_quoted(name)}, which this run does not have."
        )
        return None


def _text(value: Json) -> str:
    """Text that a model wrote in place of a string: numbers are names too, and lists are lines."""
    if isinstance(value, str):
        return "" if says_nothing(value) else value.strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "\n".join(item.strip() for item in value if isinstance(item, str)).strip()
    return ""


def _first_text(part: dict[str, Any], keys: Collection[str]) -> str:
    """Return the first text under the keys; a number or a list counts where there are no words."""
    values = sorted((part.get(key) for key in keys), key=lambda value: not isinstance(value, str))
    return next((text for value in values if (text := _text(value))), "")


def _needs(part: dict[str, Any]) -> tuple[str, ...]:
    value: Any = part.get("needs") or part.get("depends_on")
    if isinstance(value, str) and not re.search(r"[,;\[]", value):
        value = [value]  # the name of a part may have blanks
    return tuple(dict.fromkeys(str(name).strip() for name in names_in(value) or () if name))


def _with_needs(subtask: Subtask, needs: list[str | None]) -> Subtask:
    ids = tuple(dict.fromkeys(n for n in needs if n is not None and n != subtask.id))
    return subtask.model_copy(update={"depends_on": ids}) if ids else subtask


def _words(text: str) -> str:
    """The text as it is compared: blanks, case and the mark at its end do not count."""
    return " ".join(text.casefold().split()).rstrip(".!?;:\u3002\uff01\uff1f ")


def _quoted(name: str) -> str:
    return repr(one_line(name, SHOWN_CHARS))


def _listed(names: Collection[str]) -> str:
    quoted = [_quoted(name) for name in list(names)[:SHOWN_NAMES]]
    more = len(names) - len(quoted)
    return ", ".join(quoted) + (f" and {more} more" if more else "")
