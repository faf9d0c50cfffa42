"""What operators see and delete of the semantic cache, and how right it is: API and commands, on a real process."""

import json
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from fastgate.cli.main import cli
from tests.integration.test_admin_api import problem
from tests.integration.test_semantic_cache import child, connected, counts, post, settings
from tests.integration.test_semantic_serving import CAPITAL, ask
from tests.support.by_api import CHAT, client
from tests.support.control_host import CONFIG, ControlHost
from tests.support.house import House, wait_for
from tests.support.wire import Answer

ABSENT = f"{2**62:016x}"
WORKERS = 2


def both(**semantic: Any) -> dict[str, Any]:
    found = settings(**semantic)
    found["cache"]["exact"] = {"max_mb": 4}
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("entries"), both(max_error=0.3, show_texts=True), workers=WORKERS) as house:
        connected(house, WORKERS)
        yield house


@pytest.fixture
def house(running: House) -> House:
    running.admin("cache/entries", "DELETE", all="true")
    return running


@pytest.fixture
def api(house: House) -> Iterator[httpx.Client]:
    with client(house) as api:
        yield api


def items(house: House, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = house.admin("cache/entries", **filters)
    while True:
        found += page["items"]
        if page["next"] is None:
            return found
        page = house.admin("cache/entries", cursor=page["next"], **filters)


def ids(house: House, **filters: str) -> set[str]:
    found = [item["id"] for item in items(house, tier="semantic", **filters)]
    assert len(set(found)) == len(found)
    return set(found)


def keep(house: House, name: str, text: str, tags: str = "", **more: Any) -> str:
    """Pays for an answer; returns the id of its entry once it is there: it is kept after its client has it."""
    before = ids(house)
    headers = {"x-fastgate-tags": tags} if tags else {}
    assert post(house, name, text, headers=headers, **more).status == 200
    [id_] = wait_for(lambda: ids(house) - before, 10, f"the entry of {text}")
    return str(id_)


def keep_some(house: House) -> dict[str, str]:
    return {
        keep(house, "one", "What is the boiling point of tin?", "feature=search,job=1"): "tin",
        keep(house, "one", "Who wrote the Iliad?", "feature=chat"): "iliad",
        keep(house, "blue-one", "How deep is Lake Baikal?", "feature=search"): "baikal",
        keep(house, "other", "Where do eels spawn?", stream=True): "eels",
    }


def run(house: House, *arguments: str) -> Result:
    options = ["--admin-url", house.admin_url, "--admin-token", house.admin_token]
    return CliRunner().invoke(cli, ["cache", *arguments, *options], prog_name="fastgate")


def served(house: House) -> Answer:
    """An answer to a question that means what an earlier one meant; little traffic is enough, as much may be wrong."""
    for text in CAPITAL * 8:
        answer = asked(house, text)
        if answer.headers["x-fastgate-cache"] == "semantic":
            return answer
    raise AssertionError("nothing was served")


def asked(house: House, text: str) -> Answer:
    """A question, and what becomes of its answer."""
    before = counts(house).get("kept", 0)
    answer = ask(house, text, CHAT)
    if answer.headers["x-fastgate-cache"] == "miss":
        wait_for(lambda: counts(house).get("kept", 0) > before, 10, "the answer to be kept")
    return answer


FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({}, {"tin", "iliad", "baikal", "eels"}),
    ({"key": "one"}, {"tin", "iliad"}),
    ({"key": "on"}, set()),
    ({"team": "blue"}, {"baikal"}),
    ({"team": ""}, {"tin", "iliad", "eels"}),
    ({"model": "sim/sim-small"}, {"tin", "iliad", "baikal", "eels"}),
    ({"upstream_model": "sim-small", "provider": "sim", "dialect": "openai-chat", "key": "other"}, {"eels"}),
    ({"dialect": "anthropic"}, set()),
    ({"tag:feature": "search"}, {"tin", "baikal"}),
    ({"tag:feature": "search", "tag:job": "1"}, {"tin"}),
    ({"tag:feature": "search", "key": "other"}, set()),
    ({"older_than_seconds": "3600"}, set()),
    ({"younger_than_seconds": "3600", "team": "blue"}, {"baikal"}),
]


