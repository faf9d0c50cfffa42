"""Mistakes in how the windows of budgets are cut, and in what a window is asked to do."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

from fastgate.config.owners import Budget, Key
from fastgate.config.problems import Finding, Path, did_you_mean

MOST_ALIGNED: Final = {"second": 86_400, "minute": 1440, "hour": 23}
"""How many units a window of a calendar may last: within a day, clocks tell where it begins."""


def window_findings(path: Path, budget: Budget) -> Iterator[Finding]:
    """Of one budget at ``path``."""
    unit, every = budget.period
    if unit == "lifetime":
        for setting in ("calendar", "rollover"):
            if getattr(budget, setting):
                hint = f"leave {setting} out"
                yield Finding((*path, setting), "a lifetime is one window, without an end", hint, alone=True)
    elif budget.calendar and every > MOST_ALIGNED.get(unit, every):
        yield Finding(
            (*path, "window"),
            f"a window of a calendar lasts at most {MOST_ALIGNED[unit]} {unit}s",
            "write it in a larger unit, or leave calendar out",
            alone=True,
        )
    if budget.timezone is not None:
        yield from _zone(path, budget)
    if budget.mode == "soft" and budget.bound == "strict":
        message = "a soft budget refuses nothing, so that it has no use for a strict bound"
        yield Finding((*path, "bound"), message, alone=True)


def increase_findings(path: Path, key: Key) -> Iterator[Finding]:
    """Of one key at ``path``."""
    if key.increases and not key.budgets:
        hint = "increases are added to the key's own budgets, not to those of its providers, team or customer"
        yield Finding((*path, "increases"), "the key has no budget that they could increase", hint)


def _zone(path: Path, budget: Budget) -> Iterator[Finding]:
    name = budget.timezone or ""
    if not budget.calendar:
        hint = "add calendar: true, or leave timezone out"
        message = "only windows that are aligned to a calendar have a time zone"
        yield Finding((*path, "timezone"), message, hint, alone=True)
    if name not in _zones():
        hint = did_you_mean(name, sorted(_zones())) or "write a name of the IANA database, such as Europe/Paris"
        yield Finding((*path, "timezone"), f"no time zone {name[:64]}", hint, alone=True)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
