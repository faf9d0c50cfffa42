"""CPU per request of a tree's gateway as a multiple of nginx's, in one short run: the gate of ``make bench``.

Both are on one core, in front of one constant upstream, and answer as many requests each in turns, in the order ABBA:
what slowly changes, or is taken by others, falls on both alike.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from loadtest import nginx
from loadtest.clients import ask, prompts
from loadtest.compare import start
from loadtest.cores import Cores, cpu_seconds
from loadtest.errors import RigError
from loadtest.house import CONSTANT, Booked, House, price
from loadtest.programs import Programs
from loadtest.trees import Tree

PROMPT_BYTES: Final = 1024
CONNECTIONS: Final = 64
REQUESTS: Final = 2000
"""Of a block."""
_ORDER: Final = ("nginx", "gateway", "gateway", "nginx")


@dataclass(frozen=True)
class Round:
    """Microseconds of CPU per request: of nginx, and of the gateway's worker."""

    nginx: float
    gateway: float


def times_nginx(rounds: list[Round]) -> float:
    """What the gateway takes as a multiple of nginx: the median of the ratios within a round."""
    return median(one.gateway / one.nginx for one in rounds)


def measure(tree: Tree, folder: Path, rounds: int) -> list[Round]:
    """So many rounds with processes of their own. Raises RigError where an answer or the ledger is wrong."""
    cores, before = Cores.choose(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores.load})
    try:
        with ExitStack() as stack:
            programs = stack.enter_context(Programs(folder))
            upstream = nginx.upstream(programs, cores.load)
            proxy = nginx.proxy(programs, cores.subject, upstream.port)
            [house] = start({"gateway": tree}, cores, folder, upstream.port, stack).values()
            beside = Beside(proxy, house)
            beside.turn()  # both have answered before
            return [beside.turn() for _ in range(rounds)]
    finally:
        os.sched_setaffinity(0, before)


class Beside:
    """nginx and a gateway that take turns."""

    def __init__(self, proxy: nginx.Nginx, house: House) -> None:
        self._house = house
        self._subjects = {"nginx": (proxy.port, proxy.pid), "gateway": (house.port, house.worker)}
        self._prompts = prompts(PROMPT_BYTES)
        self._booked = 0

    def turn(self) -> Round:
        """One round."""
        taken = dict.fromkeys(self._subjects, 0.0)
        for name in _ORDER:
            taken[name] += self._block(name)
            if name == "gateway":
                self._settle()
        return Round(**taken)

    def _block(self, name: str) -> float:
        """Half of what a round says of one of the two."""
        port, pid = self._subjects[name]
        clock = lambda: cpu_seconds(pid)  # noqa: E731
        answered = ask(port, self._prompts, count=REQUESTS, connections=CONNECTIONS, clock=clock)
        return answered.clock * 1e6 / REQUESTS / 2

    def _settle(self) -> None:
        """Wait until the ledger has all that was asked of the gateway, and so until nothing of it is left to do."""
        self._booked += REQUESTS + CONNECTIONS
        expected = Booked(self._booked, self._booked * price(CONSTANT, nginx.COMPLETION_TOKENS), 0)
        found = self._house.settled(CONSTANT, self._booked)
        if found != expected:
            raise RigError(f"the gateway has {found} in its ledger, expected {expected}")
