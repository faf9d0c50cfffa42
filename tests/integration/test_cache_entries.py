"""The admin API on the exact cache's entries: filters, pages, deletions, the audit; this process is the worker."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastgate._core.budget import (
    CACHE_BYPASS,
    CACHE_EXACT,
    CACHE_MISS,
    CACHE_NONE,
    CACHE_SEMANTIC,
    MEANING_EXPLORE,
    MEANING_MISS,
    MEANING_NONE,
    MEANING_SERVE,
    MEANING_UNANSWERED,
)
from fastgate._core.price import Usage
from fastgate._core.slab import Slab
from fastgate.cache.about import About
from fastgate.cache.question import STREAM, UNSTATED, WHOLE, packed
from fastgate.wire.money import usd
from tests.integration.test_admin_api import problem
from tests.support.control_host import CONFIG, ControlHost

CACHED = f"{CONFIG}cache: {{exact: {{enabled: true, max_mb: 4}}}}\n"
COST = 1_500_000_001
SECRET = b"what nobody may read here"
IDE = About("ide", "platform", "smart", "sim-small", "sim", "openai-chat", (("feature", "search"), ("job", "1")))
FREE = About("free", "", "sim/sim-large", "sim-large", "sim", "anthropic", (("feature", 'a&b=c, "d"'),))


class Host(ControlHost):
    """With the store open, as a worker has it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, CACHED)
        self.slab = Slab(str(self.arena_dir / "cache-4.bin"))

    def keep(self, name: str, about: About = IDE, *, age: float = 0, ttl: float = 600, kind: int = WHOLE) -> str:
        """An answer that was kept so many seconds ago; returns its id."""
        asked = SECRET + name.encode()
        now_ms = time.time_ns() // 1_000_000 - round(1000 * age)
        assert self.slab.store(
            self.slab.hash128(asked), asked, SECRET, kind=kind, usage=packed(COST, b""), tenant=bytes(16),
            about=about.packed(), now_ms=now_ms, ttl_ms=round(1000 * ttl),
        )  # fmt: skip
        return f"{self.slab.hash128(asked).hex()}-{self.slab.counts()['stored']}"

    def ask(self, name: str) -> str | None:
        """The id of what is given; None: nothing is kept."""
        asked = SECRET + name.encode()
        hit = self.slab.find(self.slab.hash128(asked), asked, time.time_ns() // 1_000_000)
        return None if hit is None else hit.id

    def ids(self, *pairs: tuple[str, str]) -> set[str]:
        items = self.get("cache/entries", *pairs)["items"]
        found = {item["id"] for item in items}
        assert len(found) == len(items)
        return found

    def delete(self, *pairs: tuple[str, str]) -> int:
        answer = self.client.delete("/api/v1/cache/entries", params=list(pairs))
        assert answer.status_code == 200, answer.text
        deleted: int = answer.json()["deleted"]
        return deleted

    def changes(self) -> list[dict[str, Any]]:
        """Of the cache, the newest first."""
        items: list[dict[str, Any]] = self.get("audit", ("collection", "cache"))["items"]
        return items


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


@pytest.fixture
def host(shared: Host) -> Host:
    shared.delete(("all", "true"))
    return shared


def test_an_entry_says_what_it_is_of_and_what_it_saved(host: Host) -> None:
    id_ = host.keep("one")
    for _ in range(3):
        assert host.ask("one") == id_
    shown = host.get(f"cache/entries/{id_}")
    moments = {name: shown.pop(name) for name in ("created_at", "expires_at", "last_used_at")}
    assert moments["created_at"] <= moments["last_used_at"] < moments["expires_at"]
    assert all(moment.endswith("Z") for moment in moments.values())
    assert 100 < shown.pop("bytes") < 1000
    assert shown == {
        "id": id_, "tier": "exact", "key": "ide", "team": "platform", "model": "smart", "upstream_model": "sim-small",
        "provider": "sim", "dialect": "openai-chat", "tags": {"feature": "search", "job": "1"}, "kind": "whole",
        "hits": 3, "cost_usd": usd(COST), "saved_usd": usd(3 * COST), "semantic": None,
    }  # fmt: skip
    [listed] = host.get("cache/entries")["items"]
    assert listed == host.get(f"cache/entries/{id_}")


def test_what_nobody_asked_for_again_was_not_used(host: Host) -> None:
    shown = host.get(f"cache/entries/{host.keep('unused')}")
    assert (shown["hits"], shown["last_used_at"], shown["saved_usd"]) == (0, None, usd(0))


@pytest.mark.parametrize(("kind", "name"), [(WHOLE, "whole"), (STREAM, "stream"), (UNSTATED, "stream")])
def test_kinds(host: Host, kind: int, name: str) -> None:
    assert host.get(f"cache/entries/{host.keep('kind', kind=kind)}")["kind"] == name


def test_neither_questions_nor_answers_are_shown(host: Host) -> None:
    id_ = host.keep("secret")
    for path in ("cache/entries", f"cache/entries/{id_}"):
        assert SECRET not in host.client.get(f"/api/v1/{path}").content
    host.client.delete(f"/api/v1/cache/entries/{id_}")
    assert SECRET not in host.client.get("/api/v1/audit").content


FILTERS = [
    ([("key", "ide")], {"ide", "old"}),
    ([("key", "free")], {"free"}),
    ([("key", "id")], set()),
    ([("team", "platform")], {"ide", "old"}),
    ([("team", "")], {"free"}),
    ([("model", "smart")], {"ide", "old"}),
    ([("model", "sim/sim-large")], {"free"}),
    ([("upstream_model", "sim-large")], {"free"}),
    ([("provider", "sim")], {"ide", "old", "free"}),
    ([("dialect", "anthropic")], {"free"}),
    ([("tag:feature", "search")], {"ide", "old"}),
    ([("tag:feature", "search"), ("tag:feature", 'a&b=c, "d"')], {"ide", "old", "free"}),
    ([("tag:feature", "search"), ("tag:job", "2")], set()),
    ([("older_than_seconds", "60")], {"old"}),
    ([("younger_than_seconds", "60")], {"ide", "free"}),
    ([("older_than_seconds", "0")], {"ide", "old", "free"}),
    ([("younger_than_seconds", "0")], set()),
    ([("older_than_seconds", "60"), ("younger_than_seconds", "300"), ("key", "ide")], {"old"}),
]


def keep_some(host: Host) -> dict[str, str]:
    host.keep("expired", age=120, ttl=60)
    return {host.keep("ide"): "ide", host.keep("old", age=120): "old", host.keep("free", FREE): "free"}


@pytest.mark.parametrize(
    ("pairs", "names"), FILTERS, ids=lambda value: str(sorted(value) if isinstance(value, set) else value)
)
def test_what_is_listed_is_what_is_deleted(host: Host, pairs: list[tuple[str, str]], names: set[str]) -> None:
    kept = keep_some(host)
    assert {kept[id_] for id_ in host.ids(*pairs)} == names
    assert host.delete(*pairs) == len(names)
    assert {name for name in kept.values() if host.ask(name) is None} == names
    [change, *_] = host.changes()
    assert (change["action"], change["id"], change["after"]) == ("delete", "", None)
    said: dict[str, Any] = {}
    for name, value in pairs:
        said.setdefault(name, []).append(value)
    ages = {name: int(*values) for name, values in said.items() if name.endswith("_seconds")}
    assert change["before"] == {**said, **ages, "entries": len(names)}


def test_one_is_deleted_by_its_id_and_the_audit_has_it(host: Host) -> None:
    id_, other = host.keep("one"), host.keep("other")
    shown = host.get(f"cache/entries/{id_}")
    answer = host.client.delete(f"/api/v1/cache/entries/{id_}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (host.ask("one"), host.ask("other")) == (None, other)
    rows = host.changes()
    assert (rows[0]["action"], rows[0]["id"], rows[0]["before"], rows[0]["after"]) == ("delete", id_, shown, None)
    assert (rows[0]["actor"], host.get("audit", ("id", id_))["items"]) == ("admin", [rows[0]])
    for method in ("GET", "DELETE"):
        problem(host.client.request(method, f"/api/v1/cache/entries/{id_}"), 404, "not_found")
    assert host.changes() == rows
    again = host.keep("one")
    problem(host.client.delete(f"/api/v1/cache/entries/{id_}"), 404, "not_found")
    assert host.ask("one") == again != id_


def test_what_expired_is_not_there(host: Host) -> None:
    id_ = host.keep("expired", age=120, ttl=60)
    problem(host.client.get(f"/api/v1/cache/entries/{id_}"), 404, "not_found")
    problem(host.client.delete(f"/api/v1/cache/entries/{id_}"), 404, "not_found")
    assert host.ids() == set()


def test_pages_have_all_and_end(host: Host) -> None:
    kept = {host.keep(f"page {number}", IDE if number % 2 else FREE) for number in range(25)}
    for limit in (1, 7, 12, 25, 1000):
        found: list[str] = []
        after: list[tuple[str, str]] = []
        while True:
            page = host.get("cache/entries", ("limit", str(limit)), *after)
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            assert len(page["items"]) == limit  # so few are found at once
            after = [("cursor", page["next"])]
        assert sorted(found) == sorted(kept)
    page = host.get("cache/entries", ("limit", "12"), ("key", "ide"))
    assert (len(page["items"]), page["next"]) == (12, None)


def test_everything_is_deleted_when_that_is_said(host: Host) -> None:
    keep_some(host)
    assert host.delete(("all", "true")) == 3
    assert host.delete(("all", "true")) == 0
    assert host.changes()[0]["before"] == {"entries": 0}


@pytest.mark.parametrize("query", ["", "all=false", "all=0", "tier=exact"])
def test_nothing_is_deleted_where_nothing_says_what(host: Host, query: str) -> None:
    id_, before = host.keep("stays"), host.changes()
    document = problem(host.client.delete(f"/api/v1/cache/entries?{query}"), 400, "bad_parameter")
    assert document["parameter"] == "all"
    assert "or all=true for every one, with tier for every one of that cache" in document["detail"]
    assert (" beside tier=exact says" in document["detail"]) == ("tier" in query)
    assert (host.ask("stays"), host.changes()) == (id_, before)


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("tier=both", 400, "tier"),
        ("tag:=1", 400, "tags"), ("tag:a b=1", 400, "tags"), ("tag=a", 400, "tag"), ("customer=acme", 400, "customer"),
        ("where=key=a", 400, "where"), ("key=a&key=b", 400, "key"), ("older_than_seconds=x", 400, "older_than_seconds"),
        ("older_than_seconds=-1", 400, "older_than_seconds"), ("older_than_seconds=1.0", 400, "older_than_seconds"),
        ("younger_than_seconds=315360001", 400, "younger_than_seconds"), (f"model={'m' * 600}", 400, "model"),
        (f"tag:a={'m' * 600}", 400, "tags"),
        ("older_than_seconds=60&younger_than_seconds=60", 409, "younger_than_seconds"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_names_its_parameter(host: Host, query: str, status: int, parameter: str) -> None:
    id_ = host.keep("stays")
    for method in ("GET", "DELETE"):
        answer = host.client.request(method, f"/api/v1/cache/entries?{query}")
        document = problem(answer, status, "conflict" if status == 409 else "bad_parameter")
        assert document["parameter"] == parameter
    assert host.ask("stays") == id_


def test_what_only_one_of_the_two_takes(host: Host) -> None:
    for query in ("all=true", "limit=0", "limit=1001"):
        document = problem(host.client.get(f"/api/v1/cache/entries?{query}"), 400, "bad_parameter")
        assert document["parameter"] == query.partition("=")[0]
    for cursor in ("x", "0", "-1", "8192", "9" * 30, "١"):
        answer = host.client.get("/api/v1/cache/entries", params={"cursor": cursor})
        assert problem(answer, 404, "bad_parameter")["parameter"] == "cursor"
    for query, status in (("all=maybe", 400), ("limit=5", 400), ("all=true&key=ide", 409)):
        answer = host.client.delete(f"/api/v1/cache/entries?{query}")
        assert answer.status_code == status
        assert answer.json()["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("id_", ["x", "0" * 32, f"{'0' * 32}-", f"{'A' * 32}-1", f"{'0' * 32}-{'1' * 20}", "0 0-1"])
def test_what_is_no_id(host: Host, id_: str) -> None:
    for method in ("GET", "DELETE"):
        document = problem(host.client.request(method, f"/api/v1/cache/entries/{id_}"), 400, "bad_parameter")
        assert document["parameter"] == "entry_id"


def test_nobody_without_the_token(host: Host) -> None:
    id_ = host.keep("stays")
    paths = ("cache/entries", "cache/entries?all=true", f"cache/entries/{id_}", "cache/statistics")
    for path in paths:
        for method in ("GET", "DELETE"):
            if (path, method) != ("cache/statistics", "DELETE"):
                answer = httpx.request(method, f"{host.client.base_url}/api/v1/{path}")
                problem(answer, 401, "unauthorized")
    assert host.ask("stays") == id_


# ---- statistics


def test_statistics_are_the_ledgers_by_key_and_the_stores(tmp_path: Path) -> None:
    host = Host(tmp_path)
    try:
        asked = (MEANING_NONE, MEANING_EXPLORE, MEANING_UNANSWERED, MEANING_NONE)
        for cache, meaning in zip((CACHE_NONE, CACHE_MISS, CACHE_MISS, CACHE_BYPASS), asked, strict=True):
            host.serve(Usage(input=1000, output=100), cache=cache, meaning=meaning)
        host.serve(Usage(input=10), key="free", cache=CACHE_MISS)
        host.serve(Usage(input=10), key="free")
        for cache in (CACHE_EXACT, CACHE_EXACT):
            host.hit(COST, cache)
        host.hit(COST, CACHE_EXACT, MEANING_MISS)  # who waited for who asked the same
        host.hit(COST, CACHE_SEMANTIC, MEANING_SERVE)
        host.settled()
        id_ = host.keep("one")
        found = host.get("cache/statistics")
        [store] = found["stores"]
        assert 100 < store.pop("bytes") < 1000
        assert store == {
            "tier": "exact", "entries": 1, "capacity_bytes": 4 << 20, "stored": 1, "evicted": 0, "refused": 0,
        }  # fmt: skip
        meant = {
            "requests": 4, "hits": 1, "misses": 1, "explored": 1, "audited": 0, "shadow_hits": 0, "unanswered": 1,
            "hit_rate": 0.25, "saved_usd": usd(COST),
        }  # fmt: skip
        ide = {
            "key": "ide", "requests": 7, "exact_hits": 3, "semantic_hits": 1, "misses": 2, "bypasses": 1,
            "hit_rate": 0.666667, "saved_usd": usd(4 * COST), "semantic": meant,
        }  # fmt: skip
        none = {**dict.fromkeys(meant, 0), "hit_rate": None, "saved_usd": usd(0)}
        free = {
            **dict.fromkeys(ide, 0), "key": "free", "requests": 1, "misses": 1, "hit_rate": 0, "saved_usd": usd(0),
            "semantic": none,
        }  # fmt: skip
        assert found["keys"] == [ide, free]
        total = {**ide, "requests": 8, "misses": 3, "hit_rate": 0.571429}
        del total["key"]
        assert (found["total"], found["truncated"]) == (total, False)
        first = host.get("cache/statistics", ("limit", "1"))
        assert (first["keys"], first["total"], first["truncated"]) == ([ide], total, True)
        some = host.get("cache/statistics", ("where", "key=free"))
        assert (some["keys"], some["total"]["requests"]) == ([free], 1)
        hits = host.get("cache/statistics", ("where", "cache=exact"))
        assert (hits["total"]["requests"], hits["total"]["hit_rate"]) == (3, 1)
        none = host.get("cache/statistics", ("since", "2099-01-01"))
        assert (none["keys"], none["total"]["requests"], none["total"]["hit_rate"]) == ([], 0, None)
        assert host.client.delete(f"/api/v1/cache/entries/{id_}").status_code == 204
        assert host.get("cache/statistics")["stores"][0]["entries"] == 0
        wrong = (("limit=0", "limit"), ("since=x", "since"), ("where=x=1", "where"), ("key=a", "key"))
        for query, parameter in wrong:
            answer = host.client.get(f"/api/v1/cache/statistics?{query}")
            assert problem(answer, 400, "bad_parameter")["parameter"] == parameter
    finally:
        host.close()


# ---- no store


def test_without_a_cache_there_are_no_entries(tmp_path: Path) -> None:
    host = ControlHost(tmp_path)
    try:
        assert host.get("cache/entries") == {"items": [], "next": None}
        assert host.get("cache/statistics")["stores"] == []
        id_ = f"{'0' * 32}-1"
        for method in ("GET", "DELETE"):
            problem(host.client.request(method, f"/api/v1/cache/entries/{id_}"), 404, "not_found")
        problem(host.client.get("/api/v1/cache/entries?cursor=1"), 404, "bad_parameter")
        answer = host.client.delete("/api/v1/cache/entries?all=true")
        assert answer.json() == {"deleted": 0}
    finally:
        host.close()


def test_a_store_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    host = Host(tmp_path)
    try:
        path = host.arena_dir / "cache-4.bin"
        path.unlink()
        asked = (("GET", "cache/entries"), ("GET", "cache/statistics"), ("DELETE", "cache/entries?all=true"))
        for method, each in asked:
            document = problem(host.client.request(method, f"/api/v1/{each}"), 503, "cache_unavailable")
            assert str(path) in document["detail"]
        path.write_bytes(b"no cache")
        problem(host.client.get(f"/api/v1/cache/entries/{'0' * 32}-1"), 503, "cache_unavailable")
        assert host.changes() == []
    finally:
        host.close()


def test_a_deletion_waits_for_workers_that_use_a_store_of_before(tmp_path: Path) -> None:
    """This process is one: until it says that it follows, what it has cannot be reached."""
    host = Host(tmp_path)
    try:
        host.owner.beat(time.time_ns(), 0, 1)
        host.config.write_text(CACHED.replace("max_mb: 4", "max_mb: 5"))
        assert host.client.post("/api/v1/config/reload").status_code == 200
        document = problem(host.client.delete("/api/v1/cache/entries?all=true"), 503, "busy")
        assert "has not taken up the cache's size yet" in document["detail"]
        assert host.ids() == set()
        host.owner.beat(time.time_ns(), 0, 2)
        assert host.delete(("all", "true")) == 0
    finally:
        host.close()


def test_the_api_describes_it(shared: Host) -> None:
    document = httpx.get(f"{shared.client.base_url}/api/v1/openapi.json").json()
    entries = document["paths"]["/api/v1/cache/entries"]
    asked = {
        "key", "team", "model", "upstream_model", "provider", "dialect", "older_than_seconds", "younger_than_seconds",
        "tags", "tier",
    }  # fmt: skip
    assert {each["name"] for each in entries["get"]["parameters"]} == {*asked, "cursor", "limit"}
    assert {each["name"] for each in entries["delete"]["parameters"]} == {*asked, "all"}
    schemas = document["components"]["schemas"]
    [entry] = [schemas[name] for name in schemas if name.endswith("CacheEntry")]
    assert {"id", "hits", "cost_usd", "saved_usd", "tags"} <= set(entry["required"])
    assert "cache" in str(document["paths"]["/api/v1/audit"]["get"]["parameters"])
