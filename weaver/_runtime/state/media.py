"""Images, sound and files on their way to a model that may not take them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from weaver._data.messages import Media, Message
from weaver._models.protocol import Capabilities
from weaver._runtime.state.context import ThreadContext
from weaver.errors import BadRequestError, MissingCapabilityError, ModelError, ModelProtocolError, ServerError

_FIELDS = {"image": "vision", "audio": "audio", "file": "files"}
_HINT = "Choose a model that takes them, or leave them out of the messages."
# Servers have many words for it: "image input is not supported", "At most 0 image(s) may be provided",
# "unknown variant `image_url`, expected `text`", "content must be a string", "is not a multimodal model".
_REFUSAL = re.compile(
    r"image|audio|vision|multi-?modal|modalit|file|attachment|document"
    r"|content.{0,40}\b(?:string|text|str)\b|expected (?:a )?(?:string|`text`)",
    re.IGNORECASE,
)


def media_of(messages: Iterable[Message]) -> list[Media]:
    """All parts that are not text."""
    return [part for message in messages for part in message.media]


def refused_kinds(can: Capabilities, media: Iterable[Media]) -> list[str]:
    """The kinds of parts, such as ``image``, that a model is known not to take."""
    kinds = dict.fromkeys(part.kind for part in media)
    return [kind for kind in kinds if getattr(can, _FIELDS[kind]) is False]


async def check_media(run: ThreadContext, messages: Sequence[Message], role: str = "thread") -> None:
    """Refuse parts that the model of ``role`` is known not to take. Nothing is sent.

    Raises:
        MissingCapabilityError: naming the model and the kinds of parts.
    """
    if not (media := media_of(messages)):
        return
    model = run.model(role)
    kinds = refused_kinds(await model.capabilities(), media)
    kinds += [part.kind for part in media if (model.name, part.kind) in run.state.refused_media]
    if kinds:
        raise MissingCapabilityError(f"{model.name} takes no {_named(kinds)}.", hint=_HINT)


def as_missing(
    run: ThreadContext, error: ModelError, model: str, messages: Sequence[Message]
) -> MissingCapabilityError | None:
    """The error for a server that refuses a request because of its parts; None for another refusal.

    It is remembered until the end of the run.
    """
    if not isinstance(error, BadRequestError | ServerError | ModelProtocolError):
        return None
    media = media_of(messages)
    if not media or not _REFUSAL.search(error.message):
        return None
    kinds = dict.fromkeys(part.kind for part in media)
    run.state.refused_media.update((model, kind) for kind in kinds)
    return MissingCapabilityError(f"{model} takes no {_named(kinds)}: {error.message}", hint=_HINT)


def without_media_of_tools(messages: Sequence[Message]) -> tuple[Message, ...]:
    """``messages`` with descriptions in the place of tools' images, sound and files."""
    return tuple(
        replace(m, content=f"{m.text}\n\n{described(m.media)}") if m.role == "tool" and m.media else m
        for m in messages
    )


def described(media: Iterable[Media]) -> str:
    """The parts by kind, type and size, for a model that cannot take them."""
    return "\n".join(f"[{part.description}; this model cannot see it]" for part in media)


def _named(kinds: Iterable[str]) -> str:
    plurals = {"image": "images", "audio": "audio", "file": "files"}
    return " and no ".join(plurals[kind] for kind in dict.fromkeys(kinds))
