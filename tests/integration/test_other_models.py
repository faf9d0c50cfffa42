"""Models that a message lets its provider run beside its own: those of the key alone, each held for and charged."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from fastgate.simulator.process import Simulator
from tests.support.house import House, compact, key, secret
from tests.support.wire import Answer, exchange, head

CEILING = {"ceiling": {"input_usd_per_million": "50", "output_usd_per_million": "200"}}
DOWN = {"on_limit": "downgrade", "downgrade_to": [{"provider": "sim", "model": "sim-small"}]}


def budget(usd: str, **more: Any) -> list[dict[str, Any]]:
    return [{"limit_usd": usd, "window": "day", **more}]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    prices = folder / "prices.yaml"
    prices.write_text('unlisted: {input_usd_per_million: "50", output_usd_per_million: "200"}\n')
    models = {"large": {"targets": [{"provider": "sim", "model": "sim-large"}]}}
    keys = [
        key("small", models=["sim/sim-small"], budgets=budget("1")),
        key("alias", models=["sim/sim-small", "large"], budgets=budget("1")),
        key("any", budgets=budget("100")),
        key("few", budgets=budget("0.03")),
        key("few-streams", budgets=budget("0.03")),
        key("down", budgets=budget("0.04", **DOWN)),
        key("capped", unpriced=CEILING, budgets=budget("100")),
        key("clamped", budgets=budget("0.01", on_limit="clamp")),
        key("strict", budgets=budget("100", bound="strict")),
        key("users", budgets=budget("100"), trusted_identity=True, each={"user": {"budgets": budget("50")}}),
    ]
    with (
        Simulator(prices=prices) as simulator,
        House(folder, {"models": models, "keys": keys}, simulator=simulator) as house,
    ):
        yield house


def ask(
    house: House, name: str, *fallbacks: Any, served: str = "sim-large", model: str = "sim/sim-small", **more: Any
) -> Answer:
    """A message that its own model declines, and that ``served`` answers with 1,000 tokens."""
    script = more.pop("script", {})
    steps = [
        {"type": "message", "model": "sim-small", "input_tokens": 10, "output_tokens": 0},
        {"type": "fallback_message", "model": served, "input_tokens": 10, "output_tokens": 1000},
    ]
    usage = {"input_tokens": 10, "output_tokens": 1000, "iterations": steps}
    content = f"sim: {json.dumps({'tokens': 10, 'usage': usage, **script})}"
    body = compact(
        {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": content}],
         "fallbacks": list(fallbacks), **more}
    )  # fmt: skip
    headers = {"x-api-key": secret(name), "anthropic-version": "2023-06-01", "x-fastgate-user": "somebody"}
    return exchange(house.port, head("/v1/messages", headers, length=len(body)) + body)


def error(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("x-fastgate-error")


def row(house: House, answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    house.settled()
    shown: dict[str, Any] = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
    return shown


LARGE = {"model": "sim-large"}


@pytest.mark.parametrize(
    "more",
    [
        {"fallbacks": [LARGE]},
        {"fallbacks": [{"model": "sim-small"}, LARGE]},
        {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "sim-large"}]},
    ],
)
def test_a_key_s_requests_run_only_its_models(house: House, more: dict[str, Any]) -> None:
    answer = ask(house, "small", **more)
    assert error(answer) == (403, "model_not_allowed")
    assert "may not use the model 'sim/sim-large'" in answer.body.decode()


def test_what_default_stands_for_is_a_model_that_the_key_has_to_be_allowed(house: House) -> None:
    assert error(ask(house, "small", fallbacks="default")) == (403, "model_not_allowed")
    assert error(ask(house, "any", fallbacks="default")) == (400, "model_unpriced")


@pytest.mark.parametrize("name", ["alias", "any", "users"])
def test_each_model_is_held_for_and_charged_at_its_own_price(house: House, name: str) -> None:
    shown = row(house, ask(house, name, LARGE))
    assert (shown["cost_usd"], shown["overrun_usd"]) == ("0.010025000", "0.000000000")
    assert Decimal(shown["hold_usd"]) > Decimal("0.0106")  # 1,000 tokens of output of both, and their input
    assert Decimal(row(house, ask(house, name, served="sim-small"))["hold_usd"]) < Decimal("0.001")


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_is_kept_whatever_model_answers(house: House, stream: bool) -> None:
    name = "few-streams" if stream else "few"

    def once(_: int) -> int:
        return ask(house, name, LARGE, stream=stream, script={"latency_ms": 300}).status

    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(pool.map(once, range(14)))
    house.settled()
    shown = house.budget(f"key:{name}/day/default")
    assert Decimal(shown["spent_usd"]) <= Decimal("0.03")
    assert shown["overrun_usd"] == "0.000000000"
    assert statuses == {200: 2, 402: 12}


def test_an_attempt_of_its_own_cap_is_held_for_by_that(house: House) -> None:
    plain = Decimal(row(house, ask(house, "any", LARGE))["hold_usd"])
    higher = Decimal(row(house, ask(house, "any", {**LARGE, "max_tokens": 5000}))["hold_usd"])
    assert higher - plain > Decimal("0.0106") * 3


def test_a_clamp_lowers_the_caps_of_all_attempts(house: House) -> None:
    answer = ask(
        house, "clamped", {**LARGE, "max_tokens": 5000}, script={"usage": {"input_tokens": 1, "output_tokens": 1}}
    )
    assert 16 <= int(answer.headers["x-fastgate-output-cap"]) < 1000


def test_a_downgrade_is_held_for_with_the_other_models_too(house: House) -> None:
    """Of 0.04 USD, three attempts of sim-large cannot be paid; with sim-small in place of the first it is the cap's."""
    answer = ask(house, "down", LARGE, {**LARGE, "max_tokens": 2500}, model="sim/sim-large")
    assert error(answer) == (402, "budget_exceeded")
    shown = row(house, ask(house, "down", LARGE, {**LARGE, "max_tokens": 1500}, model="sim/sim-large"))
    assert (shown["route"], shown["overrun_usd"]) == ("downgrade", "0.000000000")


