"""Providers and clients that mean harm: amounts beyond belief, endless names, answers that nobody reads."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from fastgate._core.arena import Arena
from tests.support.house import House, compact, key, private_mb, secret, wait_for
from tests.support.wire import Answer, exchange, head

STALLED_SECONDS = 1.0
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
PRICES = {
    "tiny": {"input_usd_per_million": "1", "output_usd_per_million": "10"},
    "dear": {"input_usd_per_million": "1", "output_usd_per_million": "900000"},
}
MADE_UP = 60


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    lifetime = {"limit_usd": "0.05", "window": "lifetime"}
    settings = {
        "customers": [{"id": "acme", "budgets": [{"limit_usd": "1000", "window": "lifetime"}]}],
        "teams": [{"id": "crew", "customer": "acme"}],
        "keys": [
            key("open"),
            key("ten", budgets=[{"limit_usd": "1000000", "window": "lifetime"}]),
            key("strict", budgets=[{**lifetime, "bound": "strict"}]),
            key("learned", budgets=[lifetime]),
            key("of-team", team="crew"),
        ],
    }
    environment = {"FASTGATE_STALLED_SECONDS": str(STALLED_SECONDS)}
    folder = tmp_path_factory.mktemp("house")
    known = {**PRICES, **{f"made-up-{number}": PRICES["tiny"] for number in range(MADE_UP)}}
    (folder / "prices.json").write_text(json.dumps(known))
    simulator = {"prices": folder / "prices.json"}
    house = House(folder, settings, workers=1, environment=environment, simulator=simulator)
    with house.simulator as running:
        house.owns_simulator = False
        sim = {"type": "sim", "base_url": running.url, "keys": [{"name": "k", "value": "upstream-key"}]}
        house.settings["providers"] = {"sim": {**sim, "prices": PRICES}}
        with house:
            yield house


def request(
    script: dict[str, Any], *, name: str = "open", model: str = "sim/tiny", path: str = CHAT, stream: bool = False,
    tokens: int = 64, **more: Any,
) -> bytes:  # fmt: skip
    """The bytes of a request that is answered as the script says."""
    message = {"role": "user", "content": f"sim: {compact(script).decode()}"}
    body = compact({"model": model, "stream": stream, "max_tokens": tokens, "messages": [message], **more})
    headers = {"x-api-key": secret(name), "content-type": "application/json", "anthropic-version": "2023-06-01"}
    return head(path, headers, length=len(body)) + body


def row(house: House, answer: Answer) -> dict[str, Any]:
    """The ledger's row of an answer."""
    house.settled()
    found: dict[str, Any] = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
    return found


LONG = {"chunks": 2500, "tokens": 2500}
"""About 600 KB of events."""


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_long_answers_use_up_no_descriptors(house: House) -> None:
    [worker] = house.pids("worker")
    for _ in range(3):
        exchange(house.port, request(LONG, stream=True, model="sim/sim-small", tokens=2500))
    before = descriptors(worker)
    for number in range(40):
        long = LONG if number % 2 else {"body": "x" * (600 << 10)}
        answer = exchange(house.port, request(long, stream=bool(number % 2), model="sim/sim-small", tokens=2500))
        assert answer.complete
        assert len(answer.received) > 512 << 10
    assert descriptors(worker) <= before + 2


def test_whole_answers_that_nobody_reads_are_bounded_and_cut(house: House) -> None:
    """What was handed over to its end, and what was not; each is charged, and each is given up."""
    [worker] = house.pids("worker")
    memory = private_mb(worker)
    most = 0.0
    with ExitStack() as clients:
        readers = [clients.enter_context(socket.socket()) for _ in range(160)]
        for number, reader in enumerate(readers):
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(20)
            reader.connect(("127.0.0.1", house.port))
            tokens = 1_000_000 if number % 2 else 150_000
            reader.sendall(request({"tokens": tokens}, tokens=tokens))

        def cut() -> bool:
            nonlocal most
            most = max(most, private_mb(worker) - memory)
            return all(ended(reader) for reader in readers)

        wait_for(cut, STALLED_SECONDS + 20, "all of them are cut")
    assert most < 260  # all of them are 370 MB
    wait_for(lambda: house.holds() == 0, 5, "all are settled")
    assert exchange(house.port, request({"body": "alive"})).status == 200