def test_what_is_listed_is_what_is_deleted(house: House) -> None:
    for filters, names in FILTERS:
        kept = keep_some(house)
        assert {kept[id_] for id_ in ids(house, **filters)} == names, filters
        wanted = filters or {"all": "true"}
        assert house.admin("cache/entries", "DELETE", tier="semantic", **wanted) == {"deleted": len(names)}
        assert {kept[id_] for id_ in ids(house)} == set(kept.values()) - names
        [change] = house.admin("audit", collection="cache", limit=1)["items"]
        said = {name: int(value) if name.endswith("_seconds") else [value] for name, value in filters.items()}
        assert change["before"] == {**said, "tier": "semantic", "entries": len(names)}
        house.admin("cache/entries", "DELETE", all="true")


def test_an_entry_says_what_it_is_of_and_only_who_asks_gets_its_texts(house: House, api: httpx.Client) -> None:
    text = "What is the boiling point of lead?"
    id_ = keep(house, "one", text, "feature=search")
    shown = api.get(f"/cache/entries/{id_}").json()
    moments = [shown.pop(name) for name in ("created_at", "expires_at")]
    assert moments[0] < moments[1]
    assert int(shown.pop("bytes")) > len(text)
    cost = shown.pop("cost_usd")
    assert Decimal(cost) > 0
    tenant = shown["semantic"].pop("tenant")
    assert len(tenant) == 32
    assert shown == {
        "id": id_, "tier": "semantic", "key": "one", "team": "", "model": "sim/sim-small",
        "upstream_model": "sim-small", "provider": "sim", "dialect": "openai-chat", "tags": {"feature": "search"},
        "kind": "whole", "last_used_at": None, "hits": 0, "saved_usd": "0.000000000",
        "semantic": {"compared": 0, "same": 0, "comparisons": [], "question": None, "answer": None},
    }  # fmt: skip
    [listed] = items(house, tier="semantic")
    assert (listed["cost_usd"], listed["semantic"]["comparisons"]) == (cost, None)
    assert text not in api.get("/cache/entries").text
    texts = api.get(f"/cache/entries/{id_}", params={"texts": "true"}).json()["semantic"]
    assert texts["question"] == text
    assert texts["answer"]
    [change] = api.get("/audit", params={"collection": "cache", "limit": 1}).json()["items"]
    assert (change["action"], change["id"], change["actor"], change["after"]) == ("read", id_, "admin", None)
    assert text not in api.get("/audit").text
    assert run(house, "show", id_).stdout.count(text) == 0
    assert json.loads(run(house, "show", id_, "--texts").stdout)["semantic"]["question"] == text


def test_one_is_deleted_by_its_id_and_the_audit_has_it(house: House, api: httpx.Client) -> None:
    id_ = keep(house, "one", "What is the boiling point of zinc?")
    shown = api.get(f"/cache/entries/{id_}").json()
    shown["semantic"]["comparisons"] = None
    assert api.delete(f"/cache/entries/{id_}").status_code == 204
    assert ids(house) == set()
    [change] = api.get("/audit", params={"collection": "cache", "limit": 1}).json()["items"]
    assert (change["action"], change["id"], change["before"], change["after"]) == ("delete", id_, shown, None)
    for method in ("GET", "DELETE"):
        for each in (id_, ABSENT):
            problem(api.request(method, f"/cache/entries/{each}"), 404, "not_found")


def test_a_question_that_was_deleted_is_in_no_file(house: House, api: httpx.Client) -> None:
    text = "What is the boiling point of gallium, my number is 078-05-1120?"
    id_ = keep(house, "one", text)
    kept = house.state_dir / "semantic"
    assert any(text.encode() in path.read_bytes() for path in kept.iterdir())
    assert api.delete(f"/cache/entries/{id_}").status_code == 204
    assert [path for path in kept.iterdir() if b"078-05-1120" in path.read_bytes()] == []


