"""What becomes of a request that a budget has no room for: refused, answered shorter, or by a cheaper model."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from tests.support.house import House, key, secret, wait_for

DEAR, CHEAP = "sim/sim-large", "sim-small"
TO_CHEAP = {
    "on_limit": "downgrade",
    "downgrade_to": [{"provider": "other", "model": CHEAP}, {"provider": "sim", "model": CHEAP}],
}
TO_OTHER = {"on_limit": "downgrade", "downgrade_to": [{"provider": "other", "model": "sim-cached"}]}
QUESTION: Any = [{"role": "user", "content": "x" * 40}]


def budget(usd: str, **more: Any) -> list[dict[str, Any]]:
    return [{"limit_usd": usd, "window": "day", **more}]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("unused"), {"keys": []}, workers=1) as first:
        url = first.simulator.url
        provider = {"base_url": url, "keys": [{"name": "k", "value": "upstream-key"}]}
        settings = {
            "providers": {"sim": {"type": "sim", **provider}, "other": {"type": "anthropic", **provider}},
            "teams": [
                {"id": "team", "budgets": budget("0.02", **TO_OTHER)},
                {"id": "small", "budgets": budget("0.004", **TO_CHEAP)},
            ],
            "keys": [
                key("clamped", budgets=budget("0.002", on_limit="clamp")),
                key("thinks", budgets=budget("0.02", on_limit="clamp")),
                key("poor", budgets=budget("0.0001", on_limit="clamp")),
                key("cheaper", budgets=budget("0.003", **TO_CHEAP)),
                key("narrow", team="team", providers=[{"provider": "sim"}]),
                key("wide", team="team"),
                key("both", team="small", budgets=budget("0.02", on_limit="clamp")),
                key("waits", budgets=budget("0.0125")),
                key("clamps", budgets=budget("0.0105", on_limit="clamp")),
            ],
        }
        with House(tmp_path_factory.mktemp("house"), settings, workers=2, simulator=first.simulator) as house:
            yield house


def ask(house: House, name: str, cap: int, *, stream: bool = False) -> Any:
    """The raw answer of OpenAI's SDK."""
    with openai.OpenAI(base_url=house.openai_url, api_key=secret(name), max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(
            model=DEAR, messages=QUESTION, max_completion_tokens=cap, stream=stream
        )


@pytest.mark.parametrize("stream", [False, True])
def test_a_cap_is_lowered_to_what_there_is_room_for(house: House, stream: bool) -> None:
    raw = ask(house, "clamped", 4000, stream=stream)
    cap = int(raw.headers["x-fastgate-output-cap"])
    assert 16 <= cap < 200
    house.settled()
    assert house.requests(key="clamped")[0]["output_tokens"] == 16


def test_a_cap_that_fits_is_left_alone(house: House) -> None:
    assert "x-fastgate-output-cap" not in ask(house, "clamped", 20).headers


def test_less_than_sixteen_tokens_are_refused(house: House) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(house, "poor", 4000)
    assert caught.value.status_code == 402
    assert caught.value.response.headers["x-fastgate-error"] == "budget_exceeded"


def test_a_thinking_budget_is_never_clamped(house: House) -> None:
    """Of 0.02 USD about 1,900 tokens of sim-large can be paid."""
    with anthropic.Anthropic(base_url=house.url, api_key=secret("thinks"), max_retries=0) as client:

        def think(tokens: int) -> Any:
            return client.messages.with_raw_response.create(
                model=DEAR,
                max_tokens=8000,
                messages=QUESTION,
                thinking={"type": "enabled", "budget_tokens": tokens},
            )

        with pytest.raises(anthropic.APIStatusError) as caught:
            think(4000)
        assert caught.value.status_code == 402
        assert int(think(1024).headers["x-fastgate-output-cap"]) > 1024


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_target_that_speaks_the_dialect_and_fits_is_taken(house: House, stream: bool) -> None:
    raw = ask(house, "cheaper", 2000, stream=stream)
    assert [raw.headers[f"x-fastgate-{name}"] for name in ("route", "provider", "model")] == ["downgrade", "sim", CHEAP]
    house.settled()
    row = house.requests(key="cheaper")[0]
    assert (row["model"], row["upstream_model"], row["route"]) == (DEAR, CHEAP, "downgrade")
    charges = list(house.simulator.charges())
    assert charges[-1]["model"] == CHEAP


def test_where_no_target_fits_either_the_first_refusal_counts(house: House) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(house, "cheaper", 100_000)
    assert caught.value.status_code == 402
    assert "key:cheaper/day/default" in caught.value.message


def test_a_team_s_target_has_to_be_allowed_for_the_key(house: House) -> None:
    for name, found in (("wide", "other"), ("narrow", None)):
        with anthropic.Anthropic(base_url=house.url, api_key=secret(name), max_retries=0) as client:
            if found is None:
                with pytest.raises(anthropic.APIStatusError) as caught:
                    client.messages.create(model=DEAR, max_tokens=3000, messages=QUESTION)
                assert caught.value.status_code == 402
            else:
                raw = client.messages.with_raw_response.create(model=DEAR, max_tokens=3000, messages=QUESTION)
                assert (raw.headers["x-fastgate-provider"], raw.headers["x-fastgate-route"]) == (found, "downgrade")


def test_a_lowered_cap_is_not_told_of_the_way_that_is_taken_instead(house: House) -> None:
    """The key lowers the cap, for which its team has no room either, and goes elsewhere, where the cap is its own."""
    raw = ask(house, "both", 4000)
    assert [raw.headers[f"x-fastgate-{name}"] for name in ("route", "model")] == ["downgrade", CHEAP]
    assert "x-fastgate-output-cap" not in raw.headers


@pytest.mark.parametrize("name", ["waits", "clamps"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_that_others_only_hold_has_room_again(house: House, name: str, stream: bool) -> None:
    """Retrying helps when they have ended, and the refusal says so."""
    slow: Any = [{"role": "user", "content": 'sim: {"latency_ms": 3000, "tokens": 10}'}]
    with openai.OpenAI(base_url=house.openai_url, api_key=secret(name), max_retries=0) as client:

        def create(messages: Any, stream: bool) -> Any:
            return client.chat.completions.with_raw_response.create(
                model=DEAR, messages=messages, max_completion_tokens=1000, stream=stream
            )

        with ThreadPoolExecutor(1) as other:
            first = other.submit(create, slow, False)
            wait_for(lambda: house.holds() == 1, 10, "the budget is held")
            with pytest.raises(openai.APIStatusError) as caught:
                create(QUESTION, stream)
            assert not first.done()
            assert first.result().status_code == 200
        assert caught.value.status_code == 402
        headers = caught.value.response.headers
        assert headers["x-fastgate-error"] == "budget_exceeded"
        assert headers.keys().isdisjoint({"retry-after", "x-should-retry"})
        assert "open requests hold the rest" in caught.value.message
        assert "Retrying may help." in caught.value.message
        house.settled()
        assert create(QUESTION, stream).status_code == 200
        house.settled()
