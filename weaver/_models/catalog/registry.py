"""Models from installed distributions: the entry-point group ``weaver.models``.

An entry point's name is a prefix (``local`` serves ``local/...``); its object is a `ModelSource`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from weaver._environment import plugins
from weaver._models.protocol import Model
from weaver.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "weaver.models"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source may need to open a model.

    Args:
        environ: the environment to read.
        confirm: asked before something large is fetched; gets the question, says whether to go on.
            None: there is nobody to ask.
        headers: the user's own, for each request to an endpoint.
    """

    environ: Mapping[str, str]
    confirm: Callable[[str], bool] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that a source could open.

    Args:
        name: what to type after ``--model``, prefix included.
        ready: it can answer at once; False when it would first be fetched.
        note: one line about it: size, licence, where it lies.
    """

    name: str
    ready: bool
    note: str


@runtime_checkable
class ModelSource(Protocol):
    """What an entry point of ``weaver.models`` must be: an object with these two methods."""

    def offers(self, environ: Mapping[str, str]) -> Sequence[Offer]:
        """The models it knows by name, its default first. Looks at this machine only, no network."""
        ...

    async def open(self, name: str, opening: Opening) -> Model:
        """A model that is ready to answer.

        Args:
            name: what follows the prefix and its slash; ``""`` for the default.

        Raises:
            ConfigurationError: no such model, or it must not be fetched without being asked.
            ModelError: it cannot be fetched or started.
        """
        ...


def installed() -> dict[str, EntryPoint]:
    """The installed sources by prefix; nothing is imported."""
    return plugins.installed(GROUP)


def source(prefix: str) -> ModelSource:
    """The installed source for ``prefix``.

    Raises:
        UnknownNameError: none is installed under that name.
        ConfigurationError: it cannot be imported, or is not a `ModelSource`.
    """
    points = installed()
    if prefix not in points:
        raise UnknownNameError("model source", prefix, points)
    point = points[prefix]
    model_source = plugins.load(point, "model source")
    if not isinstance(model_source, ModelSource):
        raise ConfigurationError(
            f"The model source {prefix!r} of {plugins.owner(point)} has no `offers` and `open`.",
            hint="See weaver.models.ModelSource.",
        )
    return model_source


def offers(prefix: str, environ: Mapping[str, str]) -> Sequence[Offer]:
    """Return what the installed source for ``prefix`` offers.

    Raises:
        UnknownNameError, ConfigurationError: as `source`; also when its code raises.
    """
    model_source = source(prefix)
    with plugins.code_of(installed()[prefix], "model source", "cannot list its models"):
        return model_source.offers(environ)
