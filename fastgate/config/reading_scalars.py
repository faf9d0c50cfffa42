"""Scalars of a file against the types of the settings."""

import re
from typing import Any, Final, NamedTuple

from msgspec import inspect

from fastgate.config.nodes import Mapping, Node, Scalar, Sequence
from fastgate.config.problems import ConfigErrors, Path, Problem, did_you_mean, dotted
from fastgate.config.scalars import Scalar as ScalarType
from fastgate.config.scalars import Secret
from fastgate.config.variables import VariableError, Variables

MAX_PROBLEMS: Final = 200
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_MOST_INTEGER: Final = 10**18 - 1
"""Where a setting has no bound of its own: 64 bits hold it."""
_NUMBER = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE]([-+]?[0-9]{1,2}|-[0-9]{3}))?")
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_KINDS: Final = {Mapping: "a mapping", Sequence: "a list", Scalar: "text"}

FAILED: Final = object()
"""What a reading method gives for a value whose problem was noted."""


class Text(NamedTuple):
    """A scalar's text after its references were resolved."""

    value: str
    plain: bool
    given: bool
    """Whether it came from references: then its form does not matter, and it may be a secret that no message shows."""

    @property
    def is_text(self) -> bool:
        """Whether it is text for YAML, too, and not a number, a boolean or null."""
        other = self.value in _NULLS or self.value in _BOOLEANS or _NUMBER.fullmatch(self.value) is not None
        return self.given or not self.plain or not other


class ScalarReader:
    """Reads one file's scalars. ``problems`` grows as mistakes are found, ``broken`` with the settings they are in."""

    def __init__(self, file: str, variables: Variables) -> None:
        self.problems: list[Problem] = []
        self.broken: set[Path] = set()
        self._file = file
        self._variables = variables

    def note(self, node: Node, path: Path, message: str, hint: str = "", *, broken: Path | None = None) -> Any:
        """Notes a problem; raises :class:`ConfigErrors` when there are more than anyone reads.

        ``broken`` is the setting that has no value now, where that is not ``path``.
        """
        self.broken.add(path if broken is None else broken)
        text = f"{dotted(path)}: {message}" if path else message
        self.problems.append(Problem(self._file, node.line, node.column, text, hint))
        if len(self.problems) > MAX_PROBLEMS:
            raise ConfigErrors(self.problems)
        return FAILED

    def mismatch(self, wants: str, node: Node, path: Path) -> Any:
        """Notes that ``node`` is of another kind."""
        return self.note(node, path, f"expected {wants}, not {_KINDS[type(node)]}")

    def literal(self, type_: inspect.LiteralType, node: Node, path: Path) -> Any:
        """One of a few words."""
        text = self._expanded(node, path, f"one of {listed(type_.values)}")
        if text is None:
            return FAILED
        if text.value not in type_.values:
            shown = "this" if text.given else repr(short(text.value))
            hint = did_you_mean(text.value, map(str, type_.values)) or f"one of {listed(type_.values)}"
            return self.note(node, path, f"{shown} is not a possible value", hint)
        return text.value

    def special(self, scalar: ScalarType, node: Node, path: Path) -> Any:
        """A text with a meaning."""
        text = self._expanded(node, path, scalar.wants)
        if text is None:
            return FAILED
        try:
            value = scalar.parse(text.value)
        except ValueError as error:
            return self.note(node, path, f"expected {scalar.wants}" if text.given else short(str(error), 300))
        if not text.is_text:
            return self.note(node, path, f"expected {scalar.wants}", f'write "{short(text.value)}" in quotes')
        return value

    def secret(self, type_: inspect.CustomType, node: Node, path: Path) -> Any:
        """The only custom type there is."""
        text = self.text(type_, node, path)
        return FAILED if text is FAILED else Secret(text)

    def text(self, _type: inspect.Type, node: Node, path: Path) -> Any:
        """Any text."""
        text = self._expanded(node, path, "text")
        if text is None:
            return FAILED
        return text.value if text.is_text else self.note(node, path, "expected text", "put it in quotes")

    def integer(self, type_: inspect.IntType, node: Node, path: Path) -> Any:
        """An integer within its bounds."""
        text = self._number(node, path, _INTEGER, "an integer")
        if text is None:
            return FAILED
        if type_.le is None and abs(int(text)) > _MOST_INTEGER:
            return self.note(node, path, f"has to be at most {_MOST_INTEGER}")
        return self._bounded(type_, int(text), node, path)

    def float(self, type_: inspect.FloatType, node: Node, path: Path) -> Any:
        """A finite number within its bounds."""
        text = self._number(node, path, _NUMBER, "a number")
        return FAILED if text is None else self._bounded(type_, float(text), node, path)

    def boolean(self, _type: inspect.BoolType, node: Node, path: Path) -> Any:
        """``true`` or ``false``; YAML's other spellings of them are text."""
        text = self._expanded(node, path, "true or false")
        if text is None:
            return FAILED
        if text.value not in _BOOLEANS or not (text.given or text.plain):
            return self.note(node, path, "expected true or false")
        return _BOOLEANS[text.value]

    def stands_for_null(self, node: Scalar) -> bool:
        """Null, or a reference to nothing: ``${NAME:-}``."""
        if is_null(node):
            return True
        try:
            return self._variables.expand(node.text) == ("", True)
        except VariableError:
            return False

    def _number(self, node: Node, path: Path, form: re.Pattern[str], wants: str) -> str | None:
        text = self._expanded(node, path, wants)
        if text is None:
            return None
        fits = form.fullmatch(text.value) is not None
        if fits and (text.given or text.plain):
            return text.value
        self.note(node, path, f"expected {wants}", "without quotes" if fits else "")
        return None

    def _bounded(self, type_: Any, value: Any, node: Node, path: Path) -> Any:
        if type_.ge is not None and value < type_.ge:
            return self.note(node, path, f"has to be at least {type_.ge}")
        if type_.gt is not None and value <= type_.gt:
            return self.note(node, path, f"has to be more than {type_.gt}")
        if type_.le is not None and value > type_.le:
            return self.note(node, path, f"has to be at most {type_.le}")
        return value

    def _expanded(self, node: Node, path: Path, wants: str) -> Text | None:
        """The scalar's text, or None with a problem noted."""
        if not isinstance(node, Scalar):
            self.mismatch(wants, node, path)
            return None
        try:
            value, given = self._variables.expand(node.text)
        except VariableError as error:
            self.note(node, path, error.message, error.hint)
            return None
        return Text(value, node.plain, given)


def is_null(node: Node) -> bool:
    """Whether the file says null, in any spelling, or nothing at all."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS


def is_integer(node: Scalar) -> bool:
    """Whether the file says an integer."""
    return node.plain and _INTEGER.fullmatch(node.text) is not None


def listed(words: Any) -> str:
    """``a, b, c``."""
    return ", ".join(map(str, words))


def short(text: str, limit: int = 80) -> str:
    """Not too long for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
