"""A YAML text as a tree that remembers where everything stands.

Read from the parser's events, not its objects, so that nothing is built that the text does not spell out:
no Python objects, no dates, no YAML 1.1 booleans; depth, size and aliases are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weaver._workflows.source.decode import MAX_BYTES, MAX_DEPTH, decoded, mark_place, syntax_problems
from weaver._workflows.source.diagnostics import Place, Problem, Problems, dotted, shortened

MAX_VALUES = 100_000

Key = str | int
Keys = tuple[Key, ...]

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TEXT_TAGS = {None, "!", "tag:yaml.org,2002:str"}


@dataclass(slots=True)
class Scalar:
    """A value as written. ``plain`` is False when it was quoted or a block; then it is always text."""

    text: str
    plain: bool
    start: int
    end: int
    place: Place

    @property
    def value(self) -> Any:
        """The value it stands for."""
        return plain_value(self.text) if self.plain else self.text


def plain_value(text: str) -> Any:
    """Return what a text without quotes means by YAML 1.2: null, true and false, a number, else a text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text) and len(text) <= 400:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


@dataclass(slots=True)
class Mapping:
    """Keys in order of writing; of a repeated key the first stays."""

    place: Place
    entries: dict[str, tuple[Place, Node]] = field(default_factory=dict[str, tuple[Place, "Node"]])
    merged: list[tuple[Place, Node]] = field(default_factory=list[tuple[Place, "Node"]])

    @property
    def whole(self) -> bool:
        """True if everything that it takes over is there."""
        return not any(isinstance(node, Missing) for _, node in self.merged)


@dataclass(slots=True)
class Sequence:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list["Node"])


@dataclass(slots=True)
class Missing:
    """An alias of an anchor that is not there: its own problem, which is said already."""

    place: Place


Node = Scalar | Mapping | Sequence | Missing


@dataclass(slots=True)
class Source:
    """A parsed text: its plain data, and the places of its keys and values.

    Attributes:
        name: the file as the user knows it, for messages.
        data: dicts, lists and scalars; None when the text could not be parsed.
        root: the tree behind ``data``.
        missing: paths of what stands in the text, but could not be read; None in ``data``.
        left_out: see `without`.
    """

    name: str
    text: str = ""
    path: Path | None = None
    data: Any = None
    root: Node | None = None
    missing: frozenset[Keys] = frozenset()
    left_out: frozenset[Keys] = frozenset()

    def without(self, left_out: Set[Keys]) -> Source:
        """The same text for somebody whose data lacks the parts at these paths.

        The items of a list move up when one before them is left out; places are those of the text.
        """
        return replace(self, left_out=frozenset(left_out))

    def node(self, keys: Keys) -> Node | None:
        """The node at a path of keys, or None."""
        at = self.root
        for key in written(keys, self.left_out):
            if isinstance(at, Mapping) and key in at.entries:
                at = at.entries[str(key)][1]
            elif isinstance(at, Sequence) and isinstance(key, int) and key < len(at.items):
                at = at.items[key]
            else:
                return None
        return at

    def value_place(self, keys: Keys) -> Place:
        """Return where the value at ``keys`` begins, or that of the nearest existing parent."""
        while keys:
            if (node := self.node(keys)) is not None:
                return node.place
            keys = keys[:-1]
        return self.root.place if self.root is not None else Place()

    def key_place(self, keys: Keys) -> Place:
        """Return where the last key of ``keys`` is written, or that of the nearest existing parent."""
        while keys:
            parent = self.node(keys[:-1])
            if isinstance(parent, Mapping) and keys[-1] in parent.entries:
                return parent.entries[str(keys[-1])][0]
            if isinstance(parent, Sequence):
                return self.value_place(keys)
            keys = keys[:-1]
        return self.value_place(())

    def inside(self, keys: Keys, needle: str, occurrence: int = 0, before: str = "") -> Place:
        """Return the place of the n-th ``needle`` in a text value, or of the character after ``before``.

        The value may be a block, folded or quoted, so the place is looked up in the text as it was written:
        line breaks and indentation differ, everything else is the same.
        """
        node = self.node(keys)
        if not isinstance(node, Scalar):
            return self.value_place(keys)
        raw, at = self.text[node.start : node.end], -1
        for _ in range(occurrence + 1):
            at = raw.find(needle, at + 1)
            if at < 0:
                return node.place
        count = sum(not char.isspace() for char in before)
        while count and at < len(raw):
            count -= not raw[at].isspace()
            at += 1
        while at < len(raw) and raw[at].isspace() and before:
            at += 1
        return Place(node.place.line, node.place.column).after(raw[: min(at, len(raw) - 1)])

    def problem(self, place: Place, keys: Keys, what: str, hint: str = "") -> Problem:
        """A `Problem` of this file."""
        return Problem(self.name, place, dotted(written(keys, self.left_out)), what, hint)


