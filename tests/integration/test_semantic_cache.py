"""The semantic cache from a request to its process and back: who asks it, what it keeps, and when it is gone."""

import asyncio
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.request import urlopen

import pytest

from fastgate.cache.semantic import SemanticClient
from fastgate.wire.semantic import (
    SOCKET,
    Entries,
    Frames,
    Listed,
    Ping,
    Pong,
    Report,
    Reported,
    framed,
)
from fastgate.wire.semantic_entries import Entry
from tests.support.by_api import CHAT
from tests.support.house import House, compact, key, secret, wait_for
from tests.support.semantic import PREPARED, find
from tests.support.wire import Answer, exchange, head

MESSAGES = "/v1/messages"
Result = TypeVar("Result")


def settings(**semantic: Any) -> dict[str, Any]:
    embedder = {"type": "onnx", "model": str(PREPARED)}
    # Long enough for a machine that does other things: what comes too late would be a miss.
    return {
        "cache": {"semantic": {"embedder": embedder, "deadline_ms": 5_000, **semantic}},
        "teams": [{"id": "blue", "cache": {"semantic": True, "scope": "team"}}],
        "keys": [
            key("plain"),
            key("one", cache={"semantic": True}),
            key("other", cache={"semantic": True}),
            key("both", cache={"semantic": True, "exact": True}),
            key("blue-one", team="blue"),
            key("blue-other", team="blue"),
        ],
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("semantic"), settings(), workers=2) as house:
        connected(house, 2)
        yield house


def post(
    house: House, name: str, text: str, path: str = CHAT, headers: dict[str, str] | None = None, **more: Any
) -> Answer:
    body = {"model": "sim/sim-small", "max_tokens": 20, "messages": [{"role": "user", "content": text}], **more}
    raw = compact(body)
    said = {"authorization": f"Bearer {secret(name)}", "content-type": "application/json", "connection": "close"}
    if path == MESSAGES:
        said["anthropic-version"] = "2023-06-01"
    answer = exchange(house.port, head(path, said | (headers or {}), length=len(raw)) + raw)
    assert answer.status == 200, answer.body
    return answer


def asking(house: House, act: Callable[[SemanticClient], Any]) -> Any:
    """What the process itself says."""

    async def ask() -> Any:
        client = SemanticClient(house.arena_dir, asyncio.get_running_loop())
        try:
            assert await client.connected()
            return await act(client)
        finally:
            client.close()

    return asyncio.run(ask())


def connected(house: House, workers: int) -> None:
    """Wait until all workers have their line, as they have a moment after the start."""

    def are() -> bool:
        pong = asking(house, lambda client: client.ask(Ping(1), 10))
        return isinstance(pong, Pong) and pong.connections == workers + 2

    wait_for(are, 10, "a line of each worker")


def counts(house: House) -> dict[str, int]:
    report = asking(house, lambda client: client.ask(Report(1), 10))
    assert isinstance(report, Reported)
    return report.counts


def entries(house: House) -> list[Entry]:
    listed = asking(house, lambda client: client.ask(Entries(1, limit=1000), 10))
    assert isinstance(listed, Listed)
    return list(listed.entries)


def kept(house: House, *texts: str) -> list[Entry]:
    """The entries of these questions, once all are there: answers are kept after their clients have them."""

    def found() -> list[Entry] | None:
        there = [entry for entry in entries(house) if entry.text in texts]
        return there if {entry.text for entry in there} == set(texts) else None

    return wait_for(found, 10, f"entries of {texts}")  # type: ignore[no-any-return]


def test_who_does_not_want_it_has_nothing_to_do_with_it(house: House) -> None:
    before = counts(house).get("find", 0)
    assert post(house, "plain", "What is the capital of France?").headers["x-fastgate-cache"] == "bypass"
    assert counts(house).get("find", 0) == before


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_kept_behind_its_question_and_compared_with_the_next_one(
    house: House, path: str, stream: bool
) -> None:
    first, second = f"What is the capital of Peru? {path} {stream}", f"Which is Peru's capital? {path} {stream}"
    before = counts(house)
    assert post(house, "one", first, path, stream=stream).headers["x-fastgate-cache"] == "miss"
    (entry,) = kept(house, first)
    assert b'"key":"one"' in entry.about
    assert post(house, "one", second, path, stream=stream).headers["x-fastgate-cache"] in {"miss", "semantic"}
    assert counts(house)["find"] - before.get("find", 0) == 2


def test_questions_meet_in_their_own_partition_alone(house: House) -> None:
    text = "How tall is the Eiffel tower?"
    post(house, "one", text)
    post(house, "other", text)
    post(house, "one", text, temperature=0.3)
    post(house, "one", text, messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}])
    post(house, "one", text, MESSAGES)
    found = wait_for(lambda: every if len(every := kept(house, text)) == 5 else None, 10, "five entries")
    assert len({entry.partition for entry in found}) == 5
    assert len({entry.tenant for entry in found}) == 2