def test_both_caches_are_one_list_where_no_tier_is_said(house: House, api: httpx.Client) -> None:
    for number in range(3):
        keep(house, "both", f"What is {number} to the power of {number}?")
    tiers = [item["tier"] for item in items(house, limit="2")]
    assert tiers == ["exact"] * 3 + ["semantic"] * 3
    assert len(items(house, tier="exact")) == len(items(house, tier="semantic", limit="1")) == 3
    answer = api.delete("/cache/entries", params={"tier": "exact", "all": "true"})
    assert answer.json() == {"deleted": 3}
    assert [item["tier"] for item in items(house)] == ["semantic"] * 3
    keep(house, "both", "What is 9 to the power of 9?")
    assert house.admin("cache/entries", "DELETE", key="both") == {"deleted": 5}
    assert items(house) == []


def test_what_is_deleted_is_served_no_more(house: House) -> None:
    answer = served(house)
    id_ = answer.headers["x-fastgate-cache-entry"]
    shown = house.admin(f"cache/entries/{id_}")
    assert shown["hits"] > 0
    assert Decimal(shown["saved_usd"]) == shown["hits"] * Decimal(shown["cost_usd"])
    assert Decimal(answer.headers["x-fastgate-saved-usd"]) == Decimal(shown["cost_usd"])
    house.admin("cache/entries", "DELETE", key="one")
    assert asked(house, CAPITAL[0]).headers["x-fastgate-cache"] == "miss"


def test_a_hit_says_everywhere_what_was_given(house: House) -> None:
    answer = served(house)
    said = answer.headers
    house.settled()
    row = house.admin(f"requests/{said['x-fastgate-request-id']}")
    assert (row["cache"], row["semantic"]) == ("semantic", "serve")
    assert row["cache_entry"] == said["x-fastgate-cache-entry"]
    assert row["similarity"] == float(said["x-fastgate-similarity"])
    assert row["cache_age_seconds"] == int(said["x-fastgate-cache-age"])
    assert row["saved_usd"] == said["x-fastgate-saved-usd"]
    assert row["id"] in {each["id"] for each in house.requests(cache_entry=row["cache_entry"])}


def test_statistics_by_key_are_what_the_requests_were_told(house: House) -> None:
    served(house)
    post(house, "other", "Where do swifts sleep?")
    house.settled()
    found = house.admin("cache/statistics")
    keys = {each["key"]: each["semantic"] for each in found["keys"]}
    rows = house.requests(key="one")
    asked = [row for row in rows if row["semantic"]]
    hits = [row for row in rows if row["cache"] == "semantic"]
    assert keys["one"]["requests"] == len(asked)
    assert keys["one"]["hits"] == len(hits) > 0
    for name, decided in (("explored", "explore"), ("audited", "audit"), ("unanswered", "unanswered")):
        assert keys["one"][name] == sum(row["semantic"] == decided for row in asked)
    assert Decimal(keys["one"]["saved_usd"]) == sum(Decimal(row["saved_usd"]) for row in hits)
    assert keys["other"]["hits"] == 0
    assert found["total"]["semantic"]["requests"] == sum(each["requests"] for each in keys.values())
    printed = run(house, "statistics").stdout.split("the semantic cache was asked:\n")[1]
    [line] = [line.split() for line in printed.splitlines() if line.startswith("one ")]
    assert line[1:3] == [str(len(asked)), str(len(hits))]


def test_the_report_has_the_error_with_its_interval_in_all_and_by_scope(house: House) -> None:
    served(house)
    found = house.admin("cache/semantic")
    total = found["total"]
    assert (found["mode"], found["max_error"], found["switching_on"]) == ("serve", 0.3, None)
    parts = ("hits", "shadow_hits", "audited", "explored", "misses")
    assert total["questions"] == sum(total[name] for name in parts)
    scopes = {each["scope"]: each for each in found["scopes"]}
    assert {"key:one"} <= set(scopes) <= {"key:one", "key:other", "key:both", "team:blue"}
    for each in (total, *scopes.values()):
        for error in (each["error_per_hit"], each["error_per_request"]):
            assert 0 <= error["lower"] <= (error["estimate"] or error["lower"]) <= error["upper"] <= 1
        assert (each["error_per_hit"]["estimate"] is None) == (each["compared"] == 0)
    for name in ("questions", "hits", "compared", "wrong"):
        assert total[name] == sum(each[name] for each in scopes.values())
    assert len(house.admin("cache/semantic", limit="1")["scopes"]) == 1
    printed = run(house, "report")
    assert printed.exit_code == 0, printed.output
    assert "max_error is 30.00 %" in printed.stdout
    assert "key:one" in printed.stdout
    assert json.loads(run(house, "report", "--json").stdout)["total"]["questions"] == total["questions"]


