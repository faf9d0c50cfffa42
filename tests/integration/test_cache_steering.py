"""Answers that two workers keep, as operators see them and take them out, by the admin API and by command line."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from fastgate.cli.main import cli
from tests.integration.test_cache import MESSAGES, body_of, did, post
from tests.support.by_api import CHAT, client
from tests.support.house import House, key

WORKERS = 2
SETTINGS = {
    "cache": {"exact": {"enabled": True, "ttl_seconds": 600, "max_mb": 16}},
    "teams": [{"id": "blue", "cache": {"scope": "team"}}],
    "models": {"smart": {"targets": [{"provider": "sim", "model": "sim-small"}]}},
    "keys": [
        key("one", tags={"product": "ide"}),
        key("other"),
        key("blue-one", team="blue"),
        key("blue-other", team="blue"),
        key("counted"),
        key("off", cache={"exact": False}),
    ],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("cache"), SETTINGS, workers=WORKERS) as house:
        yield house


@pytest.fixture
def house(running: House) -> House:
    running.admin("cache/entries", "DELETE", all="true")
    return running


@pytest.fixture
def api(house: House) -> Iterator[httpx.Client]:
    with client(house) as api:
        yield api


def run(house: House, *arguments: str) -> Result:
    options = ["--admin-url", house.admin_url, "--admin-token", house.admin_token]
    return CliRunner().invoke(cli, ["cache", *arguments, *options], prog_name="fastgate")


def kept_by(house: House, name: str, text: str, path: str = CHAT, tags: str = "", **more: Any) -> str:
    """Pays for an answer; returns the id under which it is kept."""
    said = {"x-fastgate-tags": tags} if tags else {}
    answer = post(house, name, body_of(text, **more), path, **said)
    assert did(answer) == "miss"
    again = post(house, name, body_of(text, **more), path)
    assert did(again) == "exact"
    return again.headers["x-fastgate-cache-entry"]


def is_given(house: House, name: str, text: str, path: str = CHAT, **more: Any) -> bool:
    """Whether both workers have it, or neither: each request is on a connection of its own, and asks no provider."""
    asked = [post(house, name, body_of(text, **more), path, x_fastgate_cache="only") for _ in range(8 * WORKERS)]
    statuses = {answer.status for answer in asked}
    assert len(statuses) == 1
    assert statuses <= {200, 504}
    return statuses == {200}


def ids(house: House, **filters: str) -> set[str]:
    return {each["id"] for each in house.admin("cache/entries", **filters)["items"]}


def test_what_one_worker_kept_is_taken_from_both(house: House, api: httpx.Client) -> None:
    id_ = kept_by(house, "one", "taken", tags="feature=search,product=none")
    assert is_given(house, "one", "taken")
    shown = api.get(f"/cache/entries/{id_}").json()
    named = ("tier", "key", "team", "model", "upstream_model", "provider", "dialect", "kind")
    assert [shown[name] for name in named] == [
        "exact", "one", "", "sim/sim-small", "sim-small", "sim", "openai-chat", "whole",
    ]  # fmt: skip
    assert shown["tags"] == {"feature": "search", "product": "ide"}
    assert shown["hits"] == 1 + 8 * WORKERS
    assert Decimal(shown["saved_usd"]) == shown["hits"] * Decimal(shown["cost_usd"]) > 0
    assert api.delete(f"/cache/entries/{id_}").status_code == 204
    assert not is_given(house, "one", "taken")
    assert did(post(house, "one", body_of("taken"))) == "miss"
    assert is_given(house, "one", "taken")


def test_the_ledger_has_the_cost_that_an_entry_shows(house: House, api: httpx.Client) -> None:
    id_ = kept_by(house, "one", "cost", tags="case=cost")
    house.settled()
    [row] = house.requests(**{"tag:case": "cost"})
    shown = api.get(f"/cache/entries/{id_}").json()
    assert (shown["cost_usd"], shown["tags"]) == (row["cost_usd"], row["tags"])


def keep_some(house: House) -> dict[str, str]:
    return {
        kept_by(house, "one", "chat", tags="feature=search"): "chat",
        kept_by(house, "one", "chat", stream=True, model="smart", seed=1): "stream",
        kept_by(house, "one", "message", MESSAGES): "message",
        kept_by(house, "blue-one", "blue", tags="feature=chat"): "blue",
    }


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"key": "one"}, "chat stream message"),
        ({"key": "blue-other"}, ""),  # which gets it, too, but has not paid for it
        ({"team": "blue"}, "blue"),
        ({"model": "smart"}, "stream"),
        ({"upstream_model": "sim-small", "key": "one"}, "chat stream message"),
        ({"dialect": "anthropic"}, "message"),
        ({"provider": "sim", "team": ""}, "chat stream message"),
        ({"tag:feature": "search"}, "chat"),
        ({"tag:product": "ide"}, "chat stream message"),
        ({"older_than_seconds": "500"}, ""),
        ({"younger_than_seconds": "500"}, "chat stream message blue"),
    ],
    ids=str,
)
def test_what_matches_is_listed_and_deleted_and_the_rest_stays(
    house: House, filters: dict[str, str], names: str
) -> None:
    kept, matching = keep_some(house), set(names.split())
    assert {kept[each] for each in ids(house, **filters)} == matching
    assert house.admin("cache/entries", "DELETE", **filters) == {"deleted": len(matching)}
    given = {
        "chat": is_given(house, "one", "chat"),
        "stream": is_given(house, "one", "chat", stream=True, model="smart", seed=1),
        "message": is_given(house, "one", "message", MESSAGES),
        "blue": is_given(house, "blue-other", "blue"),
    }
    assert {name for name, is_there in given.items() if not is_there} == matching


def test_deletions_hold_while_requests_run(house: House) -> None:
    """Who asks without end pays anew after each deletion, and gets nothing that was deleted."""
    ended, failures, entries = threading.Event(), list[str](), set[str]()
    deleted: set[str] = set()

    def ask(number: int) -> None:
        while not ended.is_set():
            before = set(deleted)  # all that was answered before the request began
            answer = post(house, "other", body_of(f"running {number}"))
            entry = answer.headers.get("x-fastgate-cache-entry", "")
            if answer.status != 200 or entry in before:
                failures.append(f"{answer.status} {entry}")
            entries.add(entry)

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for each in askers:
        each.start()
    try:
        for turn in range(30):
            there = ids(house, key="other")
            if turn % 2:
                house.admin("cache/entries", "DELETE", key="other")
            else:
                with client(house) as api:
                    there = {id_ for id_ in there if api.delete(f"/cache/entries/{id_}").status_code == 204}
            deleted |= there
    finally:
        ended.set()
        for each in askers:
            each.join()
    assert not failures
    assert len(entries & deleted) > 10


def test_a_deletion_holds_after_the_store_got_another_size(tmp_path: Path) -> None:
    def sized(megabytes: int) -> dict[str, Any]:
        return {**SETTINGS, "cache": {"exact": {"enabled": True, "max_mb": megabytes}}}

    with House(tmp_path, sized(8), workers=WORKERS) as house:
        for turn in range(6):
            kept_by(house, "one", f"size {turn}")
            house.write_config(sized(9 if turn % 2 == 0 else 8))
            house.admin("config/reload", "POST")
            house.admin("cache/entries", "DELETE", all="true")  # at once: a worker may still have the store of before
            assert not is_given(house, "one", f"size {turn}")


def test_changes_are_in_the_audit(house: House, api: httpx.Client) -> None:
    id_ = kept_by(house, "one", "audit")
    kept_by(house, "blue-one", "audit")
    api.delete(f"/cache/entries/{id_}")
    api.delete("/cache/entries", params={"team": "blue"})
    everything, one = api.get("/audit", params={"collection": "cache", "limit": 2}).json()["items"]
    assert (everything["before"], everything["after"]) == ({"team": ["blue"], "entries": 1}, None)
    assert (one["action"], one["id"], one["before"]["key"], one["after"]) == ("delete", id_, "one", None)


# ---- the command line


def test_the_commands_from_a_list_to_nothing_left(house: House) -> None:
    kept = keep_some(house)
    listed = run(house, "list", "--json")
    assert listed.exit_code == 0, listed.output
    items = json.loads(listed.stdout)
    assert {item["id"] for item in items} == set(kept)
    table = run(house, "list", "--key", "one", "--tag", "feature=search", "--younger-than", "1h").stdout.splitlines()
    [chat] = [id_ for id_, name in kept.items() if name == "chat"]
    assert table[0].split()[:3] == ["id", "tier", "key"]
    assert [line.split()[0] for line in table[2:]] == [chat]
    two = run(house, "list", "--limit", "2", "--json")
    assert len(json.loads(two.stdout)) == 2
    assert "there are more than these 2" in two.stderr
    assert "there are more" not in run(house, "list", "--limit", "0").stderr
    shown = json.loads(run(house, "show", chat).stdout)
    assert shown == next(item for item in items if item["id"] == chat)
    assert run(house, "delete", chat).stderr == "1 deleted\n"
    assert json.loads(run(house, "delete", "--team", "blue", "--json").stdout) == {"deleted": 1}
    gone = run(house, "delete", next(id_ for id_, name in kept.items() if name == "stream"), chat)
    assert gone.exit_code == 1
    assert "404" in gone.stderr
    assert "1 of 2 were deleted before" in gone.stderr
    assert run(house, "show", chat).exit_code == 1
    assert run(house, "delete", "--all").stderr == "1 deleted\n"
    assert json.loads(run(house, "list", "--json").stdout) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--all", "--key", "one"), ("x-1", "--key", "one"), ("x-1", "--all"), ("--tag", "feature"),
        ("--older-than", "soon"), ("..",), ("",),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_clear_deletes_nothing(house: House, arguments: tuple[str, ...]) -> None:
    kept_by(house, "one", "stays")
    ran = run(house, "delete", *arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert is_given(house, "one", "stays")


def test_who_names_a_cache_alone_is_told_what_to_add(house: House) -> None:
    ran = run(house, "delete", "--tier", "exact")
    assert ran.exit_code == 2
    assert "or --all for every one of --tier exact" in ran.stderr
    assert "--all, which --tier narrows to one cache" in run(house, "delete").stderr
    kept_by(house, "one", "goes")
    assert run(house, "delete", "--tier", "semantic", "--all").stderr == "0 deleted\n"
    assert run(house, "delete", "--tier", "exact", "--all").stderr == "1 deleted\n"


def test_statistics_are_what_the_requests_were_told(house: House) -> None:
    said = []
    for text in ("a", "b", "a", "a", "b"):
        said.append(post(house, "counted", body_of(f"counted {text}")))
    said.append(post(house, "counted", body_of("counted a"), x_fastgate_cache="no-cache"))
    post(house, "off", body_of("counted"))
    house.settled()
    found = house.admin("cache/statistics", where="key=counted")
    [sums] = found["keys"]
    saved = sum(Decimal(answer.headers.get("x-fastgate-saved-usd", "0")) for answer in said)
    assert sums == {
        "key": "counted", "requests": 6, "exact_hits": 3, "semantic_hits": 0, "misses": 2, "bypasses": 1,
        "hit_rate": 0.6, "saved_usd": f"{saved:.9f}", "semantic": sums["semantic"],
    }  # fmt: skip
    assert (sums["semantic"]["requests"], sums["semantic"]["hit_rate"]) == (0, None)
    rows = {row["id"]: row for row in house.requests(key="counted")}
    for answer in said:
        row = rows[answer.headers["x-fastgate-request-id"]]
        age = answer.headers.get("x-fastgate-cache-age")
        assert row["cache_entry"] == answer.headers.get("x-fastgate-cache-entry", "")
        assert row["cache_age_seconds"] == (None if age is None else int(age))
        assert (row["semantic"], row["similarity"]) == ("", None)
    spent = house.admin("spend", where="key=counted")["total"]
    assert (spent["saved_usd"], spent["requests"]) == (sums["saved_usd"], 6)
    assert found["stores"][0]["entries"] == len(ids(house))
    ran = run(house, "statistics", "--where", "key=counted", "--since", "1d")
    assert ran.exit_code == 0, ran.output
    store, sums_of = ran.stdout.split("\n\n")
    assert store.splitlines()[0].split() == [
        "tier", "entries", "bytes", "capacity_bytes", "stored", "evicted", "refused",
    ]  # fmt: skip
    row, total = (line.split() for line in sums_of.splitlines() if line.startswith(("counted", "total")))
    assert row[1:] == total[1:] == ["6", "3", "0", "2", "1", "0.6", f"{saved:.9f}"]
    assert json.loads(run(house, "statistics", "--where", "key=counted", "--json").stdout) == found
    assert "off" not in run(house, "statistics").stdout
