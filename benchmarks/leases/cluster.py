"""Hosts, a Redis and requests, and what is seen of them from above, where nobody of them is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any, Final

from benchmarks.leases.clock import START_NS, Clock
from benchmarks.leases.hosts import Counters, Host, settled
from benchmarks.leases.redis import Server
from fastgate._core.budget import Hold
from fastgate.wire.snapshot import BudgetRecord, Window

NANO: Final = 1_000_000_000
HELD: Final = 4 << 20
"""What a request may cost, and is held, in nano-USD: 0.4 cents."""
COSTS: Final = 3 << 20
"""What it costs."""
LASTS_SECONDS: Final = 1.0
"""How long, in the mean."""
COMES_NS: Final = NANO // 1000
"""Hosts come so far apart in the mean; where they are few, within a second."""
WARM_NS: Final = 4 * NANO
"""When all have come, Redis learns for so long what they have, and then requests begin."""
Numbers = tuple[int, ...]
"""Of records."""


def budget(number: int, limit: int) -> BudgetRecord:
    """One of a month."""
    owner = f"team:t{number}"
    return BudgetRecord(limit, Window.MONTH, 1, "team", owner, f"{owner}/month/b", zone="UTC")


@dataclass
class Seen:
    """Counts of requests. A refusal is wrong where all of its budgets had room for it over all hosts together."""

    passed: int = 0
    refused: int = 0
    wrong: int = 0
    first_wrong_left: float | None = None
    """Which share of its scarcest budget was left then; None: none was wrong."""
    last_wrong_ns: int = 0
    """When, since requests began."""
    by_second: dict[int, list[int]] = field(default_factory=dict)
    """Passed, refused, wrong of each second since requests began."""

    @property
    def requests(self) -> int:
        return self.passed + self.refused


class Cluster:
    """``seed``: all that is random comes from it."""

    def __init__(
        self,
        counters: Counters,
        hosts: int,
        records: Sequence[BudgetRecord],
        redis: Callable[[Clock], Server],
        *,
        seed: int,
    ) -> None:
        self.clock = Clock()
        self.server = redis(self.clock)
        comes = max(NANO, hosts * COMES_NS)
        self.begins_ns = START_NS + comes + WARM_NS
        """When requests begin."""
        self.random = Random(seed)
        self.records = records
        self._counters = counters
        self.hosts: list[Host] = []
        self.used = [0] * len(records)
        """Held and settled, on paper."""
        self.seen = Seen()
        for _ in range(hosts):
            self.clock.at(START_NS + self.random.randrange(comes), self.add)

    def add(self) -> Host:
        """Another host comes."""
        host = Host(self.clock, self.server, self._counters, f"{len(self.hosts):016x}", self.records)
        self.hosts.append(host)
        return host

    @property
    def passed_ns(self) -> int:
        """Since requests began."""
        return self.clock.now_ns - self.begins_ns

    def run(self, seconds: float) -> None:
        """Until so long after requests began."""
        self.clock.run(self.begins_ns + int(seconds * NANO))

    # ---- requests

    def load(
        self, rate: float, begins: float, ends: float, where: Callable[[], Host], *, per: Sequence[Numbers] = ((0,),)
    ) -> None:
        """``rate`` requests a second within those seconds, independent of each other; each has one of ``per``."""
        until_ns = self.begins_ns + int(ends * NANO)

        def arrive() -> None:
            self.request(where(), self.random.choice(per))
            follow(self.clock.now_ns)

        def follow(since_ns: int) -> None:
            at_ns = since_ns + int(self.random.expovariate(rate) * NANO)
            if at_ns < until_ns:
                self.clock.at(at_ns, arrive)

        follow(self.begins_ns + int(begins * NANO))

    def at(self, seconds: float, do: Callable[..., object], *arguments: Any) -> None:
        """So long after requests began."""
        self.clock.at(self.begins_ns + int(seconds * NANO), do, *arguments)

    def weighted(self, weights: Sequence[float]) -> Callable[[], Host]:
        """A host of the first ones by chance, by their weights."""
        sums, places = list(accumulate(weights)), range(len(weights))
        return lambda: self.hosts[self.random.choices(places, cum_weights=sums)[0]]

    def request(self, host: Host, numbers: Numbers) -> None:
        """One now."""
        if not host.gone:  # the load balancer knows
            host.request(numbers, HELD, partial(self._ended, numbers))

    def left(self, number: int) -> int:
        """What is left of a record over all hosts."""
        return self.records[number].limit - self.used[number]

    def _ended(self, numbers: Numbers, verdict: Hold | int) -> None:
        counts = self.seen.by_second.setdefault(self.passed_ns // NANO, [0, 0, 0])
        if not isinstance(verdict, Hold):
            self._refused(numbers, counts)
            return
        self.seen.passed += 1
        counts[0] += 1
        self._book(numbers, HELD)
        lasts = self.random.expovariate(1 / LASTS_SECONDS)
        self.clock.at(self.clock.now_ns + int(lasts * NANO), self._settle, numbers, verdict)

    def _refused(self, numbers: Numbers, counts: list[int]) -> None:
        seen = self.seen
        seen.refused += 1
        counts[1] += 1
        if any(self.left(number) < HELD for number in numbers):
            return
        seen.wrong += 1
        counts[2] += 1
        left = min(self.left(number) / self.records[number].limit for number in numbers)
        if seen.first_wrong_left is None:
            seen.first_wrong_left = left
        seen.last_wrong_ns = self.passed_ns

    def _settle(self, numbers: Numbers, held: Hold) -> None:
        settled(held, COSTS)
        self._book(numbers, COSTS - HELD)

    def _book(self, numbers: Numbers, amount: int) -> None:
        for number in numbers:
            self.used[number] += amount
            if self.used[number] > self.records[number].limit:
                raise AssertionError(f"{self.records[number].id}: more is used than there is")
