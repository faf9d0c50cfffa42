"""The semantic cache's embedder is this very gateway: its calls are paid for, end with a budget, and make no circle."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_semantic_cache import connected, counts, kept, post
from tests.support.house import House, key, secret, wait_for

EMBEDDINGS = "openai-embeddings"
SAID = "Paris is the capital of France."


def settings(port: int, limit_usd: str, held_by: str) -> dict[str, Any]:
    """The embedder's own key may use both caches: what it asks is no question all the same."""
    url = f"http://127.0.0.1:{port}/v1"
    embedder = {"type": "openai-compatible", "model": "embed", "base_url": url, "key": secret(held_by)}
    return {
        "models": {"embed": {"targets": [{"provider": "sim", "model": "sim-embedding"}]}},
        "cache": {"semantic": {"enabled": True, "embedder": embedder, "deadline_ms": 5_000, "max_error": 0.3}},
        "keys": [
            key("one"),
            key("embedder", models=["embed"], budgets=[{"limit_usd": limit_usd, "window": "lifetime"}],
                cache={"exact": True, "semantic": True}),
        ],
    }  # fmt: skip


def served(folder: Path, *, limit_usd: str = "1", held_by: str = "embedder", workers: int = 2) -> House:
    house = House(folder, {}, workers=workers)
    house.settings = settings(house.port, limit_usd, held_by)
    return house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with served(tmp_path) as house:
        connected(house, 2)
        yield house


def ask(house: House, text: str) -> str:
    """A question behind a script that makes one answer to whatever is asked; what the cache did."""
    turns = [f'sim: {{"text": "{SAID}"}}', text]
    answer = post(house, "one", text, messages=[{"role": "user", "content": each} for each in turns])
    return answer.headers["x-fastgate-cache"]


def calls(house: House, **filters: Any) -> list[dict[str, Any]]:
    """The rows of what the embedder asked for."""
    house.settled()
    return house.requests(dialect=EMBEDDINGS, **filters)


def test_questions_are_embedded_for_the_money_of_the_embedders_key(house: House) -> None:
    texts = [f"What is the capital of {country}?" for country in ("France", "Peru", "Chad", "Oman", "Mali")]
    for text in texts:
        assert ask(house, text) in {"miss", "semantic"}
    kept(house, texts[0])
    rows = calls(house)
    assert rows
    assert {(row["key"], row["model"], row["upstream_model"], row["status"]) for row in rows} == {
        ("embedder", "embed", "sim-embedding", 200)
    }
    paid = [row for row in rows if row["cache"] != "exact"]
    cost = sum(Decimal(row["cost_usd"]) for row in rows)
    assert {row["settlement"] for row in paid} == {"exact"}
    assert cost > 0
    [billed] = [group for group in house.bill()["by_model"] if group["model"] == "sim-embedding"]
    assert (Decimal(billed["usd"]), billed["requests"]) == (cost, len(paid))
    assert Decimal(house.budget("key:embedder/lifetime/default")["spent_usd"]) == cost


def test_a_question_is_one_question_whatever_the_embedders_key_may_do(house: House) -> None:
    """Were an embedding a question in its turn it would ask for an embedding, and so on."""
    for number in range(8):
        ask(house, f"Is {number} a prime number?")
    said = counts(house)
    assert said["find"] == 8
    rows = calls(house)
    # Each question once, and where two answers are compared each of them.
    assert len(rows) <= 8 + 2 * said.get("explore", 0)
    assert {row["cache"] for row in rows} <= {"miss", "exact"}


def test_a_question_that_means_the_same_is_answered_from_the_cache(house: House) -> None:
    """The whole way, by vectors that came through the gateway."""
    said = []
    for number in range(40):
        before = counts(house).get("kept", 0)
        said.append(ask(house, "Which city is the capital of France?"))
        if said[-1] == "semantic":
            break
        wait_for(lambda before=before: counts(house).get("kept", 0) > before, 10, f"answer {number} to be kept")
    assert said[-1] == "semantic", (said, counts(house))
    [row, *_] = wait_for(lambda: house.requests(cache="semantic"), 10, "the row of what was served")
    assert (row["key"], row["cost_usd"]) == ("one", "0.000000000")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_budget_that_is_spent_makes_misses_and_no_errors(tmp_path: Path, workers: int) -> None:
    with served(tmp_path, limit_usd="0.000005", workers=workers) as house:
        connected(house, workers)

        def spent() -> bool:
            return counts(house).get("embedder failed", 0) > 0

        asked = 0
        while not spent():
            asked += 1
            assert asked < 200, counts(house)
            assert ask(house, f"What is word {asked} of the list that nobody has seen so far?") in {"miss", "semantic"}
        for number in range(10):
            assert ask(house, f"What comes after {number} questions?") == "miss"
        refused = calls(house, error="budget_exceeded")
        assert {(row["key"], row["status"], row["cost_usd"]) for row in refused} == {("embedder", 402, "0.000000000")}
        assert Decimal(house.budget("key:embedder/lifetime/default")["spent_usd"]) <= Decimal("0.000005")
        assert not [row for row in house.requests(key="one") if row["status"] != 200]
        assert asked > 1, "there was money for some"


def test_a_key_that_the_gateway_does_not_know_makes_misses_and_no_errors(tmp_path: Path) -> None:
    with served(tmp_path, held_by="nobody", workers=1) as house:
        connected(house, 1)
        assert [ask(house, f"Who knows number {number}?") for number in range(3)] == ["miss"] * 3
        assert counts(house)["embedder failed"] > 0
        assert not calls(house)
        assert secret("nobody") not in house.log.read_text()