def ended(reader: socket.socket) -> bool:
    """Whether the other end has shut the connection down: without reading, as the kernel's state tells."""
    state = reader.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1  # TCP_ESTABLISHED


def test_a_spent_budget_stays_spent_whatever_is_reported(house: House) -> None:
    """Amounts end at what 64 bits hold instead of going round to below nothing."""
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 10**9}}
    for _ in range(12):  # each is 900 million USD
        wait_for(lambda: house.holds() == 0, 5, "nothing is open")
        sent = request({"body": json.dumps(usage)}, name="ten", model="sim/dear")
        answer = exchange(house.port, sent)
        if answer.status != 200:
            break
        assert row(house, answer)["cost_usd"].startswith("900000000")
    assert (answer.status, answer.headers["x-fastgate-error"]) == (402, "budget_exceeded")
    budget = house.budget("key:ten/lifetime/default")
    assert Decimal(budget["spent_usd"]) >= 900_000_000
    assert Decimal(budget["left_usd"]) == 0
    assert Decimal(budget["overrun_usd"]) > 0


def test_a_count_beyond_belief_is_not_believed(house: House) -> None:
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 10**9 + 1}}
    found = row(house, exchange(house.port, request({"body": json.dumps(usage)})))
    assert (found["settlement"], found["status"]) == ("estimated", 200)
    assert Decimal(found["cost_usd"]) <= Decimal(found["hold_usd"])


def event(**members: Any) -> str:
    return f"data: {json.dumps(members)}\n\n"


FINISH = event(choices=[{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}])
STREAM = {"content-type": "text/event-stream"}


def cut_after(text: str) -> dict[str, Any]:
    """A stream whose connection ends before its body does."""
    lines = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(text) + 100}\r\n\r\n"
    return {"raw": lines + text}


def test_usage_that_was_final_is_charged_although_the_stream_was_cut(house: House) -> None:
    usage = event(choices=[], usage={"prompt_tokens": 10, "completion_tokens": 5})
    answer = exchange(house.port, request(cut_after(FINISH + usage), stream=True))
    found = row(house, answer)
    assert (found["settlement"], found["outcome"], found["cost_usd"]) == ("exact", "upstream_error", "0.000060000")
    assert b"closed the connection" in answer.body


