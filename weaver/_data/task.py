"""What the user asks: a task, and the agents that may work on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from weaver._data.conversation.condensed import condensed
from weaver._data.conversation.reading import messages_from
from weaver._data.messages import Media, Message, user
from weaver._data.parts import MediaPart, Part, TextPart
from weaver.errors import InvalidTaskError

if TYPE_CHECKING:
    from weaver._documents.document import Document


@dataclass(frozen=True, slots=True)
class Agent:
    """A named worker that the planner may assign subtasks to.

    Args:
        name: how plans refer to it; low cardinality, it names spans.
        description: one line that the planner reads.
        instructions: system prompt of the threads that it works on.
        model: a model name or `Model` of its own; None takes the run's thread model.
        tools: functions (see `weaver.tool`) that its threads may call.
        hooks: hooks (see `weaver.Hook`) around its calls and tools, and its threads' tasks and answers.
        output: a type that the answers of its threads must fit, see `Weaver.run`; None and `str` are text.
    """

    name: str
    description: str = ""
    instructions: str = ""
    model: Any = None
    tools: tuple[Any, ...] = ()
    hooks: tuple[Any, ...] = ()
    output: Any = None


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to be answered.

    Args:
        prompt: the question. Give this or ``messages``.
        messages: a conversation whose last message is to be answered: `Message` objects, or objects of
            OpenAI's shape (see `weaver._data.conversation.reading`).
        title: a few words for people and traces; defaults to the start of the prompt.
        output: a type that the answer must fit, see `Weaver.run`; None and `str` are plain text.
        tools: functions that threads may call.
        agent: the agent to work as.
        context: findings and facts given to the thread besides the prompt, already fenced.
        guidance: how the strategy wants the thread to work and to end its answer. It stands after the
            instructions in the system message, and holds for this task's thread only.
        max_tokens: cap on tokens generated for this task by one thread; None leaves it to the run.
        temperature: sampling temperature for this task; None takes the run's.
        seed: sampling seed for this task; None takes the run's.
        equivalence: for strategies that compare answers: maps an answer text to a hashable key, equal
            for equal answers; None takes the strategy's default.
        user_question: the user's own words, where a program has added lines to the prompt. Whether to fork,
            and into what, is judged by them; models get the prompt. "" where the prompt is the user's.
        parts: what the task consists of, as the user listed it: see `with_parts`.
        documents: texts that the question is about. Strategies for long inputs read them piece by piece;
            others get them whole, where they fit. `Weaver.run` makes them of files and texts.
        metadata: anything of the caller's; never sent to a model.
    """

    prompt: str = ""
    messages: tuple[Message, ...] = ()
    title: str = ""
    output: Any = None
    tools: tuple[Any, ...] = ()
    agent: Agent | None = None
    context: str = ""
    guidance: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    equivalence: Callable[[str], Any] | None = None
    user_question: str = ""
    parts: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.output is str:  # text is what a model writes anyway
            object.__setattr__(self, "output", None)
        if type(self.messages) is not tuple or any(type(m) is not Message for m in self.messages):
            object.__setattr__(self, "messages", messages_from(self.messages))

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages, or the prompt as a user message."""
        return self.messages or (user(self.prompt),)

    @property
    def question(self) -> str:
        """The text to be answered: the prompt or the last user message."""
        if self.prompt:
            return self.prompt
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def earlier(self) -> tuple[Message, ...]:
        """The conversation before the message that is to be answered, without system messages."""
        return tuple(m for m in self.messages[: _last_question(self.messages)] if m.role != "system")

    @property
    def turn(self) -> tuple[Message, ...]:
        """The message that is to be answered, and what follows it."""
        return self.conversation[_last_question(self.messages) :]

    @property
    def media(self) -> tuple[Media, ...]:
        """Images, sound and files of the message that is to be answered."""
        return tuple(part for message in self.turn for part in message.media)

    def within(self, whole: Task) -> Task:
        """The same task as a part of ``whole``: with its earlier turns, condensed, and its media."""
        if not whole.messages:
            return self
        earlier, media = condensed(whole.earlier), whole.media
        if not earlier and not media:
            return self
        question = user((self.prompt, *media) if media else self.prompt)
        return replace(self, prompt="", messages=(*earlier, question))

    def after(self, history: Sequence[Message]) -> Task:
        """The same task as the next turn of a conversation."""
        if not history:
            return self
        return replace(self, prompt="", messages=(*history, *self.conversation))

    @property
    def instructions(self) -> tuple[str, ...]:
        """The agent's instructions and the system messages, for every model that works on this."""
        if not self.messages and (self.agent is None or not self.agent.instructions):
            return ()
        agent = [self.agent.instructions] if self.agent is not None else []
        instructions = [*agent, *(m.text for m in self.messages if m.role == "system")]
        return tuple(text for text in map(str.strip, instructions) if text)

    @property
    def user_words(self) -> str:
        """The question without lines that a program has added: ``user_question`` where there is one."""
        return self.user_question if self.user_question.strip() else self.question

    @property
    def label(self) -> str:
        """The title, or the first 60 characters of the question."""
        # 31 words with blanks between them are more than 60 characters; long prompts are not split whole.
        return self.title or " ".join(self.question.split(maxsplit=31)[:31])[:60]

    def sample(self, index: int) -> Task:
        """The same task for the ``index``-th independent sample: own title and own seed."""
        seed = None if self.seed is None else self.seed + index
        return replace(self, title=f"sample {index + 1}", seed=seed)


def _last_question(messages: Sequence[Message]) -> int:
    """The index of the user's last message; 0 where there is none."""
    return max((i for i, message in enumerate(messages) if message.role == "user"), default=0)


def as_task(task: Task | str | Sequence[Message | Mapping[str, Any] | Part | str], **changes: Any) -> Task:
    """Make a checked `Task` of what the user passed: a question, its parts, or a conversation.

    Raises:
        InvalidTaskError: nothing to answer, or a message is wrong.
    """
    if isinstance(task, str):
        task = Task(prompt=task)
    elif not isinstance(task, Task):
        items: Sequence[Any] = task
        is_content = isinstance(task, list | tuple) and all(
            isinstance(item, str | TextPart | MediaPart) for item in items
        )
        messages = (user(items),) if is_content else messages_from(items)
        task = Task(messages=messages)
    if changes:
        task = replace(task, **changes)
    if not task.question.strip():
        raise InvalidTaskError("The task is empty.", hint="Give a question, or messages that end with one.")
    return task


def with_parts(task: Task, parts: Sequence[str]) -> Task:
    """Return the task with its parts, which are also written under the question, one a line.

    So every strategy sees them; ``adaptive`` works on them at the same time, without asking a planner.

    Args:
        parts: texts, at least one, none empty.

    Raises:
        InvalidTaskError: they are something else.
    """
    values: Sequence[Any] = parts
    if isinstance(parts, str) or not all(isinstance(value, str) and value.strip() for value in values):
        raise InvalidTaskError(
            "The parts of a task must be a list of texts, none of them empty.",
            hint='For example: parts=["weather", "prices"].',
        )
    texts = tuple(part.strip() for part in parts)
    if not texts:
        return task
    listed = "\n".join(f"- {text}" for text in texts)
    own = task.user_words
    if task.prompt:
        return replace(task, prompt=f"{task.prompt}\n\n{listed}", user_question=own, parts=texts)
    at = _last_question(task.messages)
    messages = (*task.messages[:at], task.messages[at].extended(listed), *task.messages[at + 1 :])
    return replace(task, messages=messages, user_question=own, parts=texts)
