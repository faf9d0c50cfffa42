"""Streams are held for in instalments: a large cap blocks nobody; where the money ends the stream ends, in order."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from fastgate.budgets.instalments import SLICE
from tests.support.house import House, compact, key, secret

STREAMS = 30
CAP = 64_000
TOKENS = 300
LONGER = 5 * TOKENS
INPUT, OUTPUT = Decimal("0.0000003"), Decimal("0.0000006")  # USD per token of sim-small: its dearest input, its output
TEMPLATE = 64
TOOL: Any = {"name": "write", "description": "", "input_schema": {"type": "object", "properties": {}}}
FUNCTION: Any = {"type": "function", "function": {"name": "write", "parameters": {"type": "object", "properties": {}}}}
REFUSED = (openai.APIStatusError, anthropic.APIStatusError)


class Ended(NamedTuple):
    """How a stream came to its end, as its SDK tells it."""

    reason: str | None
    text: str
    output_tokens: int


def messages(number: int, script: dict[str, Any]) -> Any:
    return [{"role": "user", "content": f"sim: {compact(script).decode()} {number:04d}"}]


def ask_openai(house: House, name: str, number: int, script: dict[str, Any], **more: Any) -> Ended:
    with openai.OpenAI(base_url=house.openai_url, api_key=secret(name), max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="sim/sim-small",
                messages=messages(number, script),
                stream=True,
                stream_options={"include_usage": True},
                max_completion_tokens=CAP,
                **more,
            )
        )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    [reason] = [choice.finish_reason for choice in choices if choice.finish_reason]
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    assert len({(chunk.id, chunk.model, chunk.created) for chunk in chunks}) == 1
    return Ended(reason, "".join(choice.delta.content or "" for choice in choices), usage.completion_tokens)


def ask_anthropic(house: House, name: str, number: int, script: dict[str, Any], **more: Any) -> Ended:
    with (
        anthropic.Anthropic(base_url=house.url, api_key=secret(name), max_retries=0) as client,
        client.messages.stream(
            model="sim/sim-small", messages=messages(number, script), max_tokens=CAP, **more
        ) as stream,
    ):
        message = stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    return Ended(message.stop_reason, text, message.usage.output_tokens)


Ask = Callable[..., Ended]
ASK: dict[str, Ask] = {"openai": ask_openai, "anthropic": ask_anthropic}
LENGTH = {"openai": "length", "anthropic": "max_tokens"}
STOP = {"openai": "stop", "anthropic": "end_turn"}
BOTH = pytest.mark.parametrize("dialect", list(ASK))


def prompt(script: dict[str, Any]) -> int:
    """Tokens of input that are held for one of the requests, at most."""
    document = {"model": "sim/sim-small", "stream": True, "max_completion_tokens": CAP}
    document |= {"stream_options": {"include_usage": True}, "messages": messages(0, script)}
    return len(compact(document)) + TEMPLATE


SHORT = {"tokens": TOKENS, "reasoning": 0}
LONG = {"tokens": LONGER, "reasoning": 0, "chunk_ms": 8}
CALLS = {"tools": [{"name": "write", "arguments": {"text": "x" * size}} for size in [800] * 40], "chunk_ms": 10}
ENOUGH = STREAMS * (prompt(SHORT) * INPUT + (TOKENS + SLICE) * OUTPUT)
HALF = STREAMS * (prompt(LONG) * INPUT + LONGER * OUTPUT) / 2


def budget(usd: Decimal) -> list[dict[str, Any]]:
    return [{"limit_usd": f"{usd:f}", "window": "day"}]


@pytest.fixture(scope="module", params=["quarter", "byte", "hostile"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    keys = [key(f"enough-{dialect}", budgets=budget(ENOUGH)) for dialect in ASK]
    keys += [key(f"half-{dialect}", budgets=budget(HALF)) for dialect in ASK]
    keys += [key(f"tools-{dialect}", budgets=budget((prompt(CALLS) + 200) * INPUT + SLICE * OUTPUT)) for dialect in ASK]
    simulator = {"tokenizer": request.param, "chunk_ms": 3, "cancel_lag_ms": 20}
    with House(tmp_path_factory.mktemp("house"), {"keys": keys}, workers=4, simulator=simulator) as house:
        yield house


class Watch:
    """The simulator's bill of a key while streams run: never above ``limit``."""

    def __init__(self, house: House, limit: Decimal) -> None:
        house.simulator.reset()
        self.house, self.limit = house, limit
        self.highest = Decimal(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._sample()
        assert self.highest <= self.limit

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._sample()

    def _sample(self) -> None:
        self.highest = max(self.highest, Decimal(self.house.bill()["total"]["usd"]))


def in_parallel(house: House, dialect: str, name: str, script: dict[str, Any]) -> tuple[list[Ended], list[int]]:
    """Those that were served, and the statuses of those that were refused."""
    served: list[Ended] = []
    refused: list[int] = []
    with ThreadPoolExecutor(STREAMS) as pool:
        for one in [pool.submit(ASK[dialect], house, name, number, script) for number in range(STREAMS)]:
            try:
                served.append(one.result())
            except REFUSED as error:
                refused.append(error.status_code)
    house.settled()
    return served, refused


def usd(rows: list[dict[str, Any]], field: str = "cost_usd") -> Decimal:
    return sum((Decimal(row[field]) for row in rows), Decimal(0))


@BOTH
def test_large_caps_block_nobody(house: House, dialect: str) -> None:
    """On a budget for what the streams use, one slice each, and what the bound of their input is above it."""
    name = f"enough-{dialect}"
    with Watch(house, ENOUGH):
        served, refused = in_parallel(house, dialect, name, SHORT)
    assert (len(served), refused) == (STREAMS, [])
    assert {one.reason for one in served} == {STOP[dialect]}
    rows = house.requests(key=name)
    assert {(row["settlement"], row["overrun_usd"]) for row in rows} == {("exact", "0.000000000")}
    assert abs(usd(rows) - Decimal(house.bill()["total"]["usd"])) <= len(rows) * Decimal("0.000000001")
    assert all(Decimal(row["hold_usd"]) < CAP * OUTPUT / 10 for row in rows)
    assert Decimal(house.budget(f"key:{name}/day/default")["held_usd"]) == 0


@BOTH
def test_where_the_money_ends_the_streams_end_in_order(house: House, dialect: str) -> None:
    """On half of what they use."""
    name = f"half-{dialect}"
    with Watch(house, HALF):
        served, refused = in_parallel(house, dialect, name, LONG)
    assert set(refused) <= {402}
    assert len(served) >= STREAMS / 3
    assert {one.reason for one in served} <= {LENGTH[dialect], STOP[dialect]}
    rows = [row for row in house.requests(key=name) if row["outcome"] == "ok"]
    short = [row for row in rows if row["error"] == "budget_exceeded"]
    assert len(rows) == len(served)
    assert len(short) == sum(one.reason == LENGTH[dialect] for one in served) > 0
    assert {row["settlement"] for row in short} == {"estimated"}
    spent = house.budget(f"key:{name}/day/default")
    assert Decimal(house.bill()["total"]["usd"]) <= Decimal(spent["spent_usd"]) <= HALF
    assert Decimal(spent["held_usd"]) == Decimal(spent["overrun_usd"]) == 0


@BOTH
def test_a_tool_call_half_way_is_ended_in_order(house: House, dialect: str) -> None:
    name = f"tools-{dialect}"
    tools = [FUNCTION] if dialect == "openai" else [TOOL]
    ended = ASK[dialect](house, name, 0, {**CALLS, "reasoning": 0}, tools=tools)
    house.settled()
    [row] = house.requests(key=name)
    assert (row["error"], row["settlement"]) == ("budget_exceeded", "estimated")
    assert ended.reason == LENGTH[dialect]
