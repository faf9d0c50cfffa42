"""What is gated, and the one comparison that decides. The figures are committed in ``gates.toml``."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import Any, Final

FIGURES: Final = Path(__file__).with_name("gates.toml")
TRIES: Final = 3


class TooMuch(AssertionError):
    """Something costs more than its gate lets pass."""


@dataclass(frozen=True)
class Gate:
    """``seen`` is the committed figure, of which a run may find ``room`` times as much."""

    name: str
    seen: float
    room: float

    @property
    def at_most(self) -> float:
        """The bound."""
        return self.seen * self.room

    def hold(self, found: float) -> None:
        """Raises TooMuch where ``found`` is above the bound."""
        if found > self.at_most:
            raise TooMuch(
                f"{self.name}: found {found:.4g}, which is {found / self.seen:.2f} times the {self.seen:g} of"
                f" benchmarks/{FIGURES.name}; {self.room:g} times may pass"
            )

    def prove(self, slow: float) -> None:
        """Raises AssertionError unless ``slow``, found with something slow planted, is above the bound."""
        try:
            self.hold(slow)
        except TooMuch:
            return
        raise AssertionError(
            f"{self.name}: with something slow planted {slow:.4g} is found, and {self.at_most:.4g} may pass: the gate"
            " is too wide to prove anything; move it (docs/performance.md)"
        )


class Gates:
    """All gates of a run; ``moving``: what is found is noted and not held against anything."""

    def __init__(self, moving: bool) -> None:
        self.moving = moving
        self.noted: dict[tuple[str, str], tuple[Gate, float]] = {}
        """By section and name, each with what was found."""
        self.idle: list[str] = []
        """Names of figures that nothing was held against, once all is done."""

    def hold(self, kind: str, name: str, find: Callable[[], float], planted: Callable[[], float] | None = None) -> None:
        """Hold what is found against its gate, and prove that by what is found with something slow ``planted``.

        What is too much is looked for again, a few times: a machine that does other things only ever adds. Raises
        TooMuch, AssertionError where the gate proves nothing, KeyError where there is none.
        """
        if self.moving:
            found = find()
            self.noted[kind, name] = Gate(name, found, section(kind)["room"]), found
            return
        held = gate(kind, name)
        found = least(find, held.at_most)
        self.noted[kind, name] = held, found
        held.hold(found)
        if planted is not None:
            held.prove(planted())

    def unused(self, kind: str) -> list[str]:
        """Names of a section that nothing was held against."""
        return [name for name in section(kind)["seen"] if (kind, name) not in self.noted]

    def lines(self) -> list[str]:
        """What was found, and which share that is of what may pass."""
        return [
            f"{found / held.at_most:5.0%}  {kind}, {name}: {found:.4g}, at most {held.at_most:.4g}"
            for (kind, name), (held, found) in sorted(self.noted.items())
        ]

    def move(self) -> list[str]:
        """Write what was found into ``gates.toml``; returns the lines that it does not have yet."""
        found = {place: figure for place, (_, figure) in self.noted.items()}
        FIGURES.write_text(moved(FIGURES.read_text(), found))
        missing = sorted(place for place in found if place[1] not in section(place[0])["seen"])
        return [f'[{kind}.seen] "{name}" = {written(found[kind, name])}' for kind, name in missing]


def least(find: Callable[[], float], at_most: float) -> float:
    """The first of ``TRIES`` figures that is not above ``at_most``, or the least of them."""
    found = find()
    for _ in range(TRIES - 1):
        if found <= at_most:
            break
        found = min(found, find())
    return found


def section(kind: str) -> dict[str, Any]:
    """A table of ``gates.toml``: ``ratios``, ``instructions`` or ``nginx``."""
    found: dict[str, Any] = tomllib.loads(FIGURES.read_text())[kind]
    return found


def gate(kind: str, name: str) -> Gate:
    """The gate of this name. Raises KeyError where none is committed."""
    table = section(kind)
    if name not in table["seen"]:
        raise KeyError(f"{FIGURES.name} has no figure for '{name}' in [{kind}.seen]: `make bench ARGS=--move-gates`")
    return Gate(name, table["seen"][name], table["room"])


def moved(text: str, found: Mapping[tuple[str, str], float]) -> str:
    """``text``, which is that of ``gates.toml``, with what was ``found`` in place of the figures of those names."""
    kind, lines = "", []
    for line in text.splitlines():
        if head := re.fullmatch(r"\[(\w+)\.seen\]", line):
            kind = head[1]
        named = re.fullmatch(r'"(.+)" = [\d.]+', line)
        place = (kind, named[1]) if named else None
        lines.append(f'"{place[1]}" = {written(found[place])}' if place and place in found else line)
    return "\n".join([*lines, ""])


def written(figure: float) -> str:
    """A figure as it stands in the file: counts whole, ratios with three digits."""
    return f"{figure:.{max(0, 2 - floor(log10(figure)))}f}"
