"""A judge beside a real semantic process with the real embedder: what its word teaches, and what its silence does."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgate.cache.semantic import SemanticClient
from fastgate.semantic.judge import MARK
from fastgate.wire.semantic import Done, Entries, Entry, Found, Listed, Report, Reported
from tests.support.judge_server import JudgeServer
from tests.support.semantic import ONE, TENANT, SemanticProcess, connected, keep

SECRET = "sk-fg-do-not-show"
FIRST, SECOND = "What does the heart do?", "What is the job of the heart?"
SAID = "The heart pumps blood through the body, which carries oxygen to every organ and takes carbon dioxide back."
ELSE = "Blood is moved around the body by the heart, so that organs get oxygen and carbon dioxide is carried away."
"""By their words they could be the same, by their vectors, too: neither sure."""


@pytest.fixture
def judge() -> Iterator[JudgeServer]:
    with JudgeServer() as server:
        yield server


def told(judge: JudgeServer, **more: Any) -> dict[str, Any]:
    return {"base_url": judge.base_url, "model": "judge-1", "key": SECRET, **more}


async def asked(client: SemanticClient, text: str) -> Found:
    found = await client.find(ONE, TENANT, text, 10)
    assert found is not None
    return found


async def kept(client: SemanticClient, text: str, said: str, found: Found | None = None) -> None:
    done = await client.ask(keep(text, said, found.decided() if found is not None else None, number=10**6), 10)
    assert done == Done(10**6, 1)


async def compared(client: SemanticClient, said: str = ELSE, before: str = SAID) -> None:
    """A question, one like it, and the answers to both."""
    await kept(client, FIRST, before)
    found = await asked(client, SECOND)
    assert found.verdict == "explore"
    await kept(client, SECOND, said, found)


async def counts(client: SemanticClient) -> dict[str, int]:
    report = await client.ask(Report(1), 10)
    assert isinstance(report, Reported)
    return report.counts


async def counted(client: SemanticClient, name: str) -> None:
    """Until it has happened, and what came of it was learned."""
    async with asyncio.timeout(20):
        while not ((now := await counts(client)).get(name) and now.get("compared")):
            await asyncio.sleep(0.01)  # the process tells nobody


async def entries(client: SemanticClient) -> list[Entry]:
    listed = await client.ask(Entries(1), 10)
    assert isinstance(listed, Listed)
    return list(listed.entries)


def seen(listed: list[Entry]) -> list[tuple[str, int, int]]:
    return [(entry.text, entry.compared, entry.same) for entry in listed]


@pytest.mark.parametrize(("word", "same"), [("SAME", 1), ("DIFFERENT", 0)])
async def test_its_word_decides_where_nothing_else_does(
    tmp_path: Path, judge: JudgeServer, word: str, same: int
) -> None:
    judge.say(word)
    with SemanticProcess(tmp_path, judge=told(judge)) as process:
        async with connected(process) as client:
            await compared(client)
            await counted(client, f"judge {word.lower()}")
            assert seen(await entries(client)) == [(FIRST, 1, same), (SECOND, 0, 0)]
    (asked_for,) = judge.asked
    assert list(json.loads(asked_for.line).values()) == [FIRST, SAID, SECOND, ELSE]
    assert asked_for.headers["authorization"] == f"Bearer {SECRET}"


async def test_without_one_they_differ(tmp_path: Path) -> None:
    with SemanticProcess(tmp_path) as process:
        async with connected(process) as client:
            await compared(client)
            assert seen(await entries(client)) == [(FIRST, 1, 0), (SECOND, 0, 0)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SAID, f"**{SAID}**", 1),
        (f"{SAID} That takes 20 seconds.", f"{SAID} That takes 60 seconds.", 0),
        (SAID, "It was Goethe who wrote Faust, in two parts, and he worked on it for nearly all of his long life.", 0),
    ],
)
async def test_it_is_not_asked_where_something_else_decides(
    tmp_path: Path, judge: JudgeServer, one: str, other: str, same: int
) -> None:
    with SemanticProcess(tmp_path, judge=told(judge)) as process:
        async with connected(process) as client:
            await compared(client, other, one)
            assert seen(await entries(client)) == [(FIRST, 1, same), (SECOND, 0, 0)]
            assert not [name for name in await counts(client) if name.startswith("judge")]
    assert judge.asked == []


async def test_answers_too_long_for_vectors_are_its_own(tmp_path: Path, judge: JudgeServer) -> None:
    with SemanticProcess(tmp_path, judge=told(judge)) as process:
        async with connected(process) as client:
            await compared(client, f"{ELSE} " * 60, f"{SAID} " * 60)
            await counted(client, "judge same")
            assert seen(await entries(client)) == [(FIRST, 1, 1), (SECOND, 0, 0)]


async def test_while_it_thinks_questions_are_answered_and_answers_kept(tmp_path: Path, judge: JudgeServer) -> None:
    judge.open.clear()
    with SemanticProcess(tmp_path, judge=told(judge, deadline_ms=60_000)) as process:
        async with connected(process) as client:
            await compared(client)
            assert await asyncio.to_thread(judge.came.acquire, timeout=10)
            await kept(client, "Who wrote Faust?", "Goethe")
            assert (await asked(client, "Who wrote Hamlet?")).verdict == "miss"
            assert [entry.text for entry in await entries(client)] == [FIRST, SECOND, "Who wrote Faust?"]
            assert (await counts(client)).get("compared", 0) == 0
            judge.open.set()
            await counted(client, "judge same")
            assert seen(await entries(client))[0] == (FIRST, 1, 1)


async def test_one_that_is_late_is_not_heard_any_more(tmp_path: Path, judge: JudgeServer) -> None:
    judge.open.clear()
    with SemanticProcess(tmp_path, judge=told(judge, deadline_ms=50)) as process:
        async with connected(process) as client:
            await compared(client)
            await counted(client, "judge late")
            judge.open.set()
            assert seen(await entries(client)) == [(FIRST, 1, 0), (SECOND, 0, 0)]
    assert "the judge is late" in process.log.read_text()


async def test_one_that_is_not_there_makes_differences_and_its_key_is_not_told(
    tmp_path: Path, judge: JudgeServer
) -> None:
    with SemanticProcess(tmp_path, judge=told(judge, base_url="http://127.0.0.1:9/v1")) as process:
        async with connected(process) as client:
            await compared(client)
            await counted(client, "judge failed")
            assert seen(await entries(client)) == [(FIRST, 1, 0), (SECOND, 0, 0)]
    log = process.log.read_text()
    assert "the judge's endpoint: ConnectError" in log
    assert SECRET not in log
    assert SAID not in log


async def test_a_stop_does_not_wait_for_it_and_what_it_was_asked_counts_as_different(
    tmp_path: Path, judge: JudgeServer
) -> None:
    judge.open.clear()
    with SemanticProcess(tmp_path, judge=told(judge, deadline_ms=60_000)) as process:
        async with connected(process) as client:
            await compared(client)
            assert await asyncio.to_thread(judge.came.acquire, timeout=10)
        assert process.stop() == 0
        assert process.start()
        async with connected(process) as client:
            assert seen(await entries(client)) == [(FIRST, 1, 0), (SECOND, 0, 0)]
            assert (await counts(client))["judge late"] == 1


async def test_a_kill_while_it_thinks_loses_its_word_alone(tmp_path: Path, judge: JudgeServer) -> None:
    judge.open.clear()
    with SemanticProcess(tmp_path, judge=told(judge, deadline_ms=60_000)) as process:
        async with connected(process) as client:
            await compared(client)
            assert await asyncio.to_thread(judge.came.acquire, timeout=10)
            await entries(client)  # which waits until they are on disk
        process.kill()
        assert process.start()
        async with connected(process) as client:
            assert seen(await entries(client)) == [(FIRST, 0, 0), (SECOND, 0, 0)]


async def test_what_is_asked_of_a_judge_is_neither_found_nor_kept(tmp_path: Path, judge: JudgeServer) -> None:
    with SemanticProcess(tmp_path, judge=told(judge)) as process:
        async with connected(process) as client:
            await compared(client)
            await counted(client, "judge same")
            text = judge.asked[0].body["messages"][-1]["content"]
            assert text.startswith(MARK)
            found = await asked(client, text)
            assert (found.verdict, found.reason) == ("miss", "for_a_judge")
            assert await client.ask(keep(text, "SAME", found.decided(), number=7), 10) == Done(7, 0)
            assert len(await entries(client)) == 2


@pytest.mark.parametrize("judge", [{"base_url": "http://127.0.0.1:9/v1"}, {"model": "m", "base_url": "x", "bogus": 1}])
def test_settings_that_are_none_are_told(tmp_path: Path, judge: dict[str, Any]) -> None:
    process = SemanticProcess(tmp_path, judge={"key": SECRET, **judge})
    assert not process.start()
    assert process.ended() == 3
    assert "judge" in process.log.read_text()
    assert SECRET not in process.log.read_text()
