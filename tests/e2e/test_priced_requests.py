"""Vectors of chat completions and messages through a whole gateway, whole and streamed: header, ledger and budget."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from fastgate.simulator.process import Simulator
from tests.support.house import House, compact, key, secret
from tests.support.vectors import NOON, Vector, label, vectors
from tests.support.wire import exchange, head

KINDS = {"chat": "openai", "messages": "anthropic"}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}


def reachable(vector: Vector) -> bool:
    """Of a provider type and an API that are served, at any time and at the usual address."""
    return KINDS.get(vector.api) == vector.type and vector.at == NOON and vector.host is None


VECTORS = [vector for vector in vectors("*") if reachable(vector)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    # What the simulator would bill for these models is of no account here: each row bears its own arithmetic.
    some = {"input_usd_per_million": "1", "output_usd_per_million": "1"}
    prices = folder / "prices.yaml"
    prices.write_text(yaml.safe_dump({vector.model: some for vector in VECTORS}))
    upstream = [{"name": "k", "value": "upstream-key"}]
    with Simulator(seed=7, prices=prices) as simulator:
        settings = {
            "providers": {
                "openai": {"type": "openai", "base_url": simulator.openai_url, "keys": upstream},
                "anthropic": {"type": "anthropic", "base_url": simulator.url, "keys": upstream},
            },
            "keys": [key("k", budgets=[{"limit_usd": "100000", "window": "lifetime"}])],
        }
        with House(folder, settings, simulator=simulator, workers=1) as house:
            yield house


def script(vector: Vector, *, stream: bool) -> dict[str, Any]:
    """What the simulator is to answer."""
    answer = vector.answer
    if answer.get("content"):  # blocks that the simulator has no words for
        return {"usage": {}, "body": sse(vector) if stream else json.dumps(message(vector))}
    played = {
        "usage": answer["usage"],
        "tier": answer.get("service_tier"),
        "finish": answer.get("stop_reason"),
        "stop_details": answer.get("stop_details"),
        "text": "" if answer.get("content") == [] else "x",
    }
    return {name: value for name, value in played.items() if value is not None}


def message(vector: Vector, **further: Any) -> dict[str, Any]:
    """A whole message of Anthropic's."""
    document = {"id": "msg_1", "type": "message", "role": "assistant", "model": vector.model, "stop_reason": "end_turn"}
    return {**document, **vector.answer, **further}


def sse(vector: Vector) -> str:
    """A message with blocks of its own as the events of a stream."""
    usage = vector.answer["usage"]
    reason = vector.answer.get("stop_reason", "end_turn")
    start = message(vector, content=[], stop_reason=None, usage={"input_tokens": 1, "output_tokens": 1})
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(vector.answer["content"]):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})
    events.append({"type": "message_stop"})
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def sent(house: House, vector: Vector, *, stream: bool) -> tuple[str, str | None]:
    """A request's id and the cost that its answer's header states."""
    text = f"sim: {json.dumps(script(vector, stream=stream))}"
    document = {
        "model": f"{vector.type}/{vector.model}",
        "max_tokens": 1000,
        "stream": stream,
        "messages": [{"role": "user", "content": text}],
        **vector.ask,
    }
    body = compact(document)
    headers = {"x-api-key": secret("k"), "anthropic-version": "2023-06-01", "content-type": "application/json"}
    answer = exchange(house.port, head(PATHS[vector.api], headers, length=len(body)) + body)
    assert answer.status == 200, answer.body
    return answer.headers["x-fastgate-request-id"], answer.headers.get("x-fastgate-cost-usd")


@pytest.fixture(scope="module")
def rows(house: House) -> dict[tuple[str, bool], tuple[str | None, dict[str, Any]]]:
    """Header and row of the ledger of every request, by case and whether it was streamed."""
    asked = {(label(v), stream): sent(house, v, stream=stream) for v in VECTORS for stream in (False, True)}
    house.drained(len(asked))
    found = {row["id"]: row for row in house.requests()}
    return {case: (header, found[id_]) for case, (id_, header) in asked.items()}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("vector", VECTORS, ids=label)
def test_cost(rows: dict[tuple[str, bool], tuple[str | None, dict[str, Any]]], vector: Vector, stream: bool) -> None:
    header, row = rows[label(vector), stream]

    assert Decimal(row["cost_usd"]) == vector.expected
    assert (row["settlement"], row["outcome"]) == ("exact", "ok")
    assert header == (None if stream else f"{vector.expected:.9f}")


def test_the_budget_has_spent_the_sum(house: House, rows: dict[tuple[str, bool], Any]) -> None:
    house.settled()
    [budget] = house.admin("budgets")["items"]
    assert Decimal(budget["spent_usd"]) == 2 * sum(vector.expected for vector in VECTORS)


def test_all_worked_examples_that_can_be_served_are_among_them() -> None:
    served = {vector.case.split()[0] for vector in VECTORS if vector in vectors("worked")}
    assert served == {str(number) for number in (*range(1, 12), *range(13, 18), 20, 21)}
