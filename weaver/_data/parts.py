"""Parts of a message that is more than text: images, sound, files.

A part holds its bytes, or a URL that the model's provider fetches. Weaver fetches nothing itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from weaver._json_reading.json_types import is_list_or_tuple
from weaver.errors import InvalidTaskError

MAX_BYTES = 50_000_000
"""Most bytes of one part. Providers take less: 20 to 50 MB a request."""
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]{1,20}://\S+", re.IGNORECASE)
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
_SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPart:
    """Common fields of image, sound and file parts. Give exactly one of ``path``, ``data`` and ``url``.

    Args:
        path: a file of this machine, read at once.
        data: the bytes; never shown in texts, logs or traces.
        url: where the model's provider fetches it, or a ``data:`` URL, which becomes ``data``.
        media_type: such as ``image/png``; found out from the path or the bytes where it is not given.

    Raises:
        InvalidTaskError: none or several of them are given, the file cannot be read, or it is too large.
    """

    kind: ClassVar[str] = "file"
    usual_type: ClassVar[str] = "application/octet-stream"

    path: InitVar[str | Path | None] = None
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    media_type: str = ""

    def __post_init__(self, path: str | Path | None) -> None:
        if sum(value is not None for value in (path, self.data, self.url)) != 1:
            raise InvalidTaskError(f"{type(self).__name__} needs exactly one of path=, data= and url=.")
        if path is not None:
            object.__setattr__(self, "data", _bytes_of(Path(path)))
        elif self.url is not None:
            self._take_url(self.url)
        if self.data is not None:
            if not self.data or len(self.data) > MAX_BYTES:
                size = f"{len(self.data):,} bytes"
                raise InvalidTaskError(f"{type(self).__name__} has {size}; allowed are 1 to {MAX_BYTES:,}.")
            if not self.media_type:
                object.__setattr__(self, "media_type", _type_of(self.data, path) or self.usual_type)

    def _take_url(self, url: str) -> None:
        if match := _DATA_URL.match(url[:200]):
            try:
                data = base64.b64decode(url[match.end() :], validate=True)
            except (binascii.Error, ValueError):
                raise InvalidTaskError(f"The data: URL of a {self.kind} is not valid base64.") from None
            object.__setattr__(self, "data", data)
            object.__setattr__(self, "url", None)
            object.__setattr__(self, "media_type", self.media_type or (match[1] or "").lower())
        elif not _URL.fullmatch(url):
            raise InvalidTaskError(
                f"{url[:80]!r} is not the URL of a {self.kind}.", hint="Use https://, a data: URL, or path=."
            )

    @property
    def source(self) -> str:
        """The URL, or the bytes as a ``data:`` URL."""
        return self.url or f"data:{self.media_type};base64,{self.base64}"

    @property
    def base64(self) -> str:
        """The bytes as base64; "" where there is only a URL."""
        return base64.b64encode(self.data).decode() if self.data is not None else ""

    @property
    def description(self) -> str:
        """Kind, type and size, or the URL, in at most 200 characters, for logs and traces."""
        if self.data is not None:
            return f"{self.kind}, {self.media_type[:60]}, {len(self.data):,} bytes"
        return f"{self.kind}, {(self.url or '')[:120]}"

    @property
    def tokens(self) -> int:
        """A rough estimate of the tokens that a model reads."""
        size = len(self.data or b"")
        return max(500, size // (4 if self.media_type.startswith("text/") else 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart(MediaPart):
    """An image.

    Args:
        detail: how closely the model looks, where it takes that: ``low``, ``high``, ``auto``.
    """

    kind: ClassVar[str] = "image"
    usual_type: ClassVar[str] = "image/png"

    detail: Literal["", "low", "high", "auto"] = ""

    @property
    def tokens(self) -> int:
        """85 for low detail, else 1,000: about what providers count for a large image."""
        return 85 if self.detail == "low" else 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPart(MediaPart):
    """Recorded sound."""

    kind: ClassVar[str] = "audio"
    usual_type: ClassVar[str] = "audio/wav"

    @property
    def format(self) -> str:
        """The name that OpenAI's protocol has for the media type: ``wav``, ``mp3``."""
        subtype = self.media_type.rpartition("/")[2].removeprefix("x-")
        return {"mpeg": "mp3", "wave": "wav"}.get(subtype, subtype)

    @property
    def tokens(self) -> int:
        """An estimate: about ten tokens a second of speech."""
        return max(100, len(self.data or b"") // 1600)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart(MediaPart):
    """A document, such as a PDF.

    Args:
        name: the file's name; that of ``path`` by default.
    """

    name: str = ""

    def __post_init__(self, path: str | Path | None) -> None:
        super(FilePart, self).__post_init__(path)
        if not self.name:
            object.__setattr__(self, "name", Path(path).name if path is not None else "file")


Part = TextPart | ImagePart | AudioPart | FilePart


def as_parts(content: Any) -> tuple[Part, ...]:
    """The parts in a list of parts and texts.

    Raises:
        InvalidTaskError: something else is in it.
    """
    parts: list[Part] = []
    for item in content:
        part = TextPart(item) if isinstance(item, str) else item
        if not isinstance(part, TextPart | ImagePart | AudioPart | FilePart):
            raise InvalidTaskError(
                f"A message's content has a {type(item).__name__}.",
                hint="Use texts, TextPart, ImagePart, AudioPart and FilePart.",
            )
        parts.append(part)
    return tuple(parts)


def text_of_parts(parts: tuple[Part, ...]) -> str:
    """The texts, with a mark such as ``[image 1]`` where something else stands."""
    counts: dict[str, int] = {}
    texts: list[str] = []
    for part in parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
            continue
        counts[part.kind] = number = counts.get(part.kind, 0) + 1
        name = " ".join(part.name.split())[:60] if isinstance(part, FilePart) else ""
        texts.append(f"[{part.kind} {number}{': ' + name if name else ''}]")
    return "\n\n".join(texts)


class TextWithParts(str):
    """The text of a tool's result that has more than text in it.

    Attributes:
        parts: everything in it, texts included.
    """

    __slots__ = ("parts",)

    parts: tuple[Part, ...]

    def __new__(cls, parts: tuple[Part, ...]) -> TextWithParts:
        """Make one; its text has marks such as ``[image 1]``."""
        text = super().__new__(cls, text_of_parts(parts))
        text.parts = parts
        return text


def result_of(value: Any) -> str | None:
    """Return what a function returned, as a tool's result, if parts are in it; else None."""
    values = value if is_list_or_tuple(value) else [value]
    if not any(isinstance(item, MediaPart | TextPart) for item in values):
        return None
    if not all(isinstance(item, str | MediaPart | TextPart) for item in values):
        return None
    return TextWithParts(as_parts(values))


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidTaskError(
                f"{path} has {path.stat().st_size:,} bytes; a part may have {MAX_BYTES:,}."
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidTaskError(f"{path} cannot be read: {error.strerror or error}.") from None


def _type_of(data: bytes, path: str | Path | None) -> str:
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if path is None:
        return ""
    import mimetypes

    return mimetypes.guess_type(Path(path).name)[0] or ""
