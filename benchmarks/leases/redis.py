"""A simulated Redis: it does one thing after the other, and each takes the time that was measured."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.leases.clock import Clock, Process
from benchmarks.leases.scripts import Scripts
from fastgate.budgets.leases.messages import Ask, Exchanged
from fastgate.budgets.leases.store import LeaseStore, Membership, StoreAway
from fastgate.control.lease_thread import ANSWER_SECONDS

CLUSTER: Final = "simulated"
WIRE_NS: Final = 250_000
"""From a host to Redis, or back: as within a region."""
_ANSWER_NS: Final = int(ANSWER_SECONDS * 1e9)
_MILLI: Final = 1_000_000


@dataclass(frozen=True)
class Costs:
    """Nanoseconds of Redis' CPU, its connections' included; see :mod:`benchmarks.leases.costs`."""

    message: int = 50_000
    """One exchange, without its windows."""
    window: int = 15_000
    join: int = 400_000
    """A new connection, INFO, and the script."""
    named: int = 1_000
    """Each host that another one names when it joins."""
    short: int = 25_000
    """Whatever else is asked."""
    listed: int = 100
    """Each host in an answer that lists hosts."""


class Server:
    """``memory``: an empty one, of a run's id. ``waited``: how long each message lay there, in nanoseconds."""

    def __init__(self, clock: Clock, costs: Costs, memory: Callable[[str], Scripts] = Scripts) -> None:
        self.clock, self.costs, self._memory = clock, costs, memory
        self.up = True
        self.life = 1
        self.scripts = memory("run 1")
        self.free_at_ns = self.busy_ns = 0
        self.calls: Counter[str] = Counter()
        self.windows = 0
        self.waited: list[int] = []

    def kill(self) -> None:
        """What it knew is lost; who waits for an answer gets none."""
        self.up = False

    def start(self) -> None:
        """Anew, and empty."""
        self.up, self.life = True, self.life + 1
        self.scripts, self.free_at_ns = self._memory(f"run {self.life}"), 0

    def ask(self, process: Process, name: str, cost_ns: int, work: Callable[[Scripts], Any]) -> Any:
        """What ``work`` says, when its turn has come. Raises StoreAway where that takes too long."""
        asked_ns = self.clock.now_ns
        answers: list[Any] = []
        if not self.up:
            process.wait(asked_ns + WIRE_NS)
            raise StoreAway("nobody listens")
        begins_ns = max(self.free_at_ns, asked_ns + WIRE_NS)
        ends_ns = self.free_at_ns = begins_ns + cost_ns
        self.busy_ns += cost_ns
        self.calls[name] += 1
        self.waited.append(begins_ns - asked_ns - WIRE_NS)
        self.clock.at(ends_ns, self._do, self.life, work, answers)
        process.wait(min(ends_ns + WIRE_NS, asked_ns + _ANSWER_NS))
        if not answers:
            raise StoreAway("it does not answer")
        return answers[0]

    def _do(self, life: int, work: Callable[[Scripts], Any], answers: list[Any]) -> None:
        if self.up and self.life == life:
            answers.append(work(self.scripts))


class Line(LeaseStore):
    """A host's line to the server. What is said on it is what the real one says.

    Hosts have their counters in one arena here, each under names of its own (:func:`own_id`): Redis hears the limit's.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(_nobody, CLUSTER)
        self._server = server
        self._life = 0
        self.process: Process | None = None

    def exchange(self, member: Membership, sequence: int, asks: Sequence[Ask]) -> Exchanged:
        self._server.windows += len(asks)
        return super().exchange(member, sequence, [_plain(ask) for ask in asks])

    def first_use(self, member: Membership, id_: str, proposed_ns: int) -> int | None:
        return super().first_use(member, plain_id(id_), proposed_ns)

    def peers(self) -> tuple[str, ...]:
        """Those who know the same share it."""
        costs = self._server.costs
        cost = costs.short + costs.listed * len(self._server.scripts.live())
        found: tuple[str, ...] = self._ask("peers", cost, Scripts.live)
        return found

    def missing(self) -> list[str]:
        """Nobody looks at it."""
        return []

    def close(self) -> None:
        """There is no connection."""

    def _begin(self) -> None:
        self._life = self._server.life

    def _run_id(self) -> str:
        return ""

    @property
    def _now(self) -> int:
        return self._server.clock.now_ns // _MILLI

    def _call(self, script: str, keys: list[str], *arguments: Any) -> Any:
        costs = self._server.costs
        if script == "join":
            host, nonce, _, _, lapse, quiet, *peers = arguments
            cost = costs.join + costs.named * len(peers)
            return self._ask(script, cost, lambda on: on.join(host, nonce, self._now, lapse, quiet, *peers))
        if script == "exchange":
            host, incarnation, sequence, epoch, _, lapse, *told = arguments
            windows, who = keys[6:], (host, incarnation, epoch)
            cost = costs.message + costs.window * len(windows)
            return self._ask(
                script, cost, lambda on: on.exchange(who, sequence, self._now, lapse, windows=windows, told=told)
            )
        if script == "reported":
            return self._ask(script, costs.short, lambda on: on.reports(*arguments))
        host, incarnation, epoch, id_, proposed, _ = arguments
        who = (host, incarnation, epoch)
        return self._ask(script, costs.short, lambda on: on.first(who, id_, proposed, self._now))

    def _command(self, *words: Any) -> Any:
        assert words[0] == "ZREM"
        return self._ask("leave", self._server.costs.short, lambda on: on.leave(words[2]))

    def _ask(self, name: str, cost_ns: int, work: Callable[[Scripts], Any]) -> Any:
        if self._life != self._server.life:
            raise StoreAway("the connection has ended with the server")
        assert self.process is not None
        return self._server.ask(self.process, name, cost_ns, work)


def own_id(host: str, id_: str) -> str:
    """What a host's counter of a limit is called in the arena."""
    return f"{host}|{id_}"


def plain_id(id_: str) -> str:
    """What the limit is called."""
    return id_.partition("|")[2]


def _plain(ask: Ask) -> Ask:
    return Ask(
        plain_id(ask.id), ask.unit, ask.window, ask.begins_ns, ask.ends_ns, ask.first_ns, ask.limit, ask.claim,
        ask.used, ask.spent, ask.want, ask.need, ask.told,
    )  # fmt: skip


def _nobody() -> Any:
    raise AssertionError("nobody connects in a simulation")
