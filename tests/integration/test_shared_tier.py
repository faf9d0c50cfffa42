"""The tier that hosts share, against a real Redis: what goes through it, and what it costs where Redis fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fastgate._core.slab import LARGEST, Hit, Slab, create_slab
from fastgate.cache.about import About
from fastgate.cache.question import WHOLE, Question, packed
from fastgate.cache.shared import Kept, key_of, written
from fastgate.gateway.shared import MOST_WAITING, SharedTier
from fastgate.gateway.shared_writes import MOST_QUEUED
from fastgate.wire.caching import SharedEvent, SharedRecord
from tests.support.certificates import Authority
from tests.support.redis_server import RedisServer

HOUR_MS = 3_600_000
PATIENT_MS = 1000
"""A deadline that a busy machine keeps, where it is not what is looked at."""
SLACK_SECONDS = 1.5
"""By which a busy machine may be late."""


def record(server: RedisServer, **more: Any) -> SharedRecord:
    base = SharedRecord("prod", PATIENT_MS, "127.0.0.1", server.port, "", 0, False, "", b"")
    return msgspec.structs.replace(base, **more)


class Host:
    """One worker's part of it: a slab, a tier, and what was counted."""

    def __init__(self, folder: Path, record: SharedRecord, credentials: str) -> None:
        path = str(folder / f"{len(list(folder.iterdir()))}.bin")
        create_slab(path, 4)
        self.slab = Slab(path)
        self.counts = [0] * len(SharedEvent)
        self.tier = SharedTier(asyncio.get_running_loop(), record, credentials, self.counts)

    def question(self, fingerprint: bytes, ttl_ms: int = HOUR_MS) -> Question:
        return Question(self.slab.hash128(fingerprint), fingerprint, bytes(16), ttl_ms, "sim", "m")

    async def find(self, fingerprint: bytes, ttl_ms: int = HOUR_MS, now_ms: int | None = None) -> Hit | None:
        now_ms = now() if now_ms is None else now_ms
        return await self.tier.find(self.slab, self.question(fingerprint, ttl_ms), now_ms)

    async def did(self, fingerprint: bytes) -> str:
        """What a look-up ended as: exactly one event."""
        before = list(self.counts)
        await self.find(fingerprint)
        [event] = [each for each in SharedEvent if self.counts[each] != before[each]]
        assert self.counts[event] == before[event] + 1
        return event.name.lower()

    async def until(self, fingerprint: bytes, expected: str, seconds: float = 20) -> None:
        async def ends() -> bool:
            return await self.did(fingerprint) == expected

        await until(ends, seconds)

    async def stored(self, count: int) -> None:
        async def are() -> bool:
            return self.counts[SharedEvent.STORED] >= count

        await until(are)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)


def now() -> int:
    return time.time_ns() // 1_000_000


def kept(answer: bytes = b"answer", *, ttl_ms: int = HOUR_MS, created_ms: int | None = None) -> Kept:
    created_ms = now() if created_ms is None else created_ms
    return Kept(WHOLE, packed(17, b""), About(key="ide").packed(), answer, created_ms, created_ms + ttl_ms)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


Hosts = Callable[..., Any]


@pytest.fixture
def host(tmp_path: Path, server: RedisServer) -> Hosts:
    """``async with host() as one``: it has reached Redis. Further fields of its record are given by name."""
    folder = tmp_path / "slabs"
    folder.mkdir()

    @asynccontextmanager
    async def made(**more: Any) -> AsyncIterator[Host]:
        one = Host(folder, record(server, **more), "")
        try:
            await one.until(b"nothing", "miss")
            yield one
        finally:
            await one.tier.close()

    return made


