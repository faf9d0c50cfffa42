"""Providers, models and prices created, changed and deleted while the gateway runs."""

import json
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support import by_api
from tests.support.by_api import OK, created, soon, status
from tests.support.house import House, key, wait_for

WORKERS = 2
FIRST, SECOND, SPARE = "upstream-secret-one", "upstream-secret-two", "upstream-secret-spare"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "models": {"small": {"targets": [{"provider": "sim", "model": "sim-small"}]}},
        "keys": [key("of-file", budgets=[{"limit_usd": "5", "window": "month"}])],
    }
    with House(tmp_path_factory.mktemp("house"), settings, workers=WORKERS) as house:
        yield house


@pytest.fixture(scope="module")
def api(house: House) -> Iterator[httpx.Client]:
    with by_api.client(house) as client:
        yield client


def provider(house: House, id_: str, *keys: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A document of a provider at the simulator; ``keys``: names and values."""
    named = [{"name": name, "value": value} for name, value in keys]
    return {"id": id_, "type": "sim", "base_url": house.simulator.url, "keys": named, **more}


def billed(house: House) -> set[str]:
    """The keys that the simulator was called with."""
    return {row["key"] for row in house.bill()["by_key"]}


def test_a_provider_and_a_model_serve_soon_and_their_keys_can_change(house: House, api: httpx.Client) -> None:
    made = created(api, "providers", **provider(house, "second", ("main", FIRST), ("spare", SPARE)))
    assert made["keys"][0] == {"name": "main", "weight": 1, "models": ["*"]}
    weights = [{"name": "main", "weight": 1}, {"name": "spare", "weight": 0}]
    assert api.patch("/providers/second", json={"keys": weights}).status_code == 200
    created(api, "models", id="fast", targets=[{"provider": "second", "model": "sim-small"}])
    secret = created(api, "keys", id="caller", models=["fast"])["secret"]
    soon(house, secret, OK, "fast")
    assert FIRST in billed(house)
    assert SPARE not in billed(house)
    changed = api.patch("/providers/second", json={"keys": [{"name": "main", "value": SECOND}]})
    assert (changed.status_code, [each["name"] for each in changed.json()["keys"]]) == (200, ["main"])
    wait_for(lambda: status(house, secret, "fast") == OK and SECOND in billed(house), 5, "the new key is used")
    assert {item["id"]: item["origin"] for item in api.get("/models").json()["items"]} == {
        "fast": "api",
        "small": "file",
    }
    named = [item["id"] for item in api.get("/models", params={"provider": "second"}).json()["items"]]
    assert named == ["fast"]


def test_what_is_named_stays_until_nothing_names_it(house: House, api: httpx.Client) -> None:
    created(api, "providers", **provider(house, "chain"))
    created(api, "models", id="linked", targets=[{"provider": "chain", "model": "sim-small"}])
    secret = created(api, "keys", id="linking", models=["linked"])["secret"]
    soon(house, secret, OK, "linked")
    for path, user in (("/providers/chain", "model:linked"), ("/models/linked", "key:linking")):
        answer = api.delete(path)
        assert (answer.status_code, answer.json()["referrers"]) == (409, [user])
    for path in ("/keys/linking", "/models/linked", "/providers/chain"):
        assert api.delete(path).status_code == 204
    assert soon(house, secret, by_api.UNKNOWN, "linked") < by_api.LATE_SECONDS
    assert api.get("/providers/chain").status_code == 404


def test_a_price_makes_a_model_usable_and_its_cost_exact(house: House, api: httpx.Client) -> None:
    budgets = [{"limit_usd": "5", "window": "month"}]
    secret = created(api, "keys", id="careful", budgets=budgets)["secret"]
    soon(house, secret, (400, "model_unpriced"), "sim/tiny/9")
    price = {"input_usd_per_million": "3", "output_usd_per_million": "5", "source": "contract 7"}
    made = created(api, "prices", provider="sim", model="tiny/9", **price)
    assert (made["id"], made["origin"], made["source"]) == ("sim/tiny/9", "api", "contract 7")
    wait_for(
        lambda: status(house, secret, "sim/tiny/9") == (404, None), 5, "the provider is asked, and does not know it"
    )
    assert api.patch("/prices/sim/tiny/9", json={"output_usd_per_million": "6"}).json()["version"] == 2
    assert api.get("/prices/sim/tiny/9").json()["output_usd_per_million"] == "6"
    override = {"input_usd_per_million": "1000", "output_usd_per_million": "2000"}
    created(api, "prices", provider="sim", model="sim-small", **override)
    house.settled()
    before = Decimal(house.requests()[0]["cost_usd"])
    soon(house, secret, OK, "sim/sim-small")
    house.settled()
    row = house.requests()[0]
    assert before < Decimal(row["cost_usd"])
    assert Decimal(row["cost_usd"]) == (row["input_tokens"] * 1000 + row["output_tokens"] * 2000) / Decimal(10**6)
    assert api.delete("/prices/sim/sim-small").status_code == 204
    assert api.delete("/prices/sim/tiny/9").status_code == 204
    soon(house, secret, (400, "model_unpriced"), "sim/tiny/9")


def test_everything_is_there_after_a_restart_and_follows_a_reload(house: House, api: httpx.Client) -> None:
    created(api, "providers", **provider(house, "lasting", ("main", FIRST)))
    created(api, "models", id="lasting-model", targets=[{"provider": "lasting", "model": "sim-small"}])
    secret = created(api, "keys", id="lasting", models=["lasting-model", "sim/*"])["secret"]
    soon(house, secret, OK, "lasting-model")
    house.stop()
    house.start()
    soon(house, secret, OK, "lasting-model")
    models = {**house.settings["models"], "lasting-model": house.settings["models"]["small"]}
    house.write_config({**house.settings, "models": models})
    answer = api.post("/config/reload")
    assert (answer.status_code, "model lasting-model was created by the API" in answer.json()["detail"]) == (422, True)
    house.write_config({**house.settings, "models": {"lasting/x": house.settings["models"]["small"]}})
    answer = api.post("/config/reload")
    assert (answer.status_code, "hides a model of provider lasting" in answer.json()["detail"]) == (422, True)
    house.write_config(house.settings)
    assert api.post("/config/reload").status_code == 200
    soon(house, secret, OK, "lasting-model")


BAD = [
    ("providers", {"id": "p", "type": "openai"}, 422, "needs at least one key"),
    ("providers", {"id": "p", "type": "openai", "keys": [{"name": "a"}]}, 422, "value is missing"),
    ("providers", {"id": "p", "type": "sim", "base_url": "ftp://x"}, 422, "http"),
    (
        "providers",
        {"id": "p", "type": "openai", "keys": [{"name": "a", "value": "***"}]},
        422,
        "is what stands for a credential",
    ),
    ("providers", {"id": "p", "type": "bedrock"}, 422, "not supported yet"),
    ("providers", {"id": "sim", "type": "sim", "base_url": "http://127.0.0.1:9"}, 409, "already"),
    ("providers", {"id": "p", "type": "sim", "base_url": "http://127.0.0.1:9", "kees": []}, 422, "kees"),
    ("models", {"id": "m", "targets": []}, 422, "targets"),
    *(
        ("models", {"id": id_, "targets": [{"provider": "sim", "model": "x"}]}, 422, "no address would lead to it")
        for id_ in ("/", "a//b", "..", "a/./b")
    ),
    ("models", {"id": "m", "targets": [{"provider": "nobody", "model": "x"}]}, 409, "no provider nobody"),
    ("models", {"id": "sim/m", "targets": [{"provider": "sim", "model": "x"}]}, 409, "hides a model of provider sim"),
    ("models", {"id": "small", "targets": [{"provider": "sim", "model": "x"}]}, 409, "already"),
    ("prices", {"provider": "sim", "model": "x"}, 422, "input_usd_per_million is missing"),
    (
        "prices",
        {"provider": "nobody", "model": "x", "input_usd_per_million": "1", "output_usd_per_million": "1"},
        409,
        "no provider nobody",
    ),
    (
        "prices",
        {"provider": "sim", "model": "x", "input_usd_per_million": "-1", "output_usd_per_million": "1"},
        422,
        "not a decimal amount",
    ),
]


@pytest.mark.parametrize(("collection", "document", "code", "words"), BAD)
def test_what_cannot_be_is_refused(
    api: httpx.Client, collection: str, document: dict[str, Any], code: int, words: str
) -> None:
    answer = api.post(f"/{collection}", json=document)
    assert answer.status_code == code, answer.text
    assert words in answer.text


def test_ids_do_not_change(house: House, api: httpx.Client) -> None:
    created(api, "providers", **provider(house, "fixed"))
    assert api.patch("/providers/fixed", json={"id": "other"}).status_code == 422
    price = {"input_usd_per_million": "1", "output_usd_per_million": "2"}
    created(api, "prices", provider="fixed", model="x", **price)
    assert api.patch("/prices/fixed/x", json={"model": "y"}).status_code == 422
    answer = api.patch("/providers/fixed", json={"prices": {"x": price}})
    assert (answer.status_code, "there is a price fixed/x" in answer.text) == (409, True)
    assert api.delete("/providers/fixed").status_code == 409


def test_secrets_are_sealed_and_bound_to_their_provider(house: House, api: httpx.Client) -> None:
    value = "a-secret-for-upstream"
    created(api, "providers", **provider(house, "sealed", ("main", value)))
    created(api, "providers", **provider(house, "swapped", ("main", "another-one")))
    key_file = house.state_dir / "state.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    said = [api.get(path).text for path in ("/providers", "/providers/sealed", "/audit", "/config", "/status")]
    with sqlite3.connect(f"file:{house.state_dir / 'state.db'}?mode=ro", uri=True) as db:
        dump = "\n".join(db.iterdump())
    files = [path.read_bytes() for path in house.state_dir.rglob("*") if path.is_file()]
    for secret in (value, FIRST, SECOND):
        assert not any(secret in text for text in (*said, dump))
        assert not any(secret.encode() in data for data in (*files, house.log.read_bytes()))
    changes = api.get("/audit", params={"collection": "providers", "id": "sealed"}).json()["items"]
    assert (changes[0]["action"], json.dumps(changes[0]["after"]["keys"])) == (
        "create", '[{"models": ["*"], "name": "main", "weight": 1}]',
    )  # fmt: skip


def test_the_wrong_key_is_told_and_changes_nothing(house: House, api: httpx.Client) -> None:
    created(api, "providers", **provider(house, "locked", ("main", FIRST)))
    key_file = house.state_dir / "state.key"
    right = key_file.read_text()
    try:
        for wrong, words in (
            ("0" * 64, "do not open with the key"),
            ("short", "64 hexadecimal digits"),
            (None, "is missing"),
        ):
            if wrong is None:
                key_file.unlink()
            else:
                key_file.write_text(wrong)
            answer = api.post("/config/reload")
            assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text
            assert api.patch("/providers/locked", json={"timeout_seconds": {"connect": 1}}).status_code == 503
    finally:
        key_file.write_text(right)
        key_file.chmod(0o600)
    assert api.post("/config/reload").status_code == 200
    assert api.patch("/providers/locked", json={"timeout_seconds": {"connect": 1}}).status_code == 200


def test_a_start_goes_on_without_what_does_not_fit(tmp_path: Path) -> None:
    with House(tmp_path, {"keys": [key("of-file")]}, workers=1) as house:
        sim = yaml.safe_load(house.config.read_text())["providers"]
        settings = {**house.settings, "providers": {**sim, "going": sim["sim"]}}
        house.write_config(settings)
        with by_api.client(house) as api:
            assert api.post("/config/reload").status_code == 200
            created(api, "models", id="left-behind", targets=[{"provider": "going", "model": "sim-small"}])
            created(api, "teams", id="both")
            mine = created(api, "keys", id="member", team="both")["secret"]
            soon(house, mine, OK)
            house.stop()
            house.write_config({**house.settings, "teams": [{"id": "both", "environment": "prod"}]})
            house.start()
            soon(house, mine, OK)
            assert status(house, mine, "left-behind")[1] == "model_not_found"
            told = api.get("/status").json()["config"]["out_of_force"]
            assert len(told) == 2
            assert ("the team both" in told[0], "no provider:going" in told[1]) == (True, True)
            assert "out of force: the team both" in house.log.read_text()
            assert api.post("/config/reload").status_code == 422
            for path in ("/teams/both", "/models/left-behind"):
                assert api.delete(path).status_code == 204
            assert api.get("/teams/both").json()["origin"] == "file"
            assert api.post("/config/reload").status_code == 200
            soon(house, mine, OK)
            assert api.get("/status").json()["config"]["out_of_force"] == []
