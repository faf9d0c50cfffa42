"""What operators delete on one of two hosts is gone from the Redis that these share, or the answer says why not."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fastgate.cache.about import About, said
from fastgate.cache.question import WHOLE, packed
from fastgate.cache.shared import Kept, key_of, written
from fastgate.config.redis_urls import parse_redis_url
from fastgate.control import cache_shared
from fastgate.control.cache_shared import SharedEntries
from fastgate.control.problems import SharedUnavailable
from fastgate.wire.caching import SharedRecord
from tests.integration.test_cache_steering import run
from tests.integration.test_shared_cache import PASSWORD, body_of, did, hosts, lying, post, reach
from tests.integration.test_shared_cache import written as is_written
from tests.support.by_api import client
from tests.support.house import House
from tests.support.redis_server import RedisServer

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000
ALL = 2**62


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password=PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory, server: RedisServer) -> Iterator[tuple[House, House]]:
    with hosts(tmp_path_factory.mktemp("hosts"), server, 1) as both:
        yield both


@pytest.fixture
def here(houses: tuple[House, House]) -> House:
    houses[0].admin("cache/entries", "DELETE", all="true")
    return houses[0]


def keep(house: House, server: RedisServer, name: str, text: str, **headers: str) -> str:
    """Pays for an answer and waits until it is in Redis; returns the id that it has on this host."""
    assert did(post(house, name, body_of(text), **headers)) == "miss"
    is_written(server, text)
    again = post(house, name, body_of(text))
    assert did(again) == "exact"
    return again.headers["x-fastgate-cache-entry"]


def refused(house: House, path: str) -> dict[str, Any]:
    with client(house) as api:
        answer = api.delete(path)
    assert answer.status_code == 503, answer.text
    assert "retry-after" in answer.headers
    document: dict[str, Any] = answer.json()
    assert document["type"] == "urn:fastgate:problem:shared_cache_unavailable"
    return document


def test_by_its_id(here: House, houses: tuple[House, House], server: RedisServer) -> None:
    id_ = keep(here, server, "one", "by id")
    keep(here, server, "one", "by another id")
    assert run(here, "delete", id_).stderr == "1 deleted\n"
    assert lying(server, "by id") == []
    assert did(post(houses[1], "one", body_of("by another id"))) == "exact"
    assert did(post(houses[1], "one", body_of("by id"))) == "miss"


def test_by_what_it_is_of(here: House, houses: tuple[House, House], server: RedisServer) -> None:
    keep(here, server, "one", "of a key")
    keep(houses[1], server, "other", "of the other", x_fastgate_tags="feature=search")
    keep(here, server, "blue-one", "of the team")
    assert here.admin("cache/entries", "DELETE", key="one") == {"deleted": 1, "shared": 1}
    assert [len(lying(server, text)) for text in ("of a key", "of the other", "of the team")] == [0, 1, 1]
    # What another host keeps there, too.
    assert here.admin("cache/entries", "DELETE", **{"tag:feature": "search"}) == {"deleted": 0, "shared": 1}
    assert here.admin("cache/entries", "DELETE", older_than_seconds="3600") == {"deleted": 0, "shared": 0}
    assert here.admin("cache/entries", "DELETE", team="blue", younger_than_seconds="3600") == {
        "deleted": 1,
        "shared": 1,
    }
    assert did(post(houses[1], "blue-other", body_of("of the team"))) == "miss"
    rows = here.admin("audit", collection="cache")["items"]
    assert json.loads(json.dumps(rows[0]["before"]))["shared"] == 1


def test_the_command_says_so(here: House, server: RedisServer) -> None:
    keep(here, server, "one", "by command")
    assert run(here, "delete", "--key", "one").stderr == "1 deleted, and 1 in Redis\n"
    assert json.loads(run(here, "delete", "--all", "--json").stdout) == {"deleted": 0, "shared": 0}


def test_where_redis_is_away_or_hangs_the_answer_says_so(here: House, server: RedisServer) -> None:
    id_ = keep(here, server, "one", "hangs")
    server.hang()
    try:
        told = refused(here, f"cache/entries/{id_}")
        assert f"Redis at 127.0.0.1:{server.port} cannot be reached" in told["detail"]
        assert here.admin(f"cache/entries/{id_}")["id"] == id_, "nothing is deleted"
        told = refused(here, "cache/entries?key=one")
        assert told["detail"].startswith("1 entries are deleted on this host; Redis at")
    finally:
        server.go_on()
    assert run(here, "show", id_).exit_code == 1
    assert here.admin("cache/entries", "DELETE", key="one") == {"deleted": 0, "shared": 1}
    assert lying(server, "hangs") == []
    server.kill()
    try:
        failed = run(here, "delete", "--all")
        assert failed.exit_code == 1
        assert "Redis at" in failed.stderr
    finally:
        server.start()
        reach(here)


# ---- one deletion, against what lies there


def entries(server: RedisServer, user: str = f"default:{PASSWORD}") -> SharedEntries:
    address = parse_redis_url(f"redis://{user}@127.0.0.1:{server.port}/0")
    record = SharedRecord("a*b", 1, "127.0.0.1", server.port, "", 0, False, "", b"")
    return SharedEntries(record, address)


def put(server: RedisServer, name: str, about: About, created_ms: int = NOW_MS, cluster: str = "a*b") -> None:
    kept = Kept(WHOLE, packed(17, b""), about.packed(), b"answer" * 100, created_ms, created_ms + HOUR_MS)
    asked = f"question {name} of {about}".encode() * 10
    with server.client() as each:
        each.set(key_of(cluster, asked), written(asked, kept))


def left(server: RedisServer, cluster: str = "a*b") -> int:
    with server.client() as each:
        return sum(name.startswith(f"fastgate:{cluster}:cache:".encode()) for name in each.scan_iter(count=1000))


def test_each_of_many_is_looked_at(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_shared, "PAGE", 20)
    for number in range(200):
        put(server, str(number), About(key=f"key{number % 4}", tags=(("job", str(number % 5)),)), NOW_MS + number)
    put(server, "of another cluster", About(key="key1"), cluster="a+b")
    with server.client() as each:
        each.set("fastgate:a*b:cache:foreign", b"what nobody here wrote")
    one = entries(server)
    key, tag = said("key", ("key1",)), said("tag:job", ("2", "3"))
    assert one.delete_all([said("key", ("key",))], 0, ALL) == 0
    assert one.delete_all([key, tag], 0, NOW_MS + 100) == 10
    assert one.delete_all([key], NOW_MS + 100, NOW_MS + 200) == 25
    assert left(server) == 200 - 35 + 1
    assert one.delete_all([], 0, ALL) == 165
    assert left(server) == 1, "what is no answer is given to nobody, and left alone"
    assert left(server, "a+b") == 1
    assert one.delete(b"never asked") == 0


def test_what_takes_too_long_is_told(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_shared, "PAGE", 10)
    monkeypatch.setattr(cache_shared, "SCAN_SECONDS", 0)
    for number in range(500):
        put(server, str(number), About(key="key"))
    began = time.monotonic()
    with pytest.raises(SharedUnavailable, match=r"more than could be looked at in 0 s: \d+ are deleted there"):
        entries(server).delete_all([], 0, ALL)
    assert time.monotonic() - began < 10
    assert 0 < left(server) < 501


def test_a_user_who_may_not_is_told_without_a_secret(server: RedisServer) -> None:
    with server.client() as each:
        each.acl_setuser(
            "narrow", enabled=True, passwords=["+secret-word"], keys=["fastgate:*"], commands=["+getrange", "+select"]
        )
    for user in ("narrow:secret-word", "narrow:wrong-secret"):
        with pytest.raises(SharedUnavailable) as failed:
            entries(server, user).delete_all([], 0, ALL)
        assert "secret" not in str(failed.value)
        assert f"127.0.0.1:{server.port}" in str(failed.value)
    with pytest.raises(SharedUnavailable, match="its user needs getrange, scan and unlink"):
        entries(server, "narrow:secret-word").delete(b"asked")