async def test_what_one_host_keeps_another_finds_for_the_time_that_is_left(host: Hosts, server: RedisServer) -> None:
    async with host() as one, host() as other:
        entry = kept(ttl_ms=10_000, created_ms=now() - 4000)
        one.tier.offer(b"asked", entry)
        await one.stored(1)
        asked_ms = now()
        hit = await other.find(b"asked", now_ms=asked_ms)
        assert hit is not None
        assert (hit.answer, hit.usage, hit.kind) == (entry.answer, entry.usage, entry.kind)
        assert (hit.created_ms, hit.expires_ms) == (entry.created_ms, entry.expires_ms)
        assert other.counts[SharedEvent.HIT] == 1
        [listed] = other.slab.scan()
        assert (listed.about, listed.tenant) == (entry.about, bytes(16))
        assert other.slab.find(other.slab.hash128(b"asked"), b"asked", entry.expires_ms) is None
        with server.client() as client:
            assert 0 < client.pttl(key_of("prod", b"asked")) <= 6000
            assert client.dbsize() == 1


async def test_a_request_that_keeps_for_less_makes_a_copy_for_less(host: Hosts) -> None:
    async with host() as one, host() as other:
        one.tier.offer(b"asked", kept())
        await one.stored(1)
        asked_ms = now()
        hit = await other.find(b"asked", ttl_ms=5000, now_ms=asked_ms)
        assert hit is not None
        assert hit.expires_ms == asked_ms + 5000


async def test_a_clock_that_is_behind_gives_nothing_a_longer_life(host: Hosts) -> None:
    async with host() as one, host() as other:
        one.tier.offer(b"asked", kept(ttl_ms=60_000))
        await one.stored(1)
        behind_ms = now() - HOUR_MS
        hit = await other.find(b"asked", ttl_ms=60_000, now_ms=behind_ms)
        assert hit is not None
        assert (hit.created_ms, hit.expires_ms) == (behind_ms, behind_ms + 60_000)
        assert await one.find(b"asked", now_ms=now() + 60_000) is None


async def test_another_cluster_or_database_shares_nothing(host: Hosts) -> None:
    async with host() as one, host(cluster="other") as other, host(database=1) as apart, host() as same:
        one.tier.offer(b"asked", kept())
        await one.stored(1)
        assert [await each.did(b"asked") for each in (other, apart, same)] == ["miss", "miss", "hit"]


async def test_what_has_expired_is_not_written(host: Hosts, server: RedisServer) -> None:
    async with host() as one:
        one.tier.offer(b"old", kept(ttl_ms=0))
        one.tier.offer(b"new", kept())
        await one.stored(1)
        assert one.counts[SharedEvent.DROPPED] == 1
        with server.client() as client:
            assert client.dbsize() == 1


async def test_whatever_lies_there_is_a_miss_unless_it_is_the_answer(host: Hosts, server: RedisServer) -> None:
    value = written(b"asked", kept())
    values: dict[bytes, str] = {
        value: "hit",
        written(b"other", kept()): "unusable",
        value[:-1]: "unusable",
        value + b"x": "unusable",
        value[:60] + bytes([value[60] ^ 1]) + value[61:]: "unusable",
        b"x": "unusable",
        b"": "miss",
        written(b"asked", kept(ttl_ms=0)): "miss",
    }
    key = key_of("prod", b"asked")
    async with host() as one:
        with server.client() as client:
            for each, expected in values.items():
                client.set(key, each)
                assert await one.did(b"asked") == expected, each[:80]
            before = client.info("stats")["total_net_output_bytes"]
            client.set(key, bytes(3 << 20))
            assert await one.did(b"asked") == "unusable"
            assert client.info("stats")["total_net_output_bytes"] - before < 1 << 20, "all of it was sent"
            client.delete(key)
            client.rpush(key, value)
        assert await one.did(b"asked") == "error"
        assert await one.did(b"nothing") == "miss", "one that is refused does no harm to the others"


