"""Customers, teams and keys created, changed and ended while the gateway runs: every worker follows at once."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from fastgate.state import audit
from tests.support import by_api
from tests.support.by_api import OK, UNKNOWN, created, status
from tests.support.house import House, key, wait_for

SOON_SECONDS = 0.1
"""Within which a change works on all workers."""
WORKERS = 2

delays: list[float] = []
"""Of all changes of this module, until the last answer by the state before."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "models": {"small": {"targets": [{"provider": "sim", "model": "sim-small"}]}},
        "customers": [{"id": "acme"}],
        "teams": [{"id": "of-file", "customer": "acme", "budgets": [{"limit_usd": "5", "window": "month"}]}],
        "keys": [key("of-file", team="of-file")],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=WORKERS) as house:
        yield house
    if delays:  # at least three quarters of them
        assert sorted(delays)[len(delays) * 3 // 4] < SOON_SECONDS, sorted(delays)


@pytest.fixture(scope="module")
def api(house: House) -> Iterator[httpx.Client]:
    with by_api.client(house) as client:
        yield client


def soon(house: House, secret: str, expected: by_api.Answer) -> None:
    """Every worker answers as expected, and goes on to; how long that took to be so is kept."""
    delays.append(by_api.soon(house, secret, expected))


def test_a_key_works_soon_after_its_creation_and_stops_soon_after_its_end(house: House, api: httpx.Client) -> None:
    made = created(api, "keys", id="life", team="of-file", tags={"product": "ide"})
    assert made["secret"].startswith("sk-fg-")
    assert len(made["secret"]) == 49
    soon(house, made["secret"], OK)
    shown = api.get("/keys/life").json()
    assert "secret" not in shown
    assert (shown["origin"], shown["team"], len(shown["secrets"])) == ("api", "of-file", 1)
    revoked = api.post("/keys/life/revoke")
    assert (revoked.status_code, revoked.json()["secrets"]) == (200, [])
    soon(house, made["secret"], UNKNOWN)
    again = api.post("/keys/life/rotate").json()["secret"]
    soon(house, again, OK)
    assert api.delete("/keys/life").status_code == 204
    soon(house, again, UNKNOWN)
    assert api.get("/keys/life").status_code == 404


def test_a_rotated_key_works_with_both_secrets_for_a_while(house: House, api: httpx.Client) -> None:
    first = created(api, "keys", id="turning")["secret"]
    second = api.post("/keys/turning/rotate", params={"overlap_seconds": 1})
    ends = time.monotonic() + 1
    assert [bool(row["expires_at"]) for row in second.json()["secrets"]] == [False, True]
    soon(house, second.json()["secret"], OK)
    assert status(house, first) == OK or time.monotonic() > ends
    wait_for(lambda: status(house, first) == UNKNOWN, 3, "the first secret ends")
    assert time.monotonic() >= ends - 0.05
    assert status(house, second.json()["secret"]) == OK


def test_a_change_of_a_budget_is_in_force_soon_and_keeps_what_was_spent(house: House, api: httpx.Client) -> None:
    created(api, "customers", id="shop", budgets=[{"limit_usd": "0.0005", "window": "lifetime"}])
    created(api, "teams", id="front", customer="shop")
    secret = created(api, "keys", id="till", team="front")["secret"]
    soon(house, secret, OK)
    wait_for(lambda: status(house, secret) == (402, "budget_exceeded"), 10, "it is spent")
    house.settled()
    spent = house.budget("customer:shop/lifetime/default")["spent_usd"]
    assert Decimal(spent) > 0
    change = {"budgets": [{"limit_usd": "1", "window": "lifetime"}]}
    assert api.patch("/customers/shop", json=change).status_code == 200
    soon(house, secret, OK)
    house.settled()
    budget = house.budget("customer:shop/lifetime/default")
    assert (budget["limit_usd"], Decimal(budget["spent_usd"]) > Decimal(spent)) == ("1.000000000", True)
    spend = api.get("/spend", params={"by": "customer,team", "where": "customer=shop"}).json()["groups"]
    assert [(group["customer"], group["team"]) for group in spend] == [("shop", "front")]


def test_what_a_key_may_use_changes_soon(house: House, api: httpx.Client) -> None:
    secret = created(api, "keys", id="narrow", models=["small"])["secret"]
    soon(house, secret, (403, "model_not_allowed"))
    assert api.patch("/keys/narrow", json={"models": None}).status_code == 200
    soon(house, secret, OK)
    assert api.patch("/keys/narrow", json={"expires": "2020-01-01T00:00:00Z"}).status_code == 200
    soon(house, secret, UNKNOWN)


def test_a_ceiling_that_no_snapshot_has_is_priced_before_the_key_works(house: House, api: httpx.Client) -> None:
    ceiling = {"ceiling": {"input_usd_per_million": "7", "output_usd_per_million": "11"}}
    secret = created(api, "keys", id="ceiling", unpriced=ceiling)["secret"]
    wait_for(lambda: status(house, secret, "sim/unheard-of")[0] == 404, 5, "the provider does not know it")
    house.settled()
    assert house.requests()[0]["hold_usd"] != "0.000000000"


def test_everything_is_there_after_a_restart(house: House, api: httpx.Client) -> None:
    secret = created(api, "keys", id="lasting", team="of-file")["secret"]
    soon(house, secret, OK)
    house.stop()
    house.start()
    soon(house, secret, OK)


def test_objects_survive_a_reload_and_follow_it(house: House, api: httpx.Client) -> None:
    secret = created(api, "keys", id="reloaded", team="of-file")["secret"]
    kept = house.settings
    without = {**kept, "teams": [], "keys": [key("of-file")]}
    house.write_config(without)
    answer = api.post("/config/reload")
    assert answer.status_code == 422
    assert "team:of-file" in answer.json()["detail"]
    house.write_config({**kept, "keys": [*kept["keys"], key("reloaded")]})
    answer = api.post("/config/reload")
    assert "the key reloaded was created by the API" in answer.json()["detail"]
    house.write_config({**kept, "output_cap": 99})
    assert api.post("/config/reload").status_code == 200
    soon(house, secret, OK)


BAD = [
    ("keys", {"id": "a", "team": "nobody"}, 409, "no team nobody"),
    ("keys", {"id": "a", "teem": "x"}, 422, "teem"),
    ("keys", {"id": "a/b"}, 422, "id"),
    ("keys", {"id": "a", "models": ["no-such-model"]}, 409, "matches no model"),
    ("keys", {"id": "a", "providers": [{"provider": "nobody"}]}, 409, "no provider nobody"),
    ("keys", {"id": "a", "budgets": [{"limit_usd": 5, "window": "day"}]}, 422, "limit_usd"),
    ("keys", {"id": "a", "secret": "short"}, 422, "8 to"),
    ("keys", {"id": "a", "secret": "${HOME}-and-more"}, 201, ""),
    ("keys", {"id": "a2", "secret": "${HOME}-and-more"}, 409, "another key"),
    ("keys", {"id": "of-file"}, 409, "already"),
    ("keys", {"id": "a3", "each": {"user": {"budgets": [{"limit_usd": "1", "window": "day"}]}}}, 409, "trusted"),
    ("keys", {"id": "a3", "limits": [{"requests": 5}]}, 422, "a limit on requests needs a window"),
    (
        "keys",
        {"id": "a3", "limits": [{"requests": 5, "tokens": 5, "window": "day"}]},
        422,
        "requests and tokens at once",
    ),
    ("keys", {"id": "a3", "limits": [{"requests": 10**18, "window": "day"}]}, 422, "at most 1000000000000000"),
    ("keys", {"id": "a3", "limits": [{"requests": 5.5, "window": "day"}]}, 422, "requests"),
    (
        "teams",
        {"id": "t", "budgets": [{"limit_usd": "1", "window": {"every": 24, "unit": "hour"}, "calendar": True}]},
        422,
        "a window of a calendar lasts at most 23 hours",
    ),
    ("teams", {"customer": "acme"}, 422, "id is missing"),
    ("teams", {"id": "t", "customer": "nobody"}, 409, "no customer nobody"),
    ("customers", {"id": "acme"}, 409, "already"),
]


@pytest.mark.parametrize(("collection", "document", "code", "words"), BAD)
def test_what_cannot_be_is_refused(
    api: httpx.Client, collection: str, document: dict[str, Any], code: int, words: str
) -> None:
    answer = api.post(f"/{collection}", json=document)
    assert answer.status_code == code, answer.text
    assert words in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"id": "x", "id": "y"}', b'{"id": "\xff"}', b'{"id": "\\ud800"}', b"[" * 10_000, b"NaN"],
)
def test_what_is_no_object_is_refused(api: httpx.Client, body: bytes) -> None:
    answer = api.post("/keys", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_tags_of_the_gateway_itself_are_no_keys_own(api: httpx.Client) -> None:
    answer = api.post("/keys", json={"id": "tagged", "tags": {"fastgate.dropped": "7"}})
    assert (answer.status_code, "the gateway's own" in answer.json()["detail"]) == (409, True)


def test_two_who_change_the_same_do_not_overwrite_each_other(api: httpx.Client) -> None:
    made = api.post("/teams", json={"id": "shared"})
    tag = made.headers["etag"]
    assert api.get("/teams/shared").headers["etag"] == tag
    first = api.patch("/teams/shared", json={"environment": "prod"}, headers={"if-match": tag})
    assert first.status_code == 200
    second = api.patch("/teams/shared", json={"environment": "test"}, headers={"if-match": tag})
    assert (second.status_code, second.json()["type"]) == (412, "urn:fastgate:problem:precondition_failed")
    assert api.get("/teams/shared").json()["environment"] == "prod"


def test_what_is_named_cannot_be_deleted_and_what_is_of_the_file_cannot_be_changed(api: httpx.Client) -> None:
    created(api, "teams", id="named")
    created(api, "keys", id="naming", team="named")
    answer = api.delete("/teams/named")
    assert (answer.status_code, answer.json()["referrers"]) == (409, ["key:naming"])
    assert api.delete("/keys/naming").status_code == 204
    assert api.delete("/teams/named").status_code == 204
    for answer in (api.patch("/teams/of-file", json={}), api.delete("/keys/of-file"), api.post("/keys/of-file/revoke")):
        assert (answer.status_code, "configuration file" in answer.json()["detail"]) == (409, True)


def test_lists_hold_both_sources_in_order_and_page_by_page(api: httpx.Client) -> None:
    for number in range(7):
        created(api, "teams", id=f"page-{number}", customer="acme")
    everything, cursor = [], None
    while True:
        parameters = {"limit": 3, "customer": "acme"} | ({"cursor": cursor} if cursor else {})
        page = api.get("/teams", params=parameters).json()
        everything += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [team["id"] for team in everything] == ["of-file", *(f"page-{number}" for number in range(7))]
    assert {team["origin"] for team in everything} == {"file", "api"}


def test_every_change_is_in_the_chain_and_no_secret_is(house: House, api: httpx.Client) -> None:
    secret = created(api, "keys", id="watched", secret="a-secret-of-its-own")["id"]
    api.patch("/keys/watched", json={"tags": {"a": "b"}})
    api.post("/keys/watched/rotate")
    api.delete("/keys/watched")
    rows = api.get("/audit", params={"collection": "keys", "id": secret}).json()["items"]
    assert [row["action"] for row in rows] == ["delete", "rotate", "update", "create"]
    assert (rows[2]["before"]["tags"], rows[2]["after"]["tags"]) == ({}, {"a": "b"})
    state = house.state_dir / "state.db"
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as db:
        assert list(audit.broken_links(db)) == []
        dump = "\n".join(db.iterdump())
    assert "a-secret-of-its-own" not in dump
    assert "sk-fg-" not in dump
    assert state.stat().st_mode & 0o777 == 0o600


def run(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastgate.cli.main", *arguments, "--state-dir", str(house.state_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=house.folder)


def test_the_command_line_does_the_same(house: House, api: httpx.Client) -> None:
    made = run(
        house, "keys", "create", "laptop", "--team", "of-file", "--model", "sim/*", "--budget", "2/day", "--tag", "a=b"
    )
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    soon(house, secret, OK)
    assert "laptop" in run(house, "keys", "list", "--team", "of-file").stdout
    shown = json.loads(run(house, "keys", "show", "laptop").stdout)
    assert (shown["models"], shown["tags"], shown["budgets"][0]["window"]) == (["sim/*"], {"a": "b"}, "day")
    assert secret not in json.dumps(shown)
    assert "key:laptop/day/default" in run(house, "budgets", "list", "--level", "key").stdout
    rotated = json.loads(run(house, "keys", "rotate", "laptop", "--overlap", "1h", "--json").stdout)
    soon(house, rotated["secret"], OK)
    soon(house, secret, OK)
    assert run(house, "keys", "revoke", "laptop").returncode == 0
    soon(house, rotated["secret"], UNKNOWN)
    soon(house, secret, UNKNOWN)
    for arguments, words in (
        (("keys", "show", "nobody"), "there is no key nobody"),
        (("keys", "create", "x", "--team", "nobody"), "no team nobody"),
        (("keys", "revoke", "of-file"), "configuration file"),
    ):
        failed = run(house, *arguments)
        assert (failed.returncode, words in failed.stderr) == (1, True), failed.stderr
    assert run(house, "keys", "create", "x", "--budget", "5").returncode == 2
