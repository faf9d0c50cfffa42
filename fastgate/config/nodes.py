"""YAML text to a tree of nodes that know their line and column.

Made from the parser's events, not by a YAML constructor: nothing but mappings, lists and scalars can come out, plain
scalars are left as text for the reader of settings to interpret (so that ``on`` is a name and not a boolean), and
depth, size and aliases are bounded before anything is built.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from fastgate.config.problems import ConfigErrors, Problem

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 24
MAX_NODES: Final = 1_000_000
"""With every alias written out."""

# What YAML allows in a document, less the byte order mark and lone surrogates.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
# With libyaml the same events come ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Node:
    """A value in the file. Lines and columns count from 1; ``size`` counts the nodes in it, aliases written out."""

    line: int
    column: int
    size: int = 1


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A text, and whether it stands there without quotes."""

    text: str = ""
    plain: bool = True


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """A mapping; its names keep their own marks."""

    items: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)
    pending: Scalar | None = None
    """While it is built: the name whose value comes next."""


def parse(text: str, file: str) -> Node:
    """The tree of the only document in ``text``; an empty one is an empty mapping. Raises :class:`ConfigErrors`."""
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        raise ConfigErrors([Problem(file, line, column, f"character U+{ord(bad[0]):04X} is not allowed in YAML")])
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        beside = text.splitlines()[at[0] - 1 : at[0]]
        hint = "a reference between { } has to be in quotes" if any("${" in each for each in beside) else ""
        raise ConfigErrors([Problem(file, *at, f"not valid YAML: {error.problem or error.context}", hint)]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # escapes of characters that do not exist
        raise ConfigErrors([Problem(file, *builder.at, f"not valid YAML: {error}")]) from None
    return builder.finish()


class _Builder:
    """Takes the parser's events one by one. Problems that do not hinder going on are gathered, the others raised."""

    def __init__(self, file: str) -> None:
        self.at = (1, 1)
        self._file = file
        self._problems: list[Problem] = []
        self._open: list[Mapping | Sequence] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None
        self._documents = 0

    def take(self, event: Any) -> None:
        self.at = (event.start_mark.line + 1, event.start_mark.column + 1)
        handler = _HANDLERS.get(type(event))
        if handler:
            handler(self, event)

    def finish(self) -> Node:
        if self._problems:
            raise ConfigErrors(self._problems)
        return self._root or Mapping(1, 1)

    def _document(self, _event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._fatal("a second YAML document: a configuration is one")

    def _scalar(self, event: Any) -> None:
        self._tagged(event)
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            self._problem("an escape of half a character (U+D800 to U+DFFF)")
            return self._add(Scalar(*self.at))
        return self._add(Scalar(*self.at, text=event.value, plain=not event.style), event.anchor)

    def _begin(self, event: Any) -> None:
        self._tagged(event)
        if len(self._open) == MAX_DEPTH:
            raise self._fatal(f"nested more than {MAX_DEPTH} deep")
        if self._open and isinstance(self._open[-1], Mapping) and self._open[-1].pending is None:
            raise self._fatal("the name of a setting has to be text, not a list or mapping")
        kind = Mapping if isinstance(event, yaml.MappingStartEvent) else Sequence
        node = kind(*self.at)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._open.append(node)

    def _end(self, _event: Any) -> None:
        self._add(self._open.pop())

    def _alias(self, event: Any) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._fatal(f"alias *{event.anchor} of an anchor that does not exist")
        if any(node is parent for parent in self._open):
            raise self._fatal(f"alias *{event.anchor} inside of itself")
        self._add(node)

    def _add(self, node: Node, anchor: str | None = None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if parent.size > MAX_NODES:
            raise self._fatal(f"more than {MAX_NODES} values")
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif parent.pending is not None:
            parent.items.setdefault(parent.pending.text, (parent.pending, node))
            parent.pending = None
        else:
            parent.pending = self._name(parent, node)

    def _name(self, parent: Mapping, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            raise self._fatal("the name of a setting has to be text, not a list or mapping")
        name = Scalar(*self.at, text=node.text, plain=node.plain)
        if name.text in parent.items:
            first = parent.items[name.text][0].line
            self._problem(f"{name.text} is set twice", f"the first time in line {first}")
        return name

    def _tagged(self, event: Any) -> None:
        if event.tag not in (None, "!"):
            self._problem(f"YAML tag {event.tag} is not allowed", "values are text, numbers, true, false and null")

    def _problem(self, message: str, hint: str = "") -> None:
        if len(self._problems) < 100:
            self._problems.append(Problem(self._file, *self.at, message, hint))

    def _fatal(self, message: str) -> ConfigErrors:
        return ConfigErrors([*self._problems, Problem(self._file, *self.at, message)])


_HANDLERS: Final = {
    yaml.DocumentStartEvent: _Builder._document,
    yaml.ScalarEvent: _Builder._scalar,
    yaml.MappingStartEvent: _Builder._begin,
    yaml.SequenceStartEvent: _Builder._begin,
    yaml.MappingEndEvent: _Builder._end,
    yaml.SequenceEndEvent: _Builder._end,
    yaml.AliasEvent: _Builder._alias,
}