def test_usage_that_was_reported_is_owed_even_above_the_hold(house: House) -> None:
    partial = event(
        choices=[{"index": 0, "delta": {"content": "a"}}],
        usage={"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000},
    )
    found = row(house, exchange(house.port, request(cut_after(partial), stream=True)))
    assert (found["settlement"], found["cost_usd"]) == ("estimated", "11.000000000")
    assert Decimal(found["overrun_usd"]) == Decimal(found["cost_usd"]) - Decimal(found["hold_usd"])


def test_overruns_are_counted_by_level(house: House) -> None:
    """Each that has a budget: here the customer, and not the team."""
    before = overruns(house)
    for completion in (10, 1_000_000):  # the first keeps to its cap
        usage = {"usage": {"prompt_tokens": 1, "completion_tokens": completion}}
        found = row(house, exchange(house.port, request({"body": json.dumps(usage)}, name="of-team")))
    assert float(found["overrun_usd"]) > 9
    assert overruns(house) == {**before, "customer": (1, pytest.approx(float(found["overrun_usd"])))}


def overruns(house: House) -> dict[str, tuple[float, float]]:
    """Requests and USD by level, as the metrics have them."""
    with urlopen(f"{house.admin_url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    named = {"fastgate_overruns_total": 0, "fastgate_overrun_usd_total": 1}
    found: dict[str, list[float]] = {}
    for line in lines:
        name, _, rest = line.partition('{level="')
        if name in named:
            level, _, value = rest.partition('"} ')
            found.setdefault(level, [0.0, 0.0])[named[name]] = float(value)
    return {level: (requests, usd) for level, (requests, usd) in found.items()}


@pytest.mark.parametrize("kind", ["Text/Event-Stream; charset=utf-8", "TEXT/EVENT-STREAM"])
def test_a_stream_is_one_however_its_type_is_written(house: House, kind: str) -> None:
    usage = event(choices=[], usage={"prompt_tokens": 10, "completion_tokens": 5})
    script = {"body": FINISH + usage + "data: [DONE]\n\n", "headers": {"content-type": kind}}
    answer = exchange(house.port, request(script, stream=True))
    assert b"usage" not in answer.body  # the client did not ask for it
    assert row(house, answer)["settlement"] == "exact"


FILE = {"type": "file", "file": {"file_id": "file-abc"}}
DOCUMENT = {"type": "document", "source": {"type": "url", "url": "http://127.0.0.1/900-pages.pdf"}}
PAPER = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
UNSEEN = [
    (CHAT, {"messages": [{"role": "user", "content": [FILE]}]}),
    (CHAT, {"messages": [{"role": "assistant", "audio": {"id": "audio-abc"}}]}),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "http://a/b"}}]}]}),
    (CHAT, {"web_search_options": {}}),
    (MESSAGES, {"messages": [{"role": "user", "content": [DOCUMENT]}]}),
    (MESSAGES, {"messages": [{"role": "user", "content": [PAPER]}]}),
    (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}),
    (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [DOCUMENT]}]}]}),
    (MESSAGES, {"container": "c"}),
    (MESSAGES, {"thread": {"type": "continue", "previous_message_id": "msg_1"}}),
    (MESSAGES, {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
]


@pytest.mark.parametrize(("path", "more"), UNSEEN)
def test_what_the_body_does_not_show_is_held_in_full_or_refused(house: House, path: str, more: dict[str, Any]) -> None:
    """A million tokens where no context window is known: a dollar, of which the small budgets have five cents."""
    answer = exchange(house.port, request({}, name="strict", path=path, **more))
    assert (answer.status, answer.headers["x-fastgate-error"]) == (400, "invalid_request"), answer.body
    assert b"key:strict/lifetime/default" in answer.body
    answer = exchange(house.port, request({}, name="learned", path=path, **more))
    assert (answer.status, answer.headers["x-fastgate-error"]) == (402, "budget_exceeded"), answer.body
    answer = exchange(house.port, request({}, path=path, **more))
    assert answer.headers.get("x-fastgate-error") is None  # the provider was asked
    assert Decimal(row(house, answer)["hold_usd"]) >= 1


@pytest.mark.parametrize(
    "more",
    [
        {"fallbacks": [{"model": "sim-small"}]},
        {"compaction": {"type": "summarize"}},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
    ],
)
def test_what_is_billed_beside_the_answer_has_no_absolute_bound(house: House, more: dict[str, Any]) -> None:
    answer = exchange(house.port, request({}, name="strict", path=MESSAGES, **more))
    assert (answer.status, answer.headers["x-fastgate-error"]) == (400, "invalid_request"), answer.body
    assert b"whose size it does not show" in answer.body
    answer = exchange(house.port, request({}, name="learned", path=MESSAGES, **more))
    assert answer.headers.get("x-fastgate-error") is None


def test_a_document_of_plain_text_is_seen(house: House) -> None:
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}}
    more = {"messages": [{"role": "user", "content": [text]}]}
    answer = exchange(house.port, request({}, name="strict", path=MESSAGES, **more))
    assert answer.headers.get("x-fastgate-error") is None


def test_names_that_clients_make_up_leave_nothing_behind(house: House) -> None:
    arena = Arena(str(Path(house.arena_dir) / "arena.bin"))
    exchange(house.port, request({"body": "a"}, model="sim/made-up-0"))
    before = arena.statistics()["cells"]
    for number in range(1, MADE_UP):
        assert exchange(house.port, request({"body": "a"}, model=f"sim/made-up-{number}")).status == 200
    assert arena.statistics()["cells"] == before


@pytest.mark.parametrize(
    ("wish", "refused"),
    [("only", (504, "not_cached")), ("yes", (400, "invalid_request")), ("", (400, "invalid_request"))],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused(house: House, wish: str, refused: tuple[int, str]) -> None:
    lines = request({"text": "a"}).split(b"\r\n", 1)
    answer = exchange(house.port, lines[0] + f"\r\nx-fastgate-cache: {wish}\r\n".encode() + lines[1])
    assert (answer.status, answer.headers["x-fastgate-error"]) == refused
