"""What a host and the store tell each other of one window of one limit."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from fastgate._core.levels import USD

_NANO_QUANTUM: Final = 1024
"""nano-USD are leased in multiples of so many: what Redis reckons with stays below 2**53, where Lua is exact."""


def quantum_of(unit: int) -> int:
    """What amounts of a unit are leased in multiples of."""
    return _NANO_QUANTUM if unit == USD else 1


class Told(NamedTuple):
    """What the store last said of a window as a whole. A store that has forgotten it is told by those who remember."""

    version: int
    """Which telling that was: it counts up with each."""
    seen: int
    """The sum of all hosts' claims, with those of hosts that are gone."""
    holders: int
    """Stands for the set of hosts, each with its counters, whose claims these are; 0: some are gone."""


NOTHING_TOLD: Final = Told(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Ask:
    """Amounts in the limit's unit: nano-USD, requests or tokens."""

    id: str
    """The budget's or limit's."""
    unit: int
    window: int
    """Its number (:mod:`fastgate._core.windows`)."""
    begins_ns: int
    """When it began, or its limit was first used, if that was later; 0: nobody knows."""
    ends_ns: int
    """When it ends; 0: never."""
    first_ns: int
    """From when its windows are counted, as all hosts have agreed; 0: a calendar cuts them."""
    limit: int
    claim: int
    """What this host may use of it at most, or has: whichever is more."""
    used: int
    """Settled and held."""
    spent: int
    """Settled."""
    want: int = 0
    """How much more it would like; 0: nothing."""
    need: int = 0
    """How much more it must get for that to be of use."""
    told: Told = NOTHING_TOLD
    """As it was told last."""


class Elsewhere(NamedTuple):
    """What other hosts have of a window, for whoever shows it."""

    used: int
    """Settled and held."""
    spent: int
    """Settled."""
    leased: int
    """What they may use yet; what hosts have that are gone is among it until that is known."""
    stranded: int
    """What hosts that are gone had leased, and nobody knows whether they used it: it counts as used."""

    def strands(self, left: int, need: int) -> bool:
        """Whether hosts that are gone are in the way of ``need``; ``left``: by what this one has settled."""
        return left - self.spent - self.stranded < need <= left - self.spent


NOTHING_ELSEWHERE: Final = Elsewhere(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Grant:
    """What came of it."""

    claim: int
    """What this host may use of the window from here on."""
    told: Told
    elsewhere: Elsewhere
    recalled: bool
    """Whether others lack what this host has no use for."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What the store said to one message."""

    grants: tuple[Grant, ...]
    """In the order of what was asked."""
    learning: bool
    """Whether it waits until it knows again what hosts have, and grants nothing."""
    hosts: int
    """How many live."""
