"""What is wrong with a configuration, and where.

::

    Exception
    └── ConfigErrors        every problem of one file
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

_LONGEST = 600

Path = tuple[str | int, ...]
"""Where a setting is: ``("keys", 0, "team")``."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake; printed as ``file:line:column: message (hint)``. Lines and columns count from 1.

    Message and hint are one line each: what the file or a path puts into them is made printable.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))
        object.__setattr__(self, "hint", printable(self.hint))

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{hint}"


class ConfigErrors(Exception):
    """The configuration cannot be used. ``problems`` is never empty and in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """``keys[0].team`` for people."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


@dataclass(frozen=True)
class Finding:
    """A mistake found in a configuration's values: where in the settings, not yet where in a file.

    ``alone``: it could never be right, whatever else there is.
    """

    path: Path
    message: str
    hint: str = ""
    alone: bool = False


Lost = Mapping[Path, Set[str]]
"""Names and ids of entries that could not be read, by the path of their list or mapping."""


def printable(text: str) -> str:
    """The text with ``?`` for every line break and control character, cut where it is longer than a line should be."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of ``known``; empty where none is near."""
    near = get_close_matches(word[:64], list(islice(known, 1_000)), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""
