"""Labelled pairs of questions, read into a list of questions and the class of each: what a right answer is told by."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Labelled(NamedTuple):
    """A pair of a file: two questions, and whether they are the same one."""

    one: str
    other: str
    same: bool


class Questions(NamedTuple):
    """Each text once, in the order of the file, and the number of its class: two of one class have the same answer."""

    texts: list[str]
    classes: list[int]


def read(path: Path) -> list[Labelled]:
    """Lines ``{"a": ..., "b": ..., "same": 0 or 1}``, plain or gzipped. Raises ``ValueError`` with the line that is
    not one."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                    found.append(Labelled(str(row["a"]), str(row["b"]), bool(row["same"])))
                except (ValueError, KeyError, TypeError) as error:
                    wanted = '{"a": ..., "b": ..., "same": 0 or 1}'
                    raise ValueError(f"{path}:{number}: not {wanted} ({error})") from error
    return found


class Union:
    """Disjoint sets of texts."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, item: str) -> str:
        parent = self._parent.setdefault(item, item)
        while parent != item:
            above = self._parent[parent]
            self._parent[item] = above
            item, parent = parent, above
        return item

    def join(self, one: str, other: str) -> None:
        one, other = self.root(one), self.root(other)
        if one != other:
            low, high = sorted((one, other))
            self._parent[high] = low

    def __iter__(self) -> Iterator[str]:
        return iter(self._parent)


def half(pairs: list[Labelled], which: str) -> list[Labelled]:
    """``develop`` or ``verify``: two halves that share no class, nor any pair between them; by a hash, so always the
    same."""
    together = Union()
    for pair in pairs:
        together.join(pair.one, pair.other)
    wanted = {"develop": 0, "verify": 1}[which]
    return [pair for pair in pairs if hashlib.sha256(together.root(pair.one).encode()).digest()[0] % 2 == wanted]


def questions(pairs: list[Labelled]) -> Questions:
    """Classes by union of the pairs that are the same."""
    together = Union()
    for pair in pairs:
        together.root(pair.one)
        together.root(pair.other)
        if pair.same:
            together.join(pair.one, pair.other)
    texts = list(together)
    numbers: dict[str, int] = {}
    return Questions(texts, [numbers.setdefault(together.root(text), len(numbers)) for text in texts])