def test_a_model_that_nothing_prices_is_what_the_key_says(house: House) -> None:
    other = {"model": "unlisted"}
    answer = ask(house, "any", other)
    assert error(answer) == (400, "model_unpriced")
    assert "sim/unlisted" in answer.body.decode()
    shown = row(house, ask(house, "capped", other, served="unlisted"))
    assert (shown["cost_usd"], shown["overrun_usd"]) == ("0.200500000", "0.000000000")


def test_a_strict_budget_refuses_them(house: House) -> None:
    assert error(ask(house, "strict", LARGE)) == (400, "invalid_request")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["compaction", "advisor_message"])
def test_what_ran_before_a_free_refusal_is_on_the_bill_and_in_the_ledger(house: House, kind: str, stream: bool) -> None:
    step = {"type": kind, "model": "sim-large", "input_tokens": 3000, "output_tokens": 200}
    script = {
        "text": "",
        "finish": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber"},
        "usage": {"input_tokens": 500, "output_tokens": 1, "iterations": [step]},
    }
    before = Decimal(house.bill()["total"]["usd"])
    content = f"sim: {json.dumps(script)}"
    body = {"model": "sim/sim-small", "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
    sent = compact({**body, "stream": stream})
    headers = {"x-api-key": secret("any"), "anthropic-version": "2023-06-01"}
    shown = row(house, exchange(house.port, head("/v1/messages", headers, length=len(sent)) + sent))
    billed = Decimal(house.bill()["total"]["usd"]) - before
    assert billed == Decimal("0.00057" if kind == "compaction" else "0.0095")
    assert (Decimal(shown["cost_usd"]), shown["settlement"]) == (billed, "exact")
