"""What the scripts take of a real Redis: its process' CPU, sockets included, while real stores speak to it over TCP.

Exchanges come from all lines together, as they do where Redis has much to do: one that comes alone has to wake it,
and takes two to three times as much. What else is asked is asked one after the other.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time_ns
from typing import Any, Final

from redis import Redis

from benchmarks.leases.cluster import budget
from benchmarks.leases.redis import Costs
from fastgate._core.levels import USD
from fastgate.budgets.leases.messages import Ask
from fastgate.budgets.leases.store import LeaseStore, Membership
from loadtest.cores import cpu_seconds
from loadtest.programs import Programs, find, free_port

HOSTS: Final = 1000
"""That Redis knows."""
PARTS: Final = 100
"""Hosts that have a part in each window: more of them do not take longer."""
LINES: Final = 20
MESSAGES: Final = 6000
WIDE: Final = 200
"""Windows in a long message."""
_LIMIT: Final = 1 << 52
_HOUR_NS: Final = 3600 * 10**9


def measured(messages: int = MESSAGES) -> tuple[Costs, str]:
    """Of so many each time. And which Redis it was."""
    with TemporaryDirectory() as folder, Programs(Path(folder)) as programs:
        port = free_port()
        command = [find("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
        bench = _Bench(messages, port, programs.start("redis", command, max(os.sched_getaffinity(0)), port=port))
        return bench.costs(), bench.version


class _Bench:
    def __init__(self, messages: int, port: int, pid: int) -> None:
        self._messages, self._port, self._pid = messages, port, pid
        self._lines = [_Line(_Store(self._connect, "costs"), f"line{number}") for number in range(LINES)]
        client = self._connect()
        self.version = str(client.info()["redis_version"])
        self._crowd(client)

    def costs(self) -> Costs:
        """Each as the slope, or the rest, of two measurements."""
        short, wide = self._exchanges(1, self._messages), self._exchanges(WIDE, max(LINES, self._messages // 40))
        window = (wide - short) / (WIDE - 1)
        join, named = self._joins(0), self._joins(HOSTS)
        reported = self._each(self._messages, lambda line: line.store.report(line.member))
        peers = self._each(max(LINES, self._messages // 20), lambda line: line.store.peers())
        return Costs(
            message=int(short - window),
            window=int(window),
            join=int(join),
            named=max(0, int((named - join) / HOSTS)),
            short=int(reported),
            listed=max(0, int((peers - reported) / HOSTS)),
        )

    def _exchanges(self, windows: int, count: int) -> float:
        asks = [self._ask(number) for number in range(windows)]

        def together() -> None:
            for line in self._lines:
                line.say(asks)
            for line in self._lines:
                line.hear()

        return self._least(count // LINES, together) / LINES

    def _joins(self, peers: int) -> float:
        names = [f"{number:016x}" for number in range(peers)]
        return self._each(max(LINES, self._messages // 30), lambda line: line.join(names))

    def _each(self, count: int, do: Callable[["_Line"], object]) -> float:
        """On all lines in turn."""
        return self._least(count // LINES, lambda: [do(line) for line in self._lines]) / LINES

    def _least(self, count: int, do: Callable[[], object]) -> float:
        """Nanoseconds of Redis' CPU for each of so many; the least of three runs."""
        found = []
        for _ in range(3):
            before = cpu_seconds(self._pid)
            for _ in range(count):
                do()
            found.append((cpu_seconds(self._pid) - before) / count * 1e9)
        return min(found)

    def _ask(self, number: int) -> Ask:
        record = budget(number, _LIMIT)
        return Ask(record.id, USD, 400_000_000, 1, time_ns() + _HOUR_NS, 0, _LIMIT, 5 << 20, 3 << 20, 1 << 20, want=1)

    def _crowd(self, client: "Redis") -> None:
        """Other hosts live, and have their part in each window; the first ones to come have waited for them."""
        prefix = "fastgate:{costs}:lease:"
        names = [f"{number:016x}" for number in range(HOSTS)]
        had = {f"host:{name}": "5120 3072 3145728 7 epoch" for name in names[:PARTS]}
        client.hdel(f"{prefix}meta", "learning")
        client.zadd(f"{prefix}live", dict.fromkeys(names, time_ns() // 1_000_000))
        for number in range(WIDE):
            ask = self._ask(number)
            client.hset(f"{prefix}{ask.window}:{ask.id}", mapping=had)

    def _connect(self) -> "Redis":
        return Redis(port=self._port, protocol=2, single_connection_client=True)


class _SaidError(Exception):
    """And not heard yet."""


class _Store(LeaseStore):
    """Its exchanges are said, and heard later."""

    def _call(self, script: str, keys: list[str], *arguments: Any) -> Any:
        if script != "exchange":
            return super()._call(script, keys, *arguments)
        self.connection.send_command("EVALSHA", self._scripts[script].sha, len(keys), *keys, *arguments)
        raise _SaidError

    @property
    def connection(self) -> Any:
        assert self._client is not None
        return self._client.connection

    def load(self) -> None:
        assert self._client is not None
        self._client.script_load(self._scripts["exchange"].script)


class _Line:
    def __init__(self, store: _Store, name: str) -> None:
        self.store, self._name = store, name
        self.member: Membership = store.join(name, name)
        self._sequence = 0
        store.load()

    def join(self, peers: list[str]) -> None:
        self.member, self._sequence = self.store.join(self._name, self._name, peers), 0

    def say(self, asks: list[Ask]) -> None:
        self._sequence += 1
        with suppress(_SaidError):
            self.store.exchange(self.member, self._sequence, asks)

    def hear(self) -> None:
        said = self.store.connection.read_response()
        if said[0] != b"done":
            raise AssertionError(said)