async def test_the_longest_answers_go_through_many_at_once(host: Hosts) -> None:
    async with host() as one, host() as other:
        answers = {b"asked %d" % number: bytes([number]) * (LARGEST - 400) for number in range(12)}
        for fingerprint, answer in answers.items():
            one.tier.offer(fingerprint, kept(answer))
        await one.stored(len(answers))
        found = await asyncio.gather(*(other.find(fingerprint) for fingerprint in answers))
        assert {hit.answer for hit in found if hit is not None} <= set(answers.values())
        for fingerprint, hit in zip(answers, found, strict=True):
            assert hit is None or hit.answer == answers[fingerprint]
        assert other.counts[SharedEvent.HIT] == sum(hit is not None for hit in found) > 0


async def test_nobody_waits_for_a_redis_that_hangs_but_a_few_until_their_deadline(
    host: Hosts, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with host(deadline_ms=50) as one:
        one.tier.offer(b"asked", kept())
        await one.stored(1)
        await one.until(b"asked", "hit")
        server.hang()
        took, ends = [], []
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            began = time.monotonic()
            ends.append(await one.did(b"asked"))
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.005)
        assert set(ends) <= {"timeout", "skipped", "error"}
        assert ends.count("skipped") > 0.9 * len(ends)
        assert 1 <= len(ends) - ends.count("skipped") <= 10
        assert max(took) < 0.05 + SLACK_SECONDS
        server.go_on()
        await one.until(b"asked", "hit")
        lines = [each.getMessage() for each in caplog.records if each.name == "fastgate.gateway"]
        assert [line for line in lines if "does not answer" in line] == lines[:1]
        assert [line for line in lines if "answers again" in line] == lines[1:2]
        assert len(lines) == 2


async def test_so_many_wait_at_once_and_no_more(host: Hosts, server: RedisServer) -> None:
    async with host() as one:
        server.hang()
        before = list(one.counts)
        began = time.monotonic()
        await asyncio.gather(*(one.find(b"asked %d" % number) for number in range(MOST_WAITING + 40)))
        assert time.monotonic() - began < PATIENT_MS / 1000 + SLACK_SECONDS
        assert one.counts[SharedEvent.SKIPPED] - before[SharedEvent.SKIPPED] == 40
        assert sum(one.counts) - sum(before) == MOST_WAITING + 40
        server.go_on()


