"""The ledger against a bill that was kept by other code: per request, per key, per model, and against the counters."""

import asyncio
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastgate.simulator.process import Simulator
from tests.support.house import House, key
from tests.support.mixture import EMBEDDING, MODELS, Asked, mixture
from tests.support.wire import Answer, Line

REQUESTS = int(os.environ.get("FASTGATE_RECONCILE_REQUESTS", "2000"))
CONNECTIONS = 64
KEYS = 4
HALF_A_NANO = Decimal("0.0000000005")
LIMIT = Decimal(1_000_000)
_ID = re.compile(rb'"id":"(?:chatcmpl-|msg_)([0-9a-f]{16})"')
_ANSWER = re.compile(rb"req_([0-9a-f]{16})")
"""Of embeddings, which have no id in their bodies."""


class Served(NamedTuple):
    """What the client knows of a request."""

    key: str
    request_id: str
    answer_id: str
    cost: Decimal | None


def settings(url: str) -> dict[str, Any]:
    """Every virtual key has a provider entry of its own, so that the provider's bill by key is the ledger's by key."""
    budgets = [{"limit_usd": str(LIMIT), "window": "lifetime"}]
    return {
        "providers": {
            f"sim-{n}": {"type": "sim", "base_url": url, "keys": [{"name": "k", "value": f"provider-key-{n}"}]}
            for n in range(KEYS)
        },
        "customers": [{"id": "acme", "budgets": budgets}],
        "teams": [{"id": f"team-{n}", "customer": "acme", "budgets": budgets} for n in range(2)],
        "keys": [
            key(
                f"key-{n}",
                team=f"team-{n % 2}",
                budgets=budgets,
                providers=[{"provider": f"sim-{n}", "budgets": budgets}],
            )
            for n in range(KEYS)
        ],
    }


async def drive(port: int, asked: Iterator[Asked]) -> list[Served]:
    """All requests over so many connections, each kept busy."""
    served: list[Served] = []

    async def one() -> None:
        async with Line(port) as line:
            for request in asked:
                answer = await line.ask(request.path, request.headers, request.body)
                served.append(read(request, answer))

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return served


def read(request: Asked, answer: Answer) -> Served:
    assert answer.status == 200, (answer.status, answer.body, request.body)
    found = _ID.search(answer.body) or _ANSWER.fullmatch(answer.headers["x-request-id"].encode())
    assert found, answer.body
    cost = answer.headers.get("x-fastgate-cost-usd")
    assert (cost is None) == request.stream
    provider = answer.headers["x-fastgate-provider"]
    return Served(
        f"key-{provider[-1]}",
        answer.headers["x-fastgate-request-id"],
        found[1].decode(),
        None if cost is None else Decimal(cost),
    )


@pytest.mark.timeout(600)
def test_the_ledger_is_the_bill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [(f"key-{n}", f"sim-{n}") for n in range(KEYS)]
    with (
        Simulator(seed=11, tokens="4-40") as simulator,
        House(tmp_path, settings(simulator.url), workers=2, simulator=simulator) as house,
    ):
        served = asyncio.run(drive(house.port, mixture(3, keys, REQUESTS)))
        total = house.drained(REQUESTS)
        house.settled()
        rows = house.requests()
        bill, charges = simulator.bill(), list(simulator.charges())
        budgets = {item["id"]: item for item in house.admin("budgets")["items"]}
        holds = house.holds()

    assert len(served) == len(rows) == total["requests"] == bill["total"]["requests"] == REQUESTS
    assert total["estimated_requests"] == total["unsettled_requests"] == 0
    assert {row["settlement"] for row in rows} == {"exact"}
    assert Counter(row["key"] for row in rows) == Counter(one.key for one in served)

    billed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for charge in charges:
        billed[charge["id"]] += Decimal(charge["usd"])
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(billed) == REQUESTS
    for one in served:
        row = by_id[one.request_id]
        cost = Decimal(row["cost_usd"])
        assert abs(cost - billed[one.answer_id]) <= HALF_A_NANO, (row, billed[one.answer_id])
        assert one.cost in {None, cost}

    for_key = grouped(rows, "key", "cost_usd")
    for group in bill["by_key"]:
        number = group["key"].rpartition("-")[2]
        assert_equal(for_key[f"key-{number}"], Decimal(group["usd"]), group["requests"])
    for_model = grouped(rows, "upstream_model", "cost_usd")
    assert set(for_model) == {*MODELS, EMBEDDING}
    for group in bill["by_model"]:
        assert_equal(for_model[group["model"]], Decimal(group["usd"]), group["requests"])
    assert_equal(Decimal(total["cost_usd"]), Decimal(bill["total"]["usd"]), REQUESTS)

    assert holds == 0
    for_team = grouped(rows, "team", "cost_usd")
    spent = {id_: Decimal(item["spent_usd"]) for id_, item in budgets.items()}
    assert spent == {
        "customer:acme/lifetime/default": Decimal(total["cost_usd"]),
        **{f"team:{name}/lifetime/default": amount for name, amount in for_team.items()},
        **{f"key:{name}/lifetime/default": amount for name, amount in for_key.items()},
        **{f"provider:{name}/sim-{name[-1]}/lifetime/default": amount for name, amount in for_key.items()},
    }
    assert all(Decimal(item["held_usd"]) == 0 for item in budgets.values())
    with capsys.disabled():
        print(f"\nreconciled {REQUESTS} requests: ledger {total['cost_usd']}, bill {bill['total']['usd']}")


def grouped(rows: list[dict[str, Any]], name: str, amount: str) -> dict[str, Decimal]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row[name]] += Decimal(row[amount])
    return sums


def assert_equal(ledger: Decimal, bill: Decimal, requests: int) -> None:
    assert abs(ledger - bill) <= requests * HALF_A_NANO


def test_a_mixture_has_everything_in_it() -> None:
    """What the reconciliation is about must be in its requests."""
    bodies = b"\n".join(asked.body for asked in mixture(3, [("key-0", "sim-0")], 2000))
    parts = """
        cached_tokens cache_write_tokens audio_tokens ephemeral_1h flex priority fast inference_geo "thinking" "tools"
        reasoning_effort web_search_requests "n":3 "include_usage":false 200001 sim-embedding base64 [[
    """
    for part in parts.encode().split():
        assert part in bodies, part
    assert len(bodies) > 10**6