def test_a_team_shares_where_its_scope_says_so(house: House) -> None:
    post(house, "blue-one", "Who wrote Faust?")
    kept(house, "Who wrote Faust?")
    before = counts(house).get("miss", 0)
    answer = post(house, "blue-other", "Who wrote the drama Faust?")
    assert counts(house).get("miss", 0) == before
    house.settled()
    row = house.admin(f"requests/{answer.headers['x-fastgate-request-id']}")
    assert row["semantic"] in {"explore", "audit", "serve"}
    assert (len(row["cache_entry"]), 0.7 <= row["similarity"] <= 1) == (16, True)
    [first] = house.requests(key="blue-one")
    assert (first["semantic"], first["cache_entry"], first["similarity"]) == ("miss", "", None)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"n": 2},
    ],
)
def test_what_is_more_than_a_question_and_a_text_is_not_kept(house: House, more: dict[str, Any]) -> None:
    post(house, "one", "not this", **more)
    behind = f"What is kept behind {more}?"
    post(house, "one", behind)
    kept(house, behind)
    assert not {"not this", "a", "b"} & {entry.text for entry in entries(house)}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}],
            }
        ],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    ],
    ids=str,
)
def test_what_is_no_question_passes_a_cache_by_that_knows_meanings_alone(
    house: House, messages: list[dict[str, Any]]
) -> None:
    before = counts(house).get("find", 0)
    for said in ({}, {"x-fastgate-cache": "no-cache"}):
        assert post(house, "one", "", messages=messages, headers=said).headers["x-fastgate-cache"] == "bypass"
    assert counts(house).get("find", 0) == before
    named = [post(house, "both", "", messages=messages).headers["x-fastgate-cache"] for _ in range(2)]
    assert named == ["miss", "exact"]


def test_the_exact_cache_is_asked_first(house: House) -> None:
    assert post(house, "both", "What is asked twice?").headers["x-fastgate-cache"] == "miss"
    before = counts(house)["find"]
    assert post(house, "both", "What is asked twice?").headers["x-fastgate-cache"] == "exact"
    assert counts(house)["find"] == before


def test_clients_may_keep_out(house: House) -> None:
    post(house, "one", "Is this kept?", headers={"x-fastgate-cache": "no-store"})
    post(house, "one", "Is this one?", headers={"x-fastgate-cache": "no-cache"})
    kept(house, "Is this one?")
    assert "Is this kept?" not in {entry.text for entry in entries(house)}


def child(house: House) -> int:

    children = json.loads((house.state_dir / "supervisor.json").read_text())["children"]
    return int(next(each["pid"] for each in children if each["name"] == "semantic"))


def metric(house: House, name: str) -> float | None:
    with urlopen(f"{house.admin_url}/metrics", timeout=10) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else None


def test_the_metrics_have_what_it_did(house: House) -> None:
    post(house, "one", "What is counted?")
    said = counts(house)
    assert metric(house, "fastgate_semantic_up") == 1
    assert metric(house, 'fastgate_semantic_questions_total{outcome="miss"}') == said["miss"]
    assert metric(house, 'fastgate_semantic_questions_total{outcome="explore"}') == said.get("explore", 0)
    kept(house, "What is counted?")
    assert metric(house, "fastgate_semantic_entries") == len(entries(house))


def test_a_process_that_dies_costs_no_request_and_comes_back(house: House) -> None:
    post(house, "one", "Does it remember this?")
    (entry,) = kept(house, "Does it remember this?")
    os.kill(child(house), signal.SIGKILL)
    for number in range(20):
        assert post(house, "one", f"Is {number} prime?").headers["x-fastgate-cache"] in {"miss", "semantic"}

    def remembers() -> bool:
        try:
            return entry.id in {each.id for each in entries(house)}
        except AssertionError:  # it is not back yet
            return False

    wait_for(remembers, 20, "the entry of before")


def test_one_that_hangs_delays_a_request_by_the_deadline_at_most(tmp_path_factory: pytest.TempPathFactory) -> None:
    with House(tmp_path_factory.mktemp("hangs"), settings(deadline_ms=50), workers=1) as house:
        connected(house, 1)
        pid = child(house)
        os.kill(pid, signal.SIGSTOP)
        try:
            took = []
            for number in range(10):
                began = time.monotonic()
                assert post(house, "one", f"Is {number} prime?").headers["x-fastgate-cache"] == "miss"
                took.append(time.monotonic() - began)
            assert min(took) >= 0.05
            assert sorted(took)[4] < 0.15
            began = time.monotonic()
            post(house, "plain", "Who waits?")
            assert time.monotonic() - began < 0.05
            assert metric(house, "fastgate_semantic_up") == 0
        finally:
            os.kill(pid, signal.SIGCONT)


def times(house: House, name: str, count: int) -> list[float]:
    """Seconds that requests take, the shortest first."""
    took = []
    for number in range(count):
        began = time.monotonic()
        post(house, name, f"How long does question {number} take?")
        took.append(time.monotonic() - began)
    return sorted(took)


@pytest.mark.alone
def test_one_that_is_saturated_delays_its_own_by_the_deadline_at_most_and_nobody_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with House(tmp_path_factory.mktemp("saturated"), settings(deadline_ms=30), workers=1) as house:
        connected(house, 1)
        alone = times(house, "plain", 30)[15]
        flood = b"".join(framed(find(f"{number} What is a word worth? " * 8, number + 1)) for number in range(100))
        stopped = threading.Event()

        def pour() -> None:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
                plug.connect(str(house.arena_dir / SOCKET))
                while not stopped.is_set():
                    plug.sendall(flood)
                    frames, replies = Frames(), 0
                    while replies < 100:
                        replies += len(list(frames.feed(plug.recv(1 << 16))))

        pouring = threading.Thread(target=pour)
        pouring.start()
        try:
            others, its_own = times(house, "plain", 30)[15], times(house, "one", 30)[15]
        finally:
            stopped.set()
            pouring.join()
        assert counts(house)["busy"] > 100
        # The flood itself takes a core: what is beyond is what everything takes longer on such a machine.
        assert others < 3 * alone + 0.01
        assert its_own < 3 * alone + 0.03 + 0.01


def test_it_is_fixed_at_the_start_and_a_change_is_told(house: House) -> None:
    house.write_config(settings(max_error=0.2))
    assert house.admin("config/reload", "POST")["restart_needed"] == ["cache.semantic.max_error"]
    house.write_config(house.settings)
    assert house.admin("config/reload", "POST")["restart_needed"] == []