async def test_a_client_that_leaves_takes_its_look_up_along(host: Hosts, server: RedisServer) -> None:
    async with host() as one:
        server.hang()
        gone = [asyncio.create_task(one.find(b"asked")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        server.go_on()
        assert await one.did(b"asked") == "miss"


async def test_it_goes_on_where_redis_was_started_again(host: Hosts, server: RedisServer) -> None:
    async with host() as one, host() as other:
        for number in range(3):
            fingerprint = b"asked %d" % number
            server.kill()
            await one.until(fingerprint, "skipped")
            errors = one.counts[SharedEvent.ERROR]
            one.tier.offer(fingerprint, kept())
            server.start()
            await one.stored(number + 1)
            await one.until(b"nothing", "miss")
            await other.until(fingerprint, "hit")
            await asyncio.gather(*(one.find(b"nothing %d" % each) for each in range(40)))
            assert one.counts[SharedEvent.ERROR] == errors, "no connection of before is used on"
        assert one.counts[SharedEvent.DROPPED] == 0, "what waits is written when it is back"


async def test_a_redis_that_was_emptied_has_nothing_and_is_filled_again(host: Hosts, server: RedisServer) -> None:
    async with host() as one, host() as other:
        one.tier.offer(b"asked", kept())
        await one.stored(1)
        with server.client() as client:
            client.flushall()
        assert await other.did(b"asked") == "miss"
        one.tier.offer(b"asked", kept())
        await one.stored(2)
        assert await other.did(b"asked") == "hit"


async def test_what_waits_to_be_written_is_bounded(host: Hosts, server: RedisServer) -> None:
    async with host() as one:
        server.hang()
        answer, offered = bytes(LARGEST - 400), 2 * MOST_QUEUED // LARGEST
        for number in range(offered):
            one.tier.offer(b"asked %d" % number, kept(answer))
        assert offered // 3 < one.counts[SharedEvent.DROPPED] <= offered // 2
        server.go_on()


async def test_what_waits_is_written_before_it_ends(host: Hosts, server: RedisServer) -> None:
    async with host() as one:
        for number in range(20):
            one.tier.offer(b"asked %d" % number, kept())
    assert one.counts[SharedEvent.STORED] == 20
    with server.client() as client:
        assert client.dbsize() == 20

        async def is_alone() -> bool:
            return bool(client.info("clients")["connected_clients"] == 1)

        await until(is_alone)


async def test_the_end_does_not_wait_for_a_redis_that_hangs(host: Hosts, server: RedisServer) -> None:
    async with host(deadline_ms=50) as one:
        server.hang()
        one.tier.offer(b"asked", kept())
        looked_up = asyncio.create_task(one.find(b"asked"))
        began = time.monotonic()
        await one.tier.close()
        assert await looked_up is None
        assert time.monotonic() - began < 1 + SLACK_SECONDS
        assert one.counts[SharedEvent.DROPPED] == 1
        server.go_on()


async def test_full_and_read_only_ones_are_told_once_and_serve_on(
    host: Hosts, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with host() as one:
        with server.client() as client:
            client.config_set("maxmemory", "1")
        for number in range(5):
            one.tier.offer(b"asked %d" % number, kept())

        async def are_dropped() -> bool:
            return one.counts[SharedEvent.DROPPED] == 5

        await until(are_dropped)
        assert await one.did(b"asked") == "miss"
        lines = [each.getMessage() for each in caplog.records if each.name == "fastgate.gateway"]
        assert len(lines) == 1
        assert "refuses" in lines[0]
        assert "maxmemory" in lines[0]


async def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "slabs").mkdir()
    with RedisServer(tmp_path, password="right-and-secret") as server:
        wrong = Host(tmp_path / "slabs", record(server), ":wrong-and-secret")
        right = Host(tmp_path / "slabs", record(server), ":right-and-secret")
        try:
            await right.until(b"asked", "miss")

            async def told() -> bool:
                return "does not answer" in caplog.text

            await until(told)
            assert await wrong.did(b"asked") == "skipped"
        finally:
            await wrong.tier.close()
            await right.tier.close()
    assert f"Redis at 127.0.0.1:{server.port} does not answer" in caplog.text
    assert "secret" not in caplog.text


async def test_users_sockets_and_tls(tmp_path: Path) -> None:
    (tmp_path / "slabs").mkdir()
    authority = Authority(tmp_path)
    with RedisServer(tmp_path, tls=authority.issue("redis.test", "redis")) as server:
        with server.client() as client:
            allowed = ["+getrange", "+set", "+ping", "+select", "+scan", "+unlink"]  # as docs/cache.md says
            client.acl_setuser("gate", enabled=True, passwords=["+of-the-gate"], keys=["fastgate:*"], commands=allowed)
        ways: list[tuple[dict[str, Any], str, bool]] = [
            ({"tls": True, "ca_file": str(authority.ca)}, "", True),
            ({"tls": True, "ca_file": str(authority.ca)}, "gate:of-the-gate", True),
            ({"host": "", "port": 0, "path": server.socket, "database": 2}, "gate:of-the-gate", True),
            ({"tls": True}, "", False),
            ({}, "", False),
            ({"tls": True, "ca_file": str(tmp_path / "none.pem")}, "", False),
        ]
        hosts = [Host(tmp_path / "slabs", record(server, **more), credentials) for more, credentials, _ in ways]
        try:
            for one, (_, _, works) in zip(hosts, ways, strict=True):
                if works:
                    await one.until(b"asked", "miss")
            for number, (one, (_, _, works)) in enumerate(zip(hosts, ways, strict=True)):
                assert await one.did(b"asked") == ("miss" if works else "skipped")
                if works:
                    one.tier.offer(b"asked %d" % number, kept())
                    await one.stored(1)
        finally:
            for one in hosts:
                await one.tier.close()
