"""What Redis answers to hosts that lease where somebody else wrote into what it keeps, or it may evict that."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from fastgate.budgets.leases.messages import NOTHING_TOLD
from fastgate.budgets.leases.store import QUIET_MS, Forgotten, StoreAway
from tests.support.lease_lines import LIMIT, START_MS, Line, two_lines, window_in
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Redis"]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server, server.client() as found:
        yield found


@pytest.fixture
def lines(client: "Redis", request: pytest.FixtureRequest) -> tuple[Line, Line]:
    return two_lines(client, request.node.name)


@pytest.mark.parametrize(
    "garbage",
    [
        lambda client, window: (client.delete(window), client.set(window, "not a hash")),
        lambda client, window: client.hset(window, "claimed", "much"),
        lambda client, window: client.hset(window, "claimed", "nan"),
        lambda client, window: client.hset(window, "lost", "inf"),
        lambda client, window: client.hset(window, "spent", "abc"),
        lambda client, window: client.hset(window, "spent", 2**63 - 1),
        lambda client, window: client.hset(window, "spent", "9" * 30),
        lambda client, window: client.hset(window, "host:here", "all of it"),
        lambda client, window: client.hset(window, "host:here", f"{10**30} 0 0 7 e"),
        lambda client, window: client.hset(window, "host:here", "61 0 0 7 e"),
        lambda client, window: client.hset(window, "host:here", f"60 0 {10**30} 7 e"),
        lambda client, window: client.hset(window, "claimed", 10**17),
        lambda client, window: client.hset(window, "seen", f"{10**17} 7"),
        lambda client, window: (client.hset(window, "back", "some"), client.hdel(window, "host:here")),
    ],
)
def test_what_no_script_wrote_is_made_anew(
    client: "Redis", lines: tuple[Line, Line], request: pytest.FixtureRequest, garbage: Callable[["Redis", bytes], Any]
) -> None:
    here, there = lines
    [told] = here.ask(want=60, need=60).grants
    window = window_in(client, request.node.name)
    garbage(client, window)
    with pytest.raises(Forgotten, match=f"key {re.escape(window.decode())} was not written by a gateway"):
        here.ask(claim=60, spent=1, told=told.told)
    for line, has in ((here, 60), (there, 0)):
        line.join("here", "there")
        line.ask(claim=has, told=told.told if has else NOTHING_TOLD)
        line.store.report(line.member)
    there.later(2 * QUIET_MS)
    assert there.claim(want=LIMIT, need=41) == 0
    assert there.claim(want=LIMIT, need=40) == 40


BESIDE: Final[list[tuple[str, Callable[["Redis", str], Any]]]] = [
    *((name, lambda client, key: client.set(key, "garbage")) for name in ("live", "ends", "firsts")),
    ("known", lambda client, key: client.hset(key, "a", "b")),
    ("reported", lambda client, key: client.rpush(key, "a")),
    ("meta", lambda client, key: client.sadd(key, "a")),
    ("meta", lambda client, key: client.hset(key, "incarnation:here", "many")),
    ("meta", lambda client, key: client.hset(key, "incarnation:here", 2**63 - 1)),
    ("meta", lambda client, key: client.hset(key, "learning", "perhaps")),
    ("meta", lambda client, key: client.hset(key, "learning", "1")),
    ("meta", lambda client, key: client.hset(key, "quiet_until", "inf")),
]


@pytest.mark.parametrize(("name", "garbage"), BESIDE)
def test_what_no_script_wrote_beside_windows_is_made_anew(
    client: "Redis",
    lines: tuple[Line, Line],
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    name: str,
    garbage: Callable[["Redis", str], Any],
) -> None:
    here, there = lines
    [told] = here.ask(want=60, need=60).grants
    key = f"fastgate:{{{request.node.name}}}:lease:{name}"
    client.delete(key)
    garbage(client, key)
    here.join("here", "there")
    assert f"what lay at the key {key} was not written by a gateway" in caplog.text
    with pytest.raises(Forgotten):
        there.ask()
    there.join()
    assert here.ask(claim=60, told=told.told).learning
    there.ask()
    here.store.report(here.member)
    there.store.report(there.member)
    there.later(2 * QUIET_MS)
    here.later(2 * QUIET_MS)
    assert there.claim(want=LIMIT, need=41) == 0
    assert there.claim(want=LIMIT, need=40) == 40
    assert not here.ask(claim=60).learning


def test_a_first_use_that_is_no_number_is_told_again(
    client: "Redis", lines: tuple[Line, Line], request: pytest.FixtureRequest
) -> None:
    here, there = lines
    id_ = "key:k/limit/requests/hour"
    assert here.store.first_use(here.member, id_, 5) == 5
    key = f"fastgate:{{{request.node.name}}}:lease:firsts"
    for garbage in ("soon", "9" * 30):
        client.hset(key, id_, garbage)
        with pytest.raises(Forgotten, match=f"key {re.escape(key)} was not written by a gateway"):
            there.store.first_use(there.member, id_, 7)
        here.join("here", "there")
        there.join()
        here.ask(id=id_, first_ns=5)
        assert there.store.first_use(there.member, id_, 7) == 5


def test_who_is_to_learn_for_good_begins_anew(
    client: "Redis", lines: tuple[Line, Line], request: pytest.FixtureRequest
) -> None:
    here, there = lines
    meta = f"fastgate:{{{request.node.name}}}:lease:meta"
    client.hset(meta, mapping={"learning": START_MS, "quiet_until": START_MS + 3_600_000})
    with pytest.raises(Forgotten, match=f"key {re.escape(meta)} was not written by a gateway"):
        here.ask()
    for line in lines:
        line.join("here", "there")
        line.store.report(line.member)
    here.later(QUIET_MS)
    there.later(QUIET_MS)
    assert not here.ask().learning
    assert there.claim(want=LIMIT, need=LIMIT) == LIMIT


def test_keys_that_are_no_windows_are_not_deleted(
    client: "Redis", lines: tuple[Line, Line], request: pytest.FixtureRequest
) -> None:
    prefix = f"fastgate:{{{request.node.name}}}:lease:"
    client.set("somebody else's", "kept")
    client.hset(f"{prefix}over", "claimed", 1)
    client.zadd(f"{prefix}ends", {"somebody else's": 1, f"{prefix}over": 1})
    lines[0].ask()
    assert (client.get("somebody else's"), client.exists(f"{prefix}over")) == (b"kept", 0)
    assert client.zcard(f"{prefix}ends") == 1, "the window that was told of"


def test_a_sign_of_life_from_the_future_is_none(
    client: "Redis", lines: tuple[Line, Line], request: pytest.FixtureRequest
) -> None:
    here, _ = lines
    assert here.ask().hosts == 2
    live = f"fastgate:{{{request.node.name}}}:lease:live"
    client.zadd(live, {"nobody": START_MS * 2, "there": START_MS + 3_600_000})
    assert here.ask().hosts == 1
    client.hset(f"fastgate:{{{request.node.name}}}:lease:meta", "nonce:there", "another")
    there = Line(client, request.node.name, "there")
    assert there.ask().hosts == 2
    assert client.zscore(live, "nobody") is None


def test_what_is_no_name_is_not_taken_for_a_host(
    client: "Redis", lines: tuple[Line, Line], request: pytest.FixtureRequest
) -> None:
    here, there = lines
    for name in (b"\xff\xfe", b"two words", b""):
        client.zadd(f"fastgate:{{{request.node.name}}}:lease:live", {name: START_MS})
    assert sorted(here.store.peers()) == ["here", "there"]
    client.hdel(f"fastgate:{{{request.node.name}}}:lease:meta", "epoch")
    for line in (here, there):
        line.join()
        line.store.report(line.member)
        line.later(QUIET_MS)
    assert not here.ask().learning, "nobody else is waited for"


def test_a_server_that_may_evict_what_is_leased_is_left(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, server.client() as client:
        line = Line(client, "evicting", "here")
        assert abs(line.store.ahead_ms()) < 1000
        client.config_set("maxmemory", "100mb")
        line.store.ahead_ms()
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StoreAway, match="maxmemory-policy is allkeys-lru"):
            line.store.ahead_ms()
        with pytest.raises(StoreAway, match="maxmemory-policy is allkeys-lru"):
            line.store.join("here", "nonce of here")
