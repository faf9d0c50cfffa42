"""One request through the whole gateway, without its two sockets, against the least that plain Python could do.

The reference decodes the request, finds the key, checks and charges four budgets, decodes the answer, prices it and
keeps a row: no allow-lists, windows, bounds or recovery, and nothing that another process could see.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from benchmarks.served import ANSWER, CACHED, KEY, LIMITED, SHARED, SPENT, Pool, Protocol, Scope, Served, prompt
from benchmarks.steps import BUDGET, Steps
from benchmarks.turns import Compare

BATCH: Final = 100
COST: Final = "0.000044700"


class PlainGateway:
    """The reference."""

    def __init__(self) -> None:
        self.keys = {hashlib.sha256(KEY.encode()).hexdigest(): "k"}
        self.spent = dict.fromkeys(("provider", "key", "team", "customer"), Decimal(0))
        self.rows: list[str] = []

    async def serve(self, scope: Scope, protocol: Protocol) -> None:
        asked = json.loads(await protocol())
        key = self.keys[hashlib.sha256(scope.headers["authorization"][7:].encode()).hexdigest()]
        if any(spent > 1_000_000 for spent in self.spent.values()):
            raise AssertionError
        asked["model"] = asked["model"].partition("/")[2]
        exchange = await Pool().request(b"", json.dumps(asked).encode())
        body = await exchange.read(1 << 20)
        usage = json.loads(body)["usage"]
        cost = (usage["prompt_tokens"] * Decimal("0.15") + usage["completion_tokens"] * Decimal("0.60")) / 1_000_000
        for level in self.spent:
            self.spent[level] += cost
        self.rows.append(
            json.dumps({"id": os.urandom(16).hex(), "key": key, "cost": str(cost), "at": time.time_ns(), **usage})
        )
        protocol.response_bytes(200, [("content-type", "application/json"), ("x-cost", str(cost))], body)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, Pool())
    yield made
    made.close()


def asked(compare: Compare, served: Served, name: str, body: bytes, scope: Scope) -> Protocol:
    """Gate requests of the same bytes; what the last one was answered."""
    protocol, plain = Protocol(body), PlainGateway()
    plainly = Scope(body)
    compare(
        f"gateway: {name}",
        partial(served.many, served.serve, scope, protocol, BATCH),
        partial(served.many, plain.serve, plainly, Protocol(body), BATCH),
        number=1,
        before=served.worker.beat,
    )
    return protocol


@pytest.mark.parametrize("kilobytes", [1, 16, 200])
def test_request(compare: Compare, served: Served, kilobytes: int) -> None:
    body = prompt(kilobytes)
    status, headers, answer = asked(compare, served, f"{kilobytes} KB", body, Scope(body)).answer
    assert (status, answer, dict(headers)["x-fastgate-cost-usd"]) == (200, ANSWER, COST)


def test_request_with_limits(compare: Compare, served: Served) -> None:
    """Five of them beside the budgets, of which every answer tells."""
    body = prompt(1)
    status, headers, _ = asked(compare, served, "five limits", body, Scope(body, LIMITED)).answer
    assert status == 200
    assert "x-ratelimit-remaining-tokens" in dict(headers)


def test_request_of_a_user(compare: Compare, served: Served) -> None:
    """Who has a budget by a template."""
    body = prompt(1)
    status, _, _ = asked(compare, served, "a user's budget", body, Scope(body, SHARED, x_fastgate_user="alice")).answer
    assert status == 200
    assert served.worker.arena.find("user:u/alice/month/default") is not None


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_hit(compare: Compare, served: Served, stream: bool) -> None:
    """An answer from the exact cache, kept by the first of them."""
    body = prompt(1, stream=True) if stream else prompt(1)
    name = "an answer that is kept" + (", as a stream" if stream else "")
    if stream:
        served.loop.run_until_complete(served.serve(Scope(prompt(1), CACHED), Protocol(prompt(1))))
    status, headers, answer = asked(compare, served, name, body, Scope(body, CACHED)).answer
    assert (status, dict(headers)["x-fastgate-cache"], dict(headers)["x-fastgate-cost-usd"]) == (
        200,
        "exact",
        "0.000000000",
    )
    assert b"A constant answer of some length." in answer


def test_steps(served: Served) -> None:
    """Those of `make profile` are still the pipeline's, and each has its budget; how long they take is said there."""
    steps = Steps(served)
    every = steps.all()

    async def once() -> None:  # in a task, as a request is
        for step in every.values():
            step()
        await steps.whole()

    served.loop.run_until_complete(once())
    assert [*every, "the whole"] == [*BUDGET]
    assert sum(BUDGET[name] for name in every) < BUDGET["the whole"]


@pytest.mark.parametrize(("key", "status"), [("sk-fg-nobody", 401), (SPENT, 402)])
def test_refusal(compare: Compare, served: Served, key: str, status: int) -> None:
    """An error answer, of a request that is not read, or of one for which there is no money."""
    body = prompt(1)
    assert asked(compare, served, f"refused with {status}", body, Scope(body, key)).answer[0] == status
