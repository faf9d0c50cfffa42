"""Redis as the store of leases, by scripts, each atomic. Raises StoreAway for whatever keeps it from answering."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from fastgate.budgets.leases.messages import Ask, Elsewhere, Exchanged, Grant, Told, quantum_of
from fastgate.budgets.leases.peers import is_name
from fastgate.config.redis_client import evicting
from fastgate.wire.leasing import prefix_of

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger("fastgate.control")

_FIRST: Final = re.compile(rb"[0-9]{1,18}|[1-8][0-9]{18}")
_SCRIPTS: Final = ("join", "reported", "first", "exchange")
LAPSE_MS: Final = 3_000
"""After so long without a word a host does not count as living, and another one may take its name."""
SKEW_MS: Final = 5_000
"""By which clocks may differ: those of hosts, and of servers that follow each other. The scripts know it, too."""
QUIET_MS: Final = 2_500
"""How long a store that may have forgotten something waits at least: every living host has spoken by then."""


class StoreAway(Exception):
    """Redis does not answer, or not as it should; the message says why, without a secret."""


class NameTaken(Exception):
    """Another host that lives goes by the same name: the state folder was copied."""


class Forgotten(StoreAway):
    """The store speaks of another epoch: the host has to join again and report what it has."""


@dataclass(frozen=True, slots=True)
class Membership:
    """By which a host speaks. Every message has a higher ``sequence`` than the one before."""

    host: str
    epoch: str
    incarnation: int


class LeaseStore:
    """For one thread. ``connect``: to a client whose connection never begins anew by itself; at each ``join``.

    ``clock_ms``: for simulations; None: the server's own clock.
    """

    def __init__(self, connect: Callable[[], "Redis"], cluster: str, clock_ms: int | None = None) -> None:
        self.clock_ms = clock_ms
        self._connect = connect
        self._client: Redis | None = None
        self._prefix = prefix_of(cluster)
        self._scripts: dict[str, Any] = {}

    def close(self) -> None:
        """Ends the connection; harmless where there is none."""
        if self._client is not None:
            self._client.close()
        self._client, self._scripts = None, {}

    def join(self, host: str, nonce: str, peers: Iterable[str] = ()) -> Membership:
        """``nonce`` tells a host from another one of its name. Raises NameTaken, StoreAway."""
        self._begin()
        run = self._run_id()
        keys = self._keys("meta", "live", "known", "reported", "ends", "firsts")
        said = self._call("join", keys, host, nonce, run, self._now, LAPSE_MS, QUIET_MS, *peers)
        if said[0] == b"taken":
            raise NameTaken(host)
        for key in said[3:]:
            log.warning("leases: %s", _why(key))
        return Membership(host, said[1].decode(), int(said[2]))

    def report(self, member: Membership) -> None:
        """All that the host has was told in this epoch. Raises StoreAway."""
        keys = self._keys("meta", "known", "reported")
        if not self._call("reported", keys, member.host, member.incarnation, member.epoch):
            raise Forgotten("it has forgotten this host")

    def exchange(self, member: Membership, sequence: int, asks: Sequence[Ask]) -> Exchanged:
        """Tells what the host has, and gets what it may have. Raises StoreAway."""
        windows = (f"{ask.window}:{ask.id}" for ask in asks)
        keys = self._keys("meta", "live", "known", "reported", "ends", "firsts", *windows)
        told = [argument for ask in asks for argument in _told(ask)]
        said = self._call(
            "exchange", keys, member.host, member.incarnation, sequence, member.epoch, self._now, LAPSE_MS, *told
        )
        if said[0] == b"join":
            raise Forgotten(_why(*said[1:]))
        if said[0] != b"done":
            raise StoreAway("it had heard of a later message already")
        hosts = int(said[2])
        grants = tuple(_grant(ask, answer, hosts) for ask, answer in zip(asks, said[3:], strict=True))
        return Exchanged(grants, bool(said[1]), hosts)

    def first_use(self, member: Membership, id_: str, proposed_ns: int) -> int | None:
        """When a limit was first used on any host: ``proposed_ns`` where nobody said so before.

        None: the store does not know yet whether anybody did. Raises StoreAway.
        """
        keys = self._keys("meta", "firsts")
        said = self._call("first", keys, member.host, member.incarnation, member.epoch, id_, proposed_ns, self._now)
        if said[0] == b"join":
            raise Forgotten(_why(*said[1:]))
        return None if len(said) < 2 or said[1] is None else int(said[1])

    def first_uses(self, ids: Sequence[str]) -> list[int | None]:
        """As far as they are known, of limits that nobody begins to use by that. Raises StoreAway."""
        [key] = self._keys("firsts")
        found = self._command("HMGET", key, *ids) if ids else []
        return [int(first) if first is not None and _FIRST.fullmatch(first) else None for first in found]

    def are_used(self, windows: Sequence[tuple[int, str]]) -> list[bool]:
        """Whether hosts have told of each of these windows: number, and the limit's id. Raises StoreAway."""
        if not windows:
            return []
        assert self._client is not None
        with away():
            pipeline = self._client.pipeline(transaction=False)
            for key in self._keys(*(f"{number}:{id_}" for number, id_ in windows)):
                pipeline.exists(key)
            return [bool(found) for found in pipeline.execute()]

    def peers(self) -> list[str]:
        """The hosts that live, or lived a while ago. Raises StoreAway."""
        [live] = self._keys("live")
        found = (each.decode("ascii", "replace") for each in self._command("ZRANGE", live, 0, -1))
        return [host for host in found if is_name(host)]

    def missing(self) -> list[str]:
        """The hosts that a store which learns waits for. Raises StoreAway."""
        found = self._command("SDIFF", *self._keys("known", "reported"))
        return sorted(each.decode("ascii", "replace") for each in found)

    def ahead_ms(self) -> int:
        """By how much this host's clock is ahead of the store's, to some milliseconds.

        Raises StoreAway, also where the store has been told meanwhile that it may evict what is leased.
        """
        if why := evicting(self._command("INFO", "memory")):
            self.close()  # it says so at each join, too
            raise StoreAway(why)
        asked_at = time.time_ns()
        seconds, micros = self._command("TIME")
        return ((asked_at + time.time_ns()) // 2 - int(seconds) * 10**9 - int(micros) * 1000) // 10**6

    def leave(self, member: Membership) -> None:
        """The host is not counted any more. Raises StoreAway."""
        [live] = self._keys("live")
        self._command("ZREM", live, member.host)

    @property
    def _now(self) -> int | str:
        return "" if self.clock_ms is None else self.clock_ms

    def _keys(self, *names: str) -> list[str]:
        return [f"{self._prefix}{name}" for name in names]

    def _run_id(self) -> str:
        """Tells a server from any other, and from itself before it was started anew, or followed another one."""
        said = self._command("INFO")
        if why := evicting(said):
            raise StoreAway(why)
        if said.get("role") == "slave":
            raise StoreAway("it is a replica, which grants nothing")
        return f"{said['run_id']}:{said.get('master_replid')}"

    def _begin(self) -> None:
        """A connection of its own for whoever joins: it has to know whom it speaks to."""
        self.close()
        with away():
            client = self._connect()
        self._client = client
        self._scripts = {name: client.register_script(source(name)) for name in _SCRIPTS}

    def _call(self, script: str, keys: list[str], *arguments: object) -> Any:
        if self._client is None:
            raise StoreAway("there is no connection")
        with away():
            return self._scripts[script](keys=keys, args=arguments)

    def _command(self, *words: object) -> Any:
        if self._client is None:
            raise StoreAway("there is no connection")
        with away():
            return self._client.execute_command(*words)  # type: ignore[no-untyped-call]


@contextmanager
def away() -> Iterator[None]:
    """Whatever keeps Redis from answering is StoreAway."""
    from redis.exceptions import AskError, RedisError

    try:
        yield
    except AskError as error:  # MovedError, too
        raise StoreAway(f"what hosts share lies at another node of a cluster, {error.host}:{error.port}") from error
    except (RedisError, OSError) as error:
        raise StoreAway(str(error)) from error


def _why(broken: bytes = b"") -> str:
    if broken:
        return f"what lay at the key {broken.decode(errors='replace')} was not written by a gateway, and is made anew"
    return "it has forgotten this host"


def source(script: str) -> str:
    """Of one of the scripts that lie beside this."""
    return files(__package__).joinpath(f"{script}.lua").read_text("utf-8")


def _told(ask: Ask) -> tuple[object, ...]:
    """As the script takes it: in quanta, what is there rounded down, what is taken rounded up."""
    quantum = quantum_of(ask.unit)
    claim, used, want, need, seen = (
        -(-max(0, amount) // quantum) for amount in (ask.claim, ask.used, ask.want, ask.need, ask.told.seen)
    )
    begins, ends = ask.begins_ns // 1_000_000, -(-ask.ends_ns // 1_000_000)
    return (
        *(ask.limit // quantum, claim, used, ask.spent, want, need, ask.told.version, seen, ask.told.holders),
        *(begins, ends, ask.id, ask.first_ns),
    )


def _grant(ask: Ask, answer: Sequence[bytes], hosts: int) -> Grant:
    quantum = quantum_of(ask.unit)
    claim, version, seen, holders, used, spent, recalled, lost = map(int, answer)
    leased = max(0, seen - lost - claim - used) * quantum
    told, used, spent = Told(version, seen * quantum, holders), used * quantum, spent - ask.spent
    if quantum > 1 and 0 < used - spent < quantum * hosts:
        used = spent  # each of them has rounded up
    return Grant(claim * quantum, told, Elsewhere(used, spent, leased, lost * quantum), bool(recalled))
