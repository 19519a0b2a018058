"""``local/...`` for weaver: models by name, which are fetched when they are first used, and GGUF files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from weaver._text.names import did_you_mean
from weaver.errors import ConfigurationError, UnknownNameError
from weaver.models import Capabilities, Model, Offer, OpenAIModel, Opening, Prices
from weaver.options import home
from weaver_local.engine import Options, engine
from weaver_local.fetch import fetch_async, is_there
from weaver_local.manifest import Entry, entries
from weaver_local.report import report

_SMALL_PARAMETERS = 4_000_000_000
_SMALL_BYTES = 3_000_000_000
_YES = {"1", "true", "yes", "y", "on"}
_PATH = re.compile(r"\.{0,2}[/\\]|~|[A-Za-z]:[/\\]")
_PLAIN = re.compile(r"[^/\\]+")


def models_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return where models are kept: ``models`` in ``WEAVER_HOME``."""
    return home(environ) / "models"


class LocalModels:
    """The `weaver._models.catalog.registry.ModelSource` behind ``local/``."""

    def offers(self, environ: Mapping[str, str]) -> Sequence[Offer]:
        """The models of the manifest, the default first, then other GGUF files in the models folder."""
        folder = models_folder(environ)
        known = entries(home(environ))
        found = [
            Offer(f"local/{entry.name}", is_there(entry, folder), _note(entry, is_there(entry, folder)))
            for entry in known
        ]
        files = {entry.file for entry in known}
        found += [
            Offer(f"local/{path.stem}", True, f"{path.stat().st_size / 1e6:,.0f} MB, your file")
            for path in sorted(folder.glob("*.gguf"))
            if path.name not in files
        ]
        return found

    async def open(self, name: str, opening: Opening) -> Model:
        """A model that is ready to answer, fetched first where need be.

        Args:
            name: a model's name, the path of a GGUF file, or ``""`` for the default.
            opening: see there.

        Raises:
            UnknownNameError: no model of that name.
            ConfigurationError: the model is not there and must not be fetched, or cannot be loaded.
            DownloadError: it cannot be fetched.
            ModelConnectionError: its process ended while it was loading.
        """
        entry, path = find(name.strip(), opening.environ)
        if entry is not None and not is_there(entry, path.parent):
            ask(entry, path.parent, opening)
            path = await fetch_async(entry, path.parent, report(entry.name, entry.size))
        options = Options.from_environment(opening.environ, entry.context if entry else None)
        running = await engine(path, options)
        small = (
            running.parameters <= _SMALL_PARAMETERS
            if running.parameters
            else path.stat().st_size <= _SMALL_BYTES
        )
        return OpenAIModel(
            f"local/{entry.name if entry else name.strip()}",
            base_url=running.url,
            api_key=running.key or None,
            model_id=path.name,
            provider="llama_cpp",
            prices=Prices(0.0, 0.0),
            capabilities=Capabilities(
                json_schema=True,
                json_object=True,
                tools=True,
                logprobs=True,
                completions=True,
                prefill=True,
                slots=running.slots,
                context=running.context,
                small=small,
                vision=False,
                audio=False,
                files=False,
            ),
        )


def find(name: str, environ: Mapping[str, str]) -> tuple[Entry | None, Path]:
    """The model that ``name`` (without ``local/``) means, and its file, which may not be there yet.

    The manifest's entry is None for a file of the user's own.

    Raises:
        UnknownNameError: it means none.
    """
    folder = models_folder(environ)
    known = entries(home(environ))
    if not name:
        return known[0], folder / known[0].file
    for entry in known:
        if name.lower() in {entry.name.lower(), entry.file.lower()}:
            return entry, folder / entry.file
    if _PATH.match(name) or name.lower().endswith(".gguf"):
        path = Path(name).expanduser()
        in_folder = folder / path.name
        return None, in_folder if path.name == name and not path.exists() and in_folder.exists() else path
    if _PLAIN.fullmatch(name) and (own := folder / f"{name}.gguf").is_file():
        return None, own
    raise unknown(name, known, folder)


def unknown(name: str, known: Sequence[Entry], folder: Path) -> UnknownNameError:
    """The error for a name that is no local model's."""
    names = [entry.name for entry in known] + [path.stem for path in folder.glob("*.gguf")]
    hint = did_you_mean(name, set(names), cutoff=0.5)
    return UnknownNameError(
        "local model", name, names, hint=f"{hint} A file is given by its path, for example ./{name}.gguf."
    )


def ask(entry: Entry, folder: Path, opening: Opening) -> None:
    """Make sure that the user wants the download.

    Raises:
        ConfigurationError: they do not, or there is nobody to ask.
    """
    what = f"The embedded model {entry.name} is not on this machine yet."
    if opening.environ.get("WEAVER_YES", "").strip().lower() in _YES:
        return
    if opening.confirm is None:
        raise ConfigurationError(
            f"{what} It is a download of {entry.megabytes} ({entry.licence}), and nobody can be asked here.",
            hint="Agree with --yes (or WEAVER_YES=1), or fetch it first: weaver local pull. "
            "Or choose another model: weaver doctor",
        )
    if not opening.confirm(
        f"{what}\nIt is there to try weaver out: {entry.megabytes}, licence {entry.licence}, "
        f"kept in {folder}.\nDownload it?"
    ):
        raise ConfigurationError(
            "The embedded model was not downloaded.",
            hint="Name another model with --model, or give --base-url or a key: weaver doctor",
        )


def _note(entry: Entry, there: bool) -> str:
    state = "ready" if there else "not downloaded yet"
    return f"{entry.megabytes}, {entry.licence}, {state}"


source = LocalModels()