def written(keys: Keys, left_out: Set[Keys]) -> Keys:
    """The path in a text of what has the path ``keys`` in its data without the parts ``left_out``."""
    path: Keys = ()
    for key in keys:
        at = key
        if isinstance(at, int):
            for gone in sorted(k[-1] for k in left_out if k[:-1] == path and isinstance(k[-1], int)):
                at += gone <= at
        path = (*path, at)
    return path


def read_file(path: Path, name: str, problems: Problems) -> Source:
    """Read and parse a file; whatever is wrong goes to ``problems``."""
    source = Source(name, path=path)
    try:
        if not path.is_file():
            problem = "is a folder, not a file" if path.is_dir() else "there is no such file"
            problems.add(Problem(name, Place(), "", problem))
            return source
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(Problem(name, Place(), "", f"the file cannot be read: {error.strerror or error}"))
        return source
    return _parse_into(source, content, problems)


def parse(content: str | bytes, name: str, problems: Problems) -> Source:
    """Parse a text that was not read from a file by us; whatever is wrong goes to ``problems``."""
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return _parse_into(Source(name), raw, problems)


def _parse_into(source: Source, content: bytes, problems: Problems) -> Source:
    import yaml

    text = decoded(source.name, content, problems)
    if text is None:
        return source
    source.text = text
    try:
        root = _Composer(source, problems).compose(text)
    except yaml.MarkedYAMLError as error:
        for problem in syntax_problems(source.name, source.text, error):
            problems.add(problem)
        return source
    except (_TooMuchError, yaml.YAMLError) as error:
        place = error.place if isinstance(error, _TooMuchError) else Place()
        problems.add(Problem(source.name, place, "", " ".join(str(error).split())))
        return source
    if root is None:
        problems.add(Problem(source.name, Place(), "", "the file is empty", "start with `weaver init`"))
        return source
    builder = _Builder()
    try:
        source.data = builder.build(root)
    except _TooMuchError as error:
        problems.add(Problem(source.name, error.place, "", str(error)))
        return source
    source.root, source.missing = root, frozenset(builder.missing)
    return source


class _TooMuchError(Exception):
    def __init__(self, place: Place, what: str) -> None:
        super().__init__(what)
        self.place = place


