"""From a file, a text or an object to a checked workflow; every problem at once, with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._settings.settings import Settings
from weaver._workflows.format.definition import MANY_STEPS, VERSION, Definition
from weaver._workflows.format.extension import add_installed
from weaver._workflows.format.step import Step
from weaver._workflows.source.diagnostics import Problem, Problems, did_you_mean
from weaver._workflows.source.dump import dump
from weaver._workflows.source.tree import Keys, Source, parse, read_file, written
from weaver._workflows.validation.checker import Checker
from weaver._workflows.validation.explain import explained, keys_of
from weaver._workflows.validation.registry import Surroundings

MAX_FILES = 50
_ROUNDS = 8


def load(
    source: str | Path, *, root: str | Path | None = None, surroundings: Surroundings | None = None
) -> Definition:
    """Read and check a workflow.

    Args:
        source: a path, or a YAML text (a string with a line break).
        root: the folder that ``uses`` may not leave; by default that of the file, for a text the working
            directory.
        surroundings: what may be named; what is registered and installed by default.

    Raises:
        InvalidWorkflowError: every problem of the file and of the files it uses.
    """
    workflow, problems = examine(source, root=root, surroundings=surroundings)
    problems.raise_if_any()
    assert workflow is not None
    return workflow


def examine(
    source: str | bytes | Path,
    *,
    root: str | Path | None = None,
    surroundings: Surroundings | None = None,
    name: str = "<text>",
) -> tuple[Definition | None, Problems]:
    """`load` without raising: the workflow as far as it could be read, and its problems.

    Args:
        source: as for `load`, or the bytes of a file.
        name: what problems call a text or bytes.
    """
    problems = Problems()
    if isinstance(source, bytes) or (isinstance(source, str) and "\n" in source):
        folder = Path(root) if root is not None else Path.cwd()
        loader = _Loader(folder, surroundings or Surroundings(), problems)
        return loader.checked(parse(source, name, problems), folder), problems
    path = Path(source).expanduser()
    folder = Path(root) if root is not None else path.parent
    loader = _Loader(folder, surroundings or Surroundings(), problems)
    return loader.file(path, str(source)), problems


def check_built(
    workflow: Definition, *, root: str | Path | None = None, surroundings: Surroundings | None = None
) -> None:
    """Check a workflow that was built in Python; afterwards it can be run.

    Raises:
        InvalidWorkflowError: every problem, at the lines of its YAML.
    """
    problems = Problems()
    folder = Path(root) if root is not None else Path.cwd()
    loader = _Loader(folder, surroundings or Surroundings(), problems)
    read = loader.checked(parse(dump(workflow), f"<{workflow.name}>", problems), folder)
    problems.raise_if_any()
    assert read is not None
    workflow.checked_as(read.compiled, None)


class _Loader:
    """Loads one workflow and, below it, those it uses. Each file is read once."""

    def __init__(self, root: Path, surroundings: Surroundings, problems: Problems) -> None:
        self._root = root.absolute()
        self._surroundings = surroundings
        self._problems = problems
        self._done: dict[Path, Definition | None] = {}
        self._open: list[Path] = []

    def file(self, path: Path, name: str) -> Definition | None:
        """The workflow of a file, or None when it has problems that keep it from being one."""
        real = path.resolve()
        if real in self._done:
            return self._done[real]
        self._open.append(real)
        workflow = self.checked(read_file(path, name, self._problems), path.parent)
        self._open.pop()
        self._done[real] = workflow
        return workflow

    def checked(self, source: Source, folder: Path) -> Definition | None:
        """The workflow of a parsed text, checked as far as it can be read."""
        if source.root is None:
            return None
        before = len(self._problems)
        workflow, dropped = _read(source, self._problems)
        if workflow is None:
            return None
        self._check_size(workflow, source)
        used = {
            id_: self._used(source, folder, ("steps", id_, "uses"), step.uses)
            for id_, step in workflow.steps.items()
            if step.uses is not None
        }
        read = source.without(dropped)
        checker = Checker(workflow, read, self._problems, self._surroundings, lost=dropped, used=used)
        compiled = checker.check()
        workflow.checked_as(compiled, source)
        return workflow if len(self._problems) == before else None

    def _check_size(self, workflow: Definition, source: Source) -> None:
        steps = len(workflow.steps)
        if steps <= MANY_STEPS or steps <= (limit := Settings.load().max_steps or MANY_STEPS):
            return
        self._problems.add(
            source.problem(
                source.value_place(("steps",)),
                ("steps",),
                f"there are {steps:,} steps, and at most {limit:,} are allowed",
                "each step is a thread with calls of its own; set max_steps (WEAVER_MAX_STEPS) to allow more",
            )
        )

    def _used(self, source: Source, folder: Path, keys: Keys, given: str) -> Definition | None:
        def wrong(what: str, hint: str = "") -> None:
            self._problems.add(source.problem(source.value_place(keys), keys, what, hint))

        if "://" in given or not given.lower().endswith((".yaml", ".yml")):
            wrong("uses takes the path of a .yaml file", "for example uses: ./review.yaml")
            return None
        if "\x00" in given or Path(given).is_absolute() or given.startswith("~") or "\\" in given:
            wrong("uses takes a path relative to this file, with /", "for example uses: ./review.yaml")
            return None
        path = folder / given
        try:
            real = path.resolve()
            inside = real.is_relative_to(self._root.resolve())
            there = real.is_file()
        except (OSError, RuntimeError) as error:
            wrong(f"{given} cannot be reached: {error}")
            return None
        if not inside:
            wrong(
                f"{given} lies outside of the folder of the workflow",
                "--root FOLDER names a wider one",
            )
            return None
        if real in self._open:
            chain = [p.name for p in (*self._open[self._open.index(real) :], real)]
            wrong(f"the workflows use each other: {' -> '.join(chain)}", "a workflow cannot use itself")
            return None
        if not there:
            close = sorted(p.name for p in real.parent.glob("*.y*ml")) if real.parent.is_dir() else []
            wrong(f"there is no file {given}", did_you_mean(real.name, close, cutoff=0.75, most=0))
            return None
        if len(self._done) + len(self._open) >= MAX_FILES:
            wrong(f"more than {MAX_FILES} workflow files are used")
            return None
        name = str(Path(source.name).parent / given) if source.path is not None else given
        return self.file(path, name)


def _read(source: Source, problems: Problems) -> tuple[Definition | None, frozenset[Keys]]:
    """The workflow of the plain data without what is wrong, and the paths of what was left out."""
    data = source.data
    if () in source.missing:
        return None, frozenset()
    if not is_object(data):
        complaint = "a workflow is a mapping: version, name, steps"
        problems.add(source.problem(source.value_place(()), (), complaint, "start with `weaver init`"))
        return None, frozenset()
    if not _version(source, data, problems):
        return None, frozenset()
    add_installed(_foreign_keys(data))
    dropped = set(source.missing)
    remaining: Any = _without(data, dropped) if dropped else data
    for number in range(_ROUNDS):
        if remaining is None:
            break
        try:
            return Definition.model_validate(remaining), frozenset(dropped)
        except ValidationError as error:
            if number == 0:
                for _, problem in explained(error, source, Definition, dropped):
                    problems.add(problem)
            cut = [_existing(remaining, entry["loc"]) for entry in error.errors(include_url=False)]
            dropped |= {written(keys, dropped) for keys in cut}
            remaining = _without(data, dropped)
        except RecursionError:
            problems.add(source.problem(source.value_place(()), (), "the file is nested too deep"))
            break
    return None, frozenset()


def _foreign_keys(data: Mapping[str, Any]) -> set[str]:
    """Keys of steps that no known kind of step has: those of plugins, and misspelt ones."""
    steps = data.get("steps")
    known = set(keys_of(Step))
    return {
        key
        for step in (steps.values() if is_object(steps) else ())
        if is_object(step)
        for key in step.keys() - known
    }


def _version(source: Source, data: Mapping[str, Any], problems: Problems) -> bool:
    version = data.get("version")
    if version == VERSION:
        return True
    if "version" not in data:
        hint = f"begin the file with: version: {VERSION}"
        problems.add(source.problem(source.value_place(()), (), "the key 'version' is missing", hint))
        return True
    if isinstance(version, str) and version.startswith("weaver/v"):
        problem, hint = (
            f"this weaver reads {VERSION}, not {version}",
            "install a newer weaver, or change the version",
        )
        problems.add(source.problem(source.value_place(("version",)), ("version",), problem, hint))
        return False
    problem = f"the version is {VERSION}"
    problems.add(
        source.problem(source.value_place(("version",)), ("version",), problem, f"write version: {VERSION}")
    )
    return True


def _existing(data: Any, location: tuple[Any, ...]) -> Keys:
    """The part of a location that the data has."""
    keys: list[str | int] = []
    for part in location:
        if not _has(data, part):
            break
        data = data[part]
        keys.append(part)
    return tuple(keys)


def _has(at: Any, part: Any) -> bool:
    if isinstance(at, dict):
        return part in at
    return is_array(at) and isinstance(part, int) and part < len(at)


_CUT = object()


def _drop_cut(data: Json) -> None:
    """Take out list items that were cut; only then, so that indices stay right meanwhile."""
    if isinstance(data, dict):
        for value in data.values():
            _drop_cut(value)
    elif isinstance(data, list):
        for value in data:
            _drop_cut(value)
        data[:] = [value for value in data if value is not _CUT]


def _without(data: Any, cut: set[Keys]) -> Any:
    """A copy of the data without the values at ``cut``; None when no step is left."""
    copy: dict[str, Any] = {"version": VERSION, "name": "unnamed", **_copy(data)}
    for keys in sorted(cut, key=lambda keys: [str(k) for k in keys]):
        holder: Any = copy
        for key in keys[:-1]:
            holder = holder[key] if _has(holder, key) else None
        if not keys or not _has(holder, keys[-1]):
            continue
        if keys in (("version",), ("name",)):
            copy[str(keys[0])] = VERSION if keys[0] == "version" else "unnamed"
        elif isinstance(holder, dict):
            del holder[keys[-1]]
        else:
            holder[keys[-1]] = _CUT
    _drop_cut(copy)
    return copy if isinstance(copy.get("steps"), dict) and copy["steps"] else None


def _copy(data: Json) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(item) for item in data] if isinstance(data, list) else data


__all__ = ["Problem", "check_built", "examine", "load"]