def test_the_commands_tell_the_tiers_apart(house: House) -> None:
    id_ = keep(house, "both", "Who painted Guernica?")
    assert len(json.loads(run(house, "list", "--json").stdout)) == 2
    [one] = json.loads(run(house, "list", "--tier", "semantic", "--json").stdout)
    assert one["id"] == id_
    wrong = run(house, "delete", id_, "--tier", "semantic")
    assert (wrong.exit_code, ids(house)) == (2, {id_})
    assert run(house, "delete", "--tier", "semantic", "--all").stderr == "1 deleted\n"
    assert [item["tier"] for item in items(house)] == ["exact"]
    id_ = keep(house, "one", "Who painted The Scream?")
    assert run(house, "delete", id_).stderr == "1 deleted\n"
    assert ids(house) == set()


@pytest.mark.parametrize("cursor", ["sx", "s-1", f"s{2**63}", "s1.0", "s²", "x"])
def test_what_is_no_cursor(api: httpx.Client, cursor: str) -> None:
    for tier in ({}, {"tier": "semantic"}, {"tier": "exact"}):
        answer = api.get("/cache/entries", params={"cursor": cursor, **tier})
        assert problem(answer, 404, "bad_parameter")["parameter"] == "cursor"
    problem(api.get("/cache/entries", params={"cursor": "s1", "tier": "exact"}), 404, "bad_parameter")


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("cache/semantic?limit=0", 400, "limit"), ("cache/semantic?limit=1001", 400, "limit"),
        ("cache/semantic?key=one", 400, "key"), (f"cache/entries/{ABSENT}?texts=maybe", 400, "texts"),
        (f"cache/entries/{'0' * 32}-1?texts=true", 409, "texts"), ("cache/entries?tier=other", 400, "tier"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_names_its_parameter(api: httpx.Client, path: str, status: int, parameter: str) -> None:
    assert api.get(path).status_code == status
    assert api.get(path).json()["parameter"] == parameter


def test_texts_are_shown_to_nobody_where_that_is_not_configured(house: House, api: httpx.Client) -> None:
    id_ = keep(house, "one", "What is nobody's business?")
    house.write_config(both(max_error=0.3))
    try:
        assert house.admin("config/reload", "POST")["restart_needed"] == []
        refused = problem(api.get(f"/cache/entries/{id_}", params={"texts": "true"}), 403, "forbidden")
        assert "show_texts" in refused["detail"]
        assert api.get(f"/cache/entries/{id_}").json()["semantic"]["question"] is None
        assert run(house, "show", id_, "--texts").exit_code == 1
    finally:
        house.write_config(house.settings)
        house.admin("config/reload", "POST")


def test_a_process_that_hangs_is_said_and_nothing_else_is_deleted(house: House, api: httpx.Client) -> None:
    keep(house, "both", "Who sang Aida first?")
    assert house.process is not None
    hanging = (house.process.pid, child(house))  # the supervisor would end what hangs, and start it again
    for pid in hanging:
        os.kill(pid, signal.SIGSTOP)
    try:
        problem(api.get("/cache/semantic"), 503, "semantic_unavailable")
        problem(api.get("/cache/entries", params={"tier": "semantic"}), 503, "semantic_unavailable")
        assert len(api.get("/cache/entries", params={"tier": "exact"}).json()["items"]) == 1
        assert api.get("/cache/statistics").status_code == 200
        failed = run(house, "report")
        assert (failed.exit_code, "does not answer" in failed.stderr) == (1, True)
    finally:
        for pid in reversed(hanging):
            os.kill(pid, signal.SIGCONT)
    assert len(items(house)) == 2


def test_in_shadow_mode_the_report_says_what_switching_on_would_save(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with House(tmp_path_factory.mktemp("shadow"), settings(max_error=0.3, shadow=True), workers=1) as house:
        connected(house, 1)
        for text in CAPITAL * 4:
            assert asked(house, text).headers["x-fastgate-cache"] == "miss"
        house.settled()
        found = house.admin("cache/semantic")
        on = found["switching_on"]
        assert found["mode"] == "shadow"
        assert found["total"]["shadow_hits"] > 0
        assert found["total"]["questions"] == 4 * len(CAPITAL)
        assert on["hit_rate"] == round(found["total"]["shadow_hits"] / (4 * len(CAPITAL)), 6)
        rows = house.requests(semantic="shadow")
        assert len(rows) == found["total"]["shadow_hits"]
        assert Decimal(on["saved_usd"]) == sum(Decimal(row["cost_usd"]) for row in rows) > 0
        assert on["error_per_hit"]["estimate"] == 0
        assert 0 < on["error_per_hit"]["upper"] < 1
        assert on["standing"] in {"within", "unknown"}
        sums = house.admin("cache/statistics")["total"]["semantic"]
        assert (sums["hits"], sums["shadow_hits"], sums["saved_usd"]) == (0, len(rows), "0.000000000")
        printed = run(house, "report").stdout
        assert "switched on it would have answered" in printed


# ---- no process


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlHost]:
    host = ControlHost(tmp_path_factory.mktemp("off"))
    yield host
    host.close()


def test_where_there_is_no_such_cache_there_are_no_entries(off: ControlHost) -> None:
    assert off.get("cache/semantic")["mode"] == "off"
    assert off.get("cache/entries", ("tier", "semantic")) == {"items": [], "next": None}
    answer = off.client.delete("/api/v1/cache/entries?tier=semantic&all=true")
    assert answer.json() == {"deleted": 0}
    for method in ("GET", "DELETE"):
        problem(off.client.request(method, f"/api/v1/cache/entries/{ABSENT}"), 404, "not_found")
    problem(off.client.get(f"/api/v1/cache/entries/{ABSENT}?texts=true"), 403, "forbidden")


def test_nobody_without_the_token(off: ControlHost) -> None:
    for path in ("cache/semantic", f"cache/entries/{ABSENT}", "cache/entries?tier=semantic"):
        problem(httpx.get(f"{off.client.base_url}/api/v1/{path}"), 401, "unauthorized")


def test_a_process_that_is_gone_is_a_clear_error_and_no_fault(tmp_path: Path) -> None:
    embedder = "cache: {exact: {enabled: true, max_mb: 4}, semantic: {embedder: {type: onnx, model: nowhere}}}\n"
    host = ControlHost(tmp_path, CONFIG + embedder)
    try:
        asked = [
            ("GET", "cache/semantic"), ("GET", "cache/entries?tier=semantic"), ("GET", f"cache/entries/{ABSENT}"),
            ("DELETE", f"cache/entries/{ABSENT}"), ("DELETE", "cache/entries?all=true"),
            ("DELETE", "cache/entries?key=ide"),
        ]  # fmt: skip
        for method, path in asked:
            answer = host.client.request(method, f"/api/v1/{path}")
            document = problem(answer, 503, "semantic_unavailable")
            assert "does not answer" in document["detail"]
            assert answer.headers["retry-after"] == "1"
        assert host.get("cache/entries", ("tier", "exact")) == {"items": [], "next": None}
        assert host.get("cache/entries") == {"items": [], "next": "s0"}
        assert host.get("audit", ("collection", "cache"))["items"] == []
        assert "fastgate_semantic_up 0.0" in httpx.get(f"{host.client.base_url}/metrics").text
    finally:
        host.close()


def test_the_api_describes_it(off: ControlHost) -> None:
    document = httpx.get(f"{off.client.base_url}/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    [report] = [schemas[name] for name in schemas if name.endswith("SemanticReport")]
    assert {"mode", "total", "switching_on", "scopes"} <= set(report["required"])
    [error] = [schemas[name] for name in schemas if name.endswith("ErrorRange")]
    assert set(error["required"]) == {"estimate", "lower", "upper"}
    named = {each["name"] for each in document["paths"]["/api/v1/cache/entries/{entry_id}"]["get"]["parameters"]}
    assert named == {"entry_id", "texts"}
