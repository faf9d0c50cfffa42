"""A scenario played, and what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from benchmarks.leases.clock import Clock
from benchmarks.leases.cluster import NANO, Cluster, Seen
from benchmarks.leases.hosts import counters
from benchmarks.leases.redis import Server
from benchmarks.leases.scenarios import Scenario

PER_HOST: Final = 5.0
"""Requests a second."""


@dataclass(frozen=True)
class Second:
    """Up to then: what Redis was asked, and its busy time in nanoseconds."""

    messages: int
    windows: int
    others: int
    busy_ns: int


@dataclass(frozen=True)
class Played:
    """``left``: which share of the budget of all nobody got though all asked for it to the end."""

    scenario: Scenario
    hosts: int
    rate: float
    seen: Seen
    seconds: tuple[Second, ...]
    left: float
    longest_wait_ns: int

    @property
    def messages(self) -> float:
        """A second, in the mean."""
        return (self.seconds[-1].messages - self.seconds[0].messages) / (len(self.seconds) - 1)

    @property
    def windows(self) -> float:
        """In each message, in the mean."""
        first, last = self.seconds[0], self.seconds[-1]
        return (last.windows - first.windows) / max(1, last.messages - first.messages)

    @property
    def busy(self) -> tuple[float, float]:
        """Cores of Redis: in the mean, and in the worst second. Above 1: it has not done all that it was asked."""
        each = [(after.busy_ns - before.busy_ns) / NANO for before, after in pairwise(self.seconds)]
        return sum(each) / len(each), max(each)

    @property
    def wrong(self) -> float:
        """Which share of requests was refused though there was room, until the money would have been spent."""
        by_second = [counts for second, counts in self.seen.by_second.items() if second < self.scenario.money]
        asked = sum(passed + refused for passed, refused, _ in by_second)
        return sum(wrong for _, _, wrong in by_second) / max(1, asked)

    @property
    def well_after(self) -> float | None:
        """Seconds from the change to the last wrong refusal; None: nothing changed, or it did not become well."""
        changed = self.scenario.changed
        if changed is None:
            return None
        after = self.seen.last_wrong_ns / NANO - changed
        return None if self.seen.last_wrong_ns / NANO > self.scenario.ends - 1 else max(0.0, after)


def play(
    scenario: Scenario, hosts: int, redis: Callable[[Clock], Server], *, seed: int = 1, per_host: float = PER_HOST
) -> Played:
    """The same for the same arguments. Raises AssertionError where more is used than there is."""
    rate = per_host * hosts * scenario.busier
    with counters() as found:
        cluster = Cluster(found, hosts, scenario.records(rate), redis, seed=seed)
        cluster.run(-1)
        scenario.begin(cluster, rate)
        seconds = []
        for second in range(int(scenario.ends) + 1):
            cluster.run(second)
            seconds.append(_second(cluster))
        cluster.run(scenario.ends + 1)
        left = cluster.left(0) / cluster.records[0].limit
        waited = max(cluster.server.waited, default=0)
        return Played(scenario, hosts, rate, cluster.seen, tuple(seconds), left, waited)


def _second(cluster: Cluster) -> Second:
    server = cluster.server
    messages = server.calls["exchange"]
    return Second(messages, server.windows, server.calls.total() - messages, server.busy_ns)
