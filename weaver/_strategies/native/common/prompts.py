"""Chat templates for raw completions: native models are asked without the server's own template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weaver._data.messages import Message
from weaver._data.task import Task
from weaver._runtime.default_body import opening
from weaver._runtime.run import Run
from weaver._runtime.state.instructions import instructed
from weaver.errors import MissingCapabilityError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Template:
    """How a conversation is written as plain text.

    Args:
        before, after: around each message; ``{role}`` is replaced.
        opening: begins the model's turn.
        roles: names that differ from ours (Gemma calls the assistant ``model``).
        control: the template's own tokens; in messages they are made harmless.
    """

    before: str
    after: str
    opening: str
    roles: tuple[tuple[str, str], ...] = ()
    control: tuple[str, ...] = ()

    def render(self, messages: Sequence[Message], *, system: str = "", suffix: str = "") -> str:
        """The prompt up to where the model begins to write.

        Args:
            system: instructions put before the conversation and its own system message; ``""`` for none.
            suffix: added to the last message (some models are switched by a sentence there).
        """
        rendered = list(messages)
        if system:
            own = [rendered.pop(0).text] if rendered[0].role == "system" else []
            rendered.insert(0, Message("system", "\n\n".join([system, *own])))
        text = ""
        for i, message in enumerate(rendered):
            content = message.text + (suffix if i == len(rendered) - 1 else "")
            for token in self.control:
                content = content.replace(token, token[0] + " " + token[1:])
            role = dict(self.roles).get(message.role, message.role)
            text += self.before.replace("{role}", role) + content + self.after
        return text + self.opening


def prompt_for(run: Run, task: Task, template: TemplateName, *, system: str = "", suffix: str = "") -> str:
    """The raw prompt of ``task``, the instructions of the run included.

    Args:
        system, suffix: see `Template.render`.

    Raises:
        UnknownNameError: there is no template of that name.
        MissingCapabilityError: the task has images, sound or files.
    """
    if task.media:
        raise MissingCapabilityError(
            "A native strategy continues plain text, and the task has more than text in it.",
            hint="Choose another strategy, such as adaptive.",
        )
    messages = instructed(opening(task), run.context.instructions, "thread")
    return template_named(template).render(messages, system=system, suffix=suffix)


TemplateName = Literal["chatml", "gemma", "plain"]
TEMPLATES: dict[TemplateName, Template] = {
    "chatml": Template(
        "<|im_start|>{role}\n",
        "<|im_end|>\n",
        "<|im_start|>assistant\n",
        control=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    ),
    "gemma": Template(
        "<start_of_turn>{role}\n",
        "<end_of_turn>\n",
        "<start_of_turn>model\n",
        roles=(("assistant", "model"), ("system", "user")),
        control=("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"),
    ),
    "plain": Template("", "\n", ""),
}
"""By name: ``chatml`` (Qwen), ``gemma``, or ``plain`` (the messages and a newline)."""


def template_named(name: TemplateName) -> Template:
    """The template of a name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in TEMPLATES:
        raise UnknownNameError("template", name, TEMPLATES)
    return TEMPLATES[name]