class _Composer:
    """Builds the tree from the parser's events, without recursion."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source = source
        self._problems = problems
        self._anchors: dict[str, Node] = {}

    def compose(self, text: str) -> Node | None:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        stack: list[tuple[Mapping | Sequence, str | None]] = []
        keys: list[tuple[Place, str | None, bool] | None] = []
        root: Node | None = None
        count = documents = 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._wrong(_place(event), "a second document begins here", "one workflow per file")
                    break
            if not isinstance(event, (yaml.NodeEvent, yaml.CollectionEndEvent)):
                continue
            count += 1
            if count > MAX_VALUES:
                raise _TooMuchError(_place(event), f"more than {MAX_VALUES:,} values")
            node: Node
            if isinstance(event, yaml.CollectionEndEvent):
                node, anchor = stack.pop()
                keys.pop()
                if isinstance(node, Mapping):
                    self._fill_in(node)
                if anchor is not None:
                    self._anchors[anchor] = node
                if not stack:
                    root = node
                continue
            node = self._node(event)
            if stack:
                self._put(stack[-1][0], keys, node, event)
            elif isinstance(node, (Scalar, Missing)):
                root = node
            if isinstance(node, (Mapping, Sequence)) and not isinstance(event, yaml.AliasEvent):
                if len(stack) >= MAX_DEPTH:
                    raise _TooMuchError(node.place, f"nested more than {MAX_DEPTH} deep")
                stack.append((node, event.anchor))
                keys.append(None)
        return root

    def _node(self, event: Any) -> Node:
        import yaml

        place = _place(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                self._wrong(
                    place, f"there is no finished anchor &{event.anchor} above", "define it before it is used"
                )
                return Missing(place)
            return self._anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            if event.tag not in _TEXT_TAGS:
                self._wrong(place, f"the tag {_tag(event.tag)} means nothing here", "remove it")
            plain = event.style in (None, "") and event.tag is None
            start, end = event.start_mark, event.end_mark
            assert start is not None
            assert end is not None
            node = Scalar(event.value, plain, start.index, end.index, place)
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            return node
        if event.tag not in (None, "!"):
            self._wrong(place, f"the tag {_tag(event.tag)} means nothing here", "remove it")
        return Mapping(place) if isinstance(event, yaml.MappingStartEvent) else Sequence(place)

    def _put(self, parent: Mapping | Sequence, keys: list[Any], node: Node, event: Any) -> None:
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        if keys[-1] is None:
            merges = isinstance(node, Scalar) and node.plain and node.text == "<<"
            keys[-1] = (_place(event), self._key(node, _place(event)), merges)
            return
        place, key, merges = keys[-1]
        keys[-1] = None
        if key is None:
            return
        if merges:
            parent.merged.append((place, node))
            return
        if key in parent.entries:
            first = parent.entries[key][0]
            self._wrong(
                place,
                f"the key {shortened(key)!r} is there twice, first in line {first.line}",
                "keep one of them",
            )
            return
        parent.entries[key] = (place, node)

    def _key(self, node: Node, place: Place) -> str | None:
        if isinstance(node, Missing):
            return None
        if isinstance(node, Scalar):
            if node.text or not node.plain:
                return node.text
            self._wrong(place, "a key without a name")
            return None
        shape = "a mapping" if isinstance(node, Mapping) else "a list"
        self._wrong(
            place,
            f"{shape} cannot be a key",
            "values are put in with ${{ name }}; other texts that begin with { or [ need quotes",
        )
        return None

    def _fill_in(self, mapping: Mapping) -> None:
        """Take over the keys of ``<<: *anchor`` that the mapping does not have itself."""
        for place, node in mapping.merged:
            for other in node.items if isinstance(node, Sequence) else [node]:
                if isinstance(other, Missing):
                    continue
                if not isinstance(other, Mapping):
                    self._wrong(place, "<< takes a mapping or a list of mappings", "write <<: *anchor")
                    continue
                for key, entry in other.entries.items():
                    mapping.entries.setdefault(key, entry)

    def _wrong(self, place: Place, what: str, hint: str = "") -> None:
        self._problems.add(Problem(self._source.name, place, "", what, hint))


class _Builder:
    """Plain data from the tree. Aliases are expanded, so the number of values is counted again.

    Attributes:
        missing: paths of what is not there, or not all of it.
    """

    def __init__(self) -> None:
        self._count = 0
        self.missing: set[Keys] = set()

    def build(self, node: Node, path: Keys = ()) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _TooMuchError(node.place, f"more than {MAX_VALUES:,} values once the aliases are expanded")
        if len(path) > MAX_DEPTH:
            raise _TooMuchError(
                node.place, f"nested more than {MAX_DEPTH} deep once the aliases are expanded"
            )
        match node:
            case Scalar():
                return node.value
            case Sequence():
                return [self.build(item, (*path, index)) for index, item in enumerate(node.items)]
            case Mapping():
                if not node.whole:
                    self.missing.add(path)
                return {key: self.build(value, (*path, key)) for key, (_, value) in node.entries.items()}
            case Missing():
                self.missing.add(path)
                return None


def _place(event: Any) -> Place:
    return mark_place(event.start_mark)


def _tag(tag: str | None) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")
