"""Embeddings as they are paid for: held for by their input alone, settled by what was reported, within every limit."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fastgate.simulator.process import Simulator
from tests.support.house import House, compact, key, secret
from tests.support.wire import Answer, exchange, head, parallel

PATH = "/v1/embeddings"
MODEL = "sim/sim-embedding"
OWN_PRICE = '{"tiny": {"input_usd_per_million": "0.30", "output_usd_per_million": "0", "behaves": "embedding"}}'
LIMIT = Decimal("0.0001")
"""5,000 tokens of sim-embedding."""


def budget(usd: str, **more: Any) -> dict[str, Any]:
    return {"limit_usd": usd, "window": "lifetime", **more}


def settings(url: str) -> dict[str, Any]:
    upstream = {"base_url": url, "keys": [{"name": "k", "value": "upstream-key"}]}
    own = {"input_usd_per_million": "0.30", "output_usd_per_million": "0", "source": "contract"}
    return {
        "providers": {
            "sim": {"type": "sim", **upstream},
            "local": {
                "type": "openai-compatible", "base_url": f"{url}/v1", "keys": upstream["keys"], "prices": {"tiny": own},
            },
            "claude": {"type": "anthropic", **upstream},
        },
        "models": {"embed": {"targets": [{"provider": "local", "model": "tiny"}]}},
        "teams": [{"id": "team", "budgets": [budget("10")]}],
        "keys": [
            key("one", team="team", budgets=[budget("1")]),
            key("strict", budgets=[budget(str(LIMIT), bound="strict")]),
            key("learned", budgets=[budget(str(LIMIT))]),
            key("dear", budgets=[budget("0.000001", on_limit="downgrade", downgrade_to=[
                {"provider": "local", "model": "tiny"}])]),
            key("clamped", budgets=[budget("0.000001", on_limit="clamp")]),
            key("two-only", limits=[{"requests": 2, "window": "day"}]),
            key("few-tokens", limits=[{"tokens": 300, "window": "day"}]),
            key("no-output", limits=[{"output_tokens": 1, "window": "day"}]),
            key("keeps", cache={"exact": True}),
            key("flies", cache={"exact": True, "single_flight": True}),
            key("silent", budgets=[budget("1")]),
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    prices = folder / "prices.json"
    prices.write_text(OWN_PRICE)
    with (
        Simulator(prices=prices, tokenizer="byte") as simulator,
        House(folder, settings(simulator.url), workers=2, simulator=simulator) as house,
    ):
        yield house


def request(name: str, given: Any, **more: Any) -> tuple[str, dict[str, str], bytes]:
    """Of the key ``name``, for :func:`tests.support.wire.parallel`."""
    headers = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json"}
    return PATH, headers, compact({"model": MODEL, "input": given, **more})


def ask(
    house: House, name: str, given: Any, *, path: str = PATH, headers: dict[str, str] | None = None, **more: Any
) -> Answer:
    _, said, body = request(name, given, **more)
    return exchange(house.port, head(path, said | (headers or {}), length=len(body)) + body)


def row_of(house: House, answer: Answer) -> dict[str, Any]:
    """What the ledger has of a request."""
    house.settled()
    wanted = answer.headers["x-fastgate-request-id"]
    [row] = [each for each in house.requests() if each["id"] == wanted]
    return row


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.headers["x-fastgate-error"]) == (status, code), answer.body
    assert b'"error"' in answer.body


def test_a_request_is_a_row_with_its_cost_on_every_level(house: House) -> None:
    house.simulator.reset()
    levels = ("key:one/lifetime/default", "team:team/lifetime/default")
    before = {name: Decimal(house.budget(name)["spent_usd"]) for name in levels}
    answer = ask(house, "one", ["x" * 100, "y" * 23], user="somebody")
    assert answer.status == 200
    assert answer.headers["x-fastgate-cost-usd"] == "0.000002460"
    row = row_of(house, answer)
    expected = {
        "dialect": "openai-embeddings", "model": MODEL, "upstream_model": "sim-embedding", "provider": "sim",
        "settlement": "exact", "outcome": "ok", "status": 200, "stream": False, "user": "somebody",
        "input_tokens": 123, "output_tokens": 0, "cost_usd": "0.000002460",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert Decimal(row["hold_usd"]) >= Decimal(row["cost_usd"])
    assert Decimal(house.bill()["total"]["usd"]) == Decimal("0.00000246")
    for name, spent in before.items():
        found = house.budget(name)
        assert Decimal(found["spent_usd"]) - spent == Decimal("0.00000246")
        assert Decimal(found["held_usd"]) == 0


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/openai", "", "/v1/v1"])
def test_wherever_openais_api_is_they_are(house: House, prefix: str) -> None:
    assert ask(house, "one", "x", path=f"{prefix}/embeddings").status == 200


@pytest.mark.parametrize("name", ["strict", "learned"])
def test_a_budget_is_never_overspent_and_used_to_its_end(house: House, name: str) -> None:
    """All at once, then one after the other: what is left in the end is less than what one more could cost."""
    house.simulator.reset()
    answers = asyncio.run(parallel(house.port, [request(name, "x" * (100 + n % 100)) for n in range(60)]))
    while (last := ask(house, name, "x" * 100)).status == 200:
        answers.append(last)
    refused(last, 402, "budget_exceeded")
    passed = [answer for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers} == {200, 402}
    house.settled()
    spent = Decimal(house.bill()["total"]["usd"])
    found = house.budget(f"key:{name}/lifetime/default")
    assert spent == Decimal(found["spent_usd"]) == sum(Decimal(each.headers["x-fastgate-cost-usd"]) for each in passed)
    assert spent <= LIMIT
    dearest = (len(request(name, "x" * 100)[2]) + 64) * Decimal("0.00000002")
    assert LIMIT - spent < dearest
    assert (Decimal(found["held_usd"]), Decimal(found["overrun_usd"])) == (0, 0)
    rows = house.requests(key=name)
    assert all(Decimal(row["hold_usd"]) >= Decimal(row["cost_usd"]) for row in rows)
    assert {row["settlement"] for row in rows if row["status"] == 200} == {"exact"}


def test_a_providers_own_price_and_name(house: House) -> None:
    answer = ask(house, "one", [[1, 2, 3], [4]], model="embed")
    assert answer.status == 200
    assert b'"model":"tiny"' in answer.body
    assert answer.headers["x-fastgate-cost-usd"] == "0.000001200"
    assert answer.headers["x-fastgate-route"] == "models.embed"


@pytest.mark.parametrize("name", ["dear", "clamped"])
def test_no_other_model_answers_in_place_of_one_that_a_budget_has_no_room_for(house: House, name: str) -> None:
    """Its vectors would be of no use beside those of the one that was asked for, and there is no cap to be lowered."""
    house.simulator.reset()
    refused(ask(house, name, "x" * 500), 402, "budget_exceeded")
    assert house.bill()["total"]["requests"] == 0


def test_limits_count_requests_and_input(house: House) -> None:
    assert [ask(house, "two-only", "x").status for _ in range(3)] == [200, 200, 429]
    assert ask(house, "few-tokens", "x" * 100).status == 200
    house.settled()
    refused(ask(house, "few-tokens", "x" * 100), 429, "rate_limited")
    assert ask(house, "few-tokens", "x").status == 200
    assert [ask(house, "no-output", "x" * 100).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({}, "exact"),
        ({"user": "another"}, "exact"),
        ({"input": ["another"]}, "miss"),
        ({"input": ["words", "twice"]}, "miss"),
        ({"input": "words"}, "miss"),
        ({"dimensions": 17}, "miss"),
        ({"encoding_format": "base64"}, "miss"),
        ({"model": "embed"}, "miss"),
        ({"unheard_of": 1}, "miss"),
    ],
)
def test_the_exact_cache_gives_them_again_to_the_same_question(house: House, more: dict[str, Any], kept: str) -> None:
    first = ask(house, "keeps", ["words"])
    asked = {"input": ["words"], **more}
    given = asked.pop("input")
    second = ask(house, "keeps", given, **asked)
    assert second.headers["x-fastgate-cache"] == kept
    if kept == "exact":
        assert second.body == first.body
        assert (second.headers["x-fastgate-cost-usd"], second.headers["x-fastgate-attempts"]) == ("0.000000000", "0")
        assert row_of(house, second)["cache"] == "exact"
    assert ask(house, "one", ["words"]).headers["x-fastgate-cache"] == "bypass"


def script(**fields: Any) -> str:
    return f"sim: {compact(fields).decode()}"


def test_who_asks_for_what_is_being_asked_for_waits_for_that(house: House) -> None:
    house.simulator.reset()
    same = request("flies", script(latency_ms=400))
    answers = asyncio.run(parallel(house.port, [same] * 8))
    assert sorted(answer.headers["x-fastgate-cache"] for answer in answers) == ["exact"] * 7 + ["miss"]
    assert len({answer.body for answer in answers}) == 1
    assert house.bill()["total"]["requests"] == 1


@pytest.mark.parametrize(
    ("given", "status", "settlement"),
    [
        (script(usage=None), 200, "estimated"),
        (script(usage={"prompt_tokens": "many"}), 200, "estimated"),
        (script(usage={"total_tokens": 11}), 200, "exact"),
        (script(usage={"prompt_tokens": 12, "total_tokens": 12}, split=7), 200, "exact"),
        (script(fail="gzip"), 200, "exact"),
        (script(fail="slow"), 200, "exact"),
        (script(fail="500"), 500, "none"),
        (script(fail="429"), 429, "none"),
        (script(fail="cut"), 502, "unsettled"),
        (script(fail="garbage"), 502, "unsettled"),
        (script(fail="noheaders"), 502, "unsettled"),
    ],
)
def test_however_a_provider_answers_it_is_charged_as_its_mark_says(
    house: House, given: str, status: int, settlement: str
) -> None:
    house.simulator.reset()
    answer = ask(house, "silent", given)
    assert answer.status == status
    row = row_of(house, answer)
    billed = Decimal(house.bill()["total"]["usd"])
    assert row["settlement"] == settlement
    cost, hold = Decimal(row["cost_usd"]), Decimal(row["hold_usd"])
    assert billed <= cost <= hold
    if settlement in {"exact", "none"}:
        assert cost == billed
    else:
        assert cost == hold


def test_a_provider_that_reports_more_than_was_held_is_paid_in_full(house: House) -> None:
    answer = ask(house, "silent", script(usage={"prompt_tokens": 100_000, "total_tokens": 100_000}))
    row = row_of(house, answer)
    assert row["cost_usd"] == answer.headers["x-fastgate-cost-usd"] == "0.002000000"
    assert Decimal(house.budget("key:silent/lifetime/default")["overrun_usd"]) > 0


def test_what_is_refused_here_reaches_nobody(house: House) -> None:
    house.simulator.reset()
    refused(ask(house, "one", "x", stream=True), 400, "invalid_request")
    refused(ask(house, "one", {"text": "x"}), 400, "invalid_request")
    refused(ask(house, "one", "x", model="claude/claude-sonnet-4-5"), 400, "dialect_not_supported")
    refused(ask(house, "one", "x", model="sim/nobody-prices-this"), 400, "model_unpriced")
    refused(ask(house, "strict", "x", input_type="query"), 400, "invalid_request")
    assert house.bill()["total"]["requests"] == 0
    house.settled()
    rows = house.requests(error="invalid_request")
    assert {(row["outcome"], row["dialect"], row["cost_usd"]) for row in rows} == {
        ("rejected", "openai-embeddings", "0.000000000")
    }
