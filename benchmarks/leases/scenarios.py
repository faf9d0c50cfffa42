"""Where requests come, and what befalls hosts. Times are seconds since requests began."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.leases.cluster import COSTS, Cluster, budget
from benchmarks.leases.hosts import Host
from fastgate.wire.snapshot import BudgetRecord

MANY: Final = 100
"""Budgets of which each request has one, besides the one that all have."""


@dataclass(frozen=True)
class Scenario:
    """``begin`` gets the cluster and its requests a second. ``money``: for so many seconds of them it is enough."""

    name: str
    what: str
    begin: Callable[[Cluster, float], None]
    money: float = 8
    ends: float = 14
    changed: float | None = None
    """When something changes, from which on it has to become well again."""
    budgets: int = 1
    busier: float = 1
    """Times the requests of other scenarios."""
    most_hosts: int = 10_000
    """With more it is played only where it is asked for by its name: it takes long."""

    def records(self, rate: float) -> Sequence[BudgetRecord]:
        """What requests are held against: the first one is of all."""
        limit = int(rate * self.money * COSTS)
        return [budget(0, limit), *(budget(number, 3 * limit // self.budgets) for number in range(1, self.budgets))]


def _uniform(cluster: Cluster, rate: float) -> None:
    cluster.load(rate, 0, 14, cluster.weighted([1] * len(cluster.hosts)))


def _hot(cluster: Cluster, rate: float) -> None:
    others = len(cluster.hosts) - 1
    cluster.load(rate, 0, 14, cluster.weighted([others, *[1] * others]))


def _zipf(cluster: Cluster, rate: float) -> None:
    cluster.load(rate, 0, 14, cluster.weighted([1 / (number + 1) for number in range(len(cluster.hosts))]))


def _bursts(cluster: Cluster, rate: float) -> None:
    hosts = len(cluster.hosts)
    cluster.load(rate / 2, 0, 14, cluster.weighted([1] * hosts))
    size = 20

    def burst(second: int) -> None:
        for _ in range(max(1, int(rate / 2 / size))):
            host = cluster.random.choice(cluster.hosts)
            for _ in range(size):
                cluster.request(host, (0,))
        if second < 13:
            cluster.at(second + 1, burst, second + 1)

    cluster.at(0, burst, 0)


def _moved(cluster: Cluster, rate: float) -> None:
    half = len(cluster.hosts) // 2
    cluster.load(rate, 0, 5, cluster.weighted([1] * half))
    cluster.load(rate, 5, 10, cluster.weighted([*[0] * half, *[1] * half]))


def _joined(cluster: Cluster, rate: float) -> None:
    living = list(cluster.hosts)
    fifth = len(living) // 5

    def replace(old: Host) -> None:
        old.go()
        living.remove(old)
        living.append(cluster.add())

    for number, old in enumerate(cluster.hosts[:fifth]):
        cluster.at(2 + 3 * number / fifth, replace, old)
    cluster.load(rate, 0, 10, lambda: cluster.random.choice(living))


def _many(cluster: Cluster, rate: float) -> None:
    per = [(number, 0) for number in range(1, MANY + 1)]
    cluster.load(rate, 0, 14, cluster.weighted([1] * len(cluster.hosts)), per=per)


def _away(cluster: Cluster, rate: float) -> None:
    cluster.at(3, cluster.server.kill)
    cluster.at(6, cluster.server.start)
    cluster.load(rate, 0, 14, cluster.weighted([1] * len(cluster.hosts)))


SCENARIOS: Final = (
    Scenario("alike", "each host has as many requests", _uniform),
    Scenario("hot", "one host has half of all requests", _hot),
    Scenario("Zipf", "the n-th host has an n-th of the first one's", _zipf),
    Scenario("bursts", "half of all requests come 20 at once, on the second", _bursts),
    Scenario("moved", "half of the hosts have all, then the other half", _moved, money=14, ends=10, changed=5),
    Scenario("replaced", "within three seconds a fifth goes, and as many come", _joined, money=14, ends=10, changed=2),
    Scenario("many", f"{MANY} budgets beside the one of all", _many, money=20, budgets=MANY + 1, most_hosts=100),
    Scenario("away", "Redis dies at 3 s and comes back empty at 6", _away, money=20, ends=14, changed=6),
    Scenario("busy", "alike, with a hundred times the requests", _uniform, busier=100, most_hosts=10),
)
