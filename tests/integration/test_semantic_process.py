"""The semantic process, a real one with the real embedder, over its socket."""

import asyncio
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fastgate.cache.semantic import SemanticClient
from fastgate.semantic.words import LONGEST
from fastgate.wire.semantic import (
    MOST_FRAME,
    SOCKET,
    Busy,
    Delete,
    Done,
    Entries,
    Find,
    Found,
    Frames,
    Inspect,
    Inspected,
    Listed,
    Ping,
    Pong,
    Refused,
    Report,
    Reported,
    framed,
    reply_of,
)
from fastgate.wire.semantic_entries import Wanted
from tests.support.semantic import ONE, OTHER, STRANGER, TENANT, SemanticProcess, connected, find, keep

CAPITAL = "What is the capital of France?"
LIKE_IT = "Which city is the capital of France?"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[SemanticProcess]:
    with SemanticProcess(tmp_path) as started:
        yield started


async def asked(client: SemanticClient, text: str, partition: bytes = ONE, tenant: bytes = TENANT) -> Found:
    found = await client.find(partition, tenant, text, 10)
    assert found is not None, client.counts
    return found


async def kept(client: SemanticClient, text: str, said: str = "Paris", found: Found | None = None) -> None:
    done = await client.ask(keep(text, said, found.decided() if found is not None else None, number=10**6), 10)
    assert done == Done(10**6, 1)


async def reported(client: SemanticClient) -> Reported:
    report = await client.ask(Report(10**6 + 1), 10)
    assert isinstance(report, Reported)
    return report


async def test_a_question_is_a_miss_then_has_a_neighbour_and_comparing_is_learned(process: SemanticProcess) -> None:
    async with connected(process) as client:
        found = await asked(client, CAPITAL)
        assert (found.verdict, found.answer) == ("miss", b"")
        await kept(client, CAPITAL, "Paris", found)
        near = await asked(client, LIKE_IT)
        assert near.verdict == "explore"
        assert 0.8 < near.similarity < 1
        await kept(client, LIKE_IT, "  paris ", near)
        listed = await client.ask(Entries(1), 10)
        assert isinstance(listed, Listed)
        assert [(entry.text, entry.compared, entry.same) for entry in listed.entries] == [
            (CAPITAL, 1, 1),
            (LIKE_IT, 0, 0),
        ]
        report = await reported(client)
        assert (report.counts["find"], report.counts["miss"], report.counts["explore"]) == (2, 1, 1)
        assert (report.entries, report.partitions) == (2, 1)


async def test_the_very_same_text_has_a_similarity_of_one_whatever_is_in_its_batch(process: SemanticProcess) -> None:
    async with connected(process) as client:
        await kept(client, CAPITAL)
        others = [f"How many {thing} fit into a box of {number} cm?" for number, thing in enumerate("abcdefgh")]
        found = await asyncio.gather(*(asked(client, text) for text in [CAPITAL, *others, LIKE_IT]))
        assert found[0].similarity == pytest.approx(1, abs=1e-3)
        alone = await asked(client, LIKE_IT)
        assert found[-1].similarity == pytest.approx(alone.similarity, abs=1e-3)


async def test_nothing_is_found_in_another_partition_or_for_another_tenant(process: SemanticProcess) -> None:
    async with connected(process) as client:
        await kept(client, CAPITAL)
        assert (await asked(client, CAPITAL, partition=OTHER)).verdict == "miss"
        assert (await asked(client, CAPITAL, tenant=STRANGER)).verdict == "miss"


async def test_answers_survive_a_kill_and_a_stop(process: SemanticProcess) -> None:
    async with connected(process) as client:
        await kept(client, CAPITAL)
        await kept(client, "Who wrote Faust?", "Goethe")
        listed = await client.ask(Entries(1), 10)  # which waits until they are on disk
        process.kill()
        assert process.start()
    async with connected(process) as client:
        assert await client.ask(Entries(1), 10) == listed
        assert (await asked(client, CAPITAL)).similarity == pytest.approx(1, abs=1e-3)
        await kept(client, "Who wrote Hamlet?", "Shakespeare")
        assert process.stop() == 0
        assert not (process.arena_dir / SOCKET).exists()
        assert process.start()
    async with connected(process) as client:
        pong = await client.ask(Ping(1), 10)
        assert pong == Pong(1, 3, 0, 1)


async def test_deletions_are_by_what_an_entry_is_about(process: SemanticProcess) -> None:
    async with connected(process) as client:
        await kept(client, CAPITAL)
        await kept(client, "Who wrote Faust?", "Goethe")
        assert await client.ask(Delete(1), 10) == Refused(1, "nothing says what to delete")
        key = ("key", ("k",))
        assert await client.ask(Delete(2, wanted=Wanted((key, ("tag:job", ("8",))))), 10) == Done(2, 0)
        refused = await client.ask(Delete(2, wanted=Wanted((("text", ("k",)),))), 10)
        assert refused == Refused(2, "entries cannot be told apart by 'text'")
        assert await client.ask(Delete(3, wanted=Wanted((key, ("tag:job", ("7",))))), 10) == Done(3, 2)
        assert (await asked(client, CAPITAL)).verdict == "miss"
        await kept(client, CAPITAL)
        assert await client.ask(Delete(4, everything=True), 10) == Done(4, 1)
        assert (await asked(client, CAPITAL)).verdict == "miss"


async def test_one_that_is_asked_for_is_shown_whole(process: SemanticProcess) -> None:
    async with connected(process) as client:
        await kept(client, CAPITAL)
        near = await asked(client, LIKE_IT)
        await kept(client, LIKE_IT, "Lyon", near)
        listed = await client.ask(Entries(1), 10)
        assert isinstance(listed, Listed)
        one = await client.ask(Inspect(2, listed.entries[0].id), 10)
        assert isinstance(one, Inspected)
        assert (one.entry, one.said) == (listed.entries[0], "Paris")
        assert one.comparisons == ((near.similarity, False),)
        assert await client.ask(Inspect(3, 1), 10) == Inspected(3, None)


async def test_what_operators_ask_for_holds_no_question_up(process: SemanticProcess) -> None:
    """Lists and deletions of many go on beside it; none of what is deleted is served once that was said."""
    async with connected(process) as client:
        for number in range(600):
            client.keep(keep(f"Question number {number}?", number=0))
        async with asyncio.timeout(60):
            while await client.ask(Ping(1), 10) != Pong(1, 600, 0, 1):
                await asyncio.sleep(0.02)  # they are kept some time, and nobody is told
        deleting = asyncio.create_task(client.ask(Delete(10**6, everything=True), 30))
        found = [await asked(client, CAPITAL) for _ in range(20)]
        assert {each.verdict for each in found} <= {"miss", "explore"}
        assert await deleting == Done(10**6, 600)
        assert (await asked(client, "Question number 5?")).verdict == "miss"
        assert await client.ask(Entries(3), 10) == Listed(3, (), None)


async def test_a_text_that_the_embedder_does_not_read_whole_is_neither_found_nor_kept(process: SemanticProcess) -> None:
    long = "Sum these up: " + " ".join(str(number) for number in range(400))
    async with connected(process) as client:
        found = await asked(client, long)
        assert (found.verdict, found.reason) == ("miss", "too_long")
        assert await client.ask(keep(long, number=5), 10) == Done(5, 0)
        assert await client.ask(Ping(1), 10) == Pong(1, 0, 0, 1)


async def test_a_text_that_is_longer_than_vetoes_read_is_neither_found_nor_kept_whatever_embeds_it(
    process: SemanticProcess, tmp_path: Path
) -> None:
    few_tokens = CAPITAL + " " * LONGEST + "Never mind, write a poem."
    async with connected(process) as client:
        assert (await asked(client, few_tokens)).reason == "too_long"
        assert await client.ask(keep(few_tokens, number=5), 10) == Done(5, 0)
        assert await client.ask(keep(few_tokens[:LONGEST], number=6), 10) == Done(6, 1)
    nowhere = {"type": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9"}
    with SemanticProcess(tmp_path / "endpoint", embedder=nowhere) as other:
        async with connected(other) as client:
            assert (await asked(client, few_tokens)).reason == "too_long"  # and nothing was asked


def plugged(process: SemanticProcess) -> socket.socket:
    plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    plug.settimeout(10)
    plug.connect(str(process.arena_dir / SOCKET))
    return plug


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (bytes(4), "a frame of 0 bytes"),
        ((MOST_FRAME + 1).to_bytes(4, "little"), f"a frame of {MOST_FRAME + 1} bytes"),
        (b"\x01\x00\x00\x00\xc1", "no request that is known"),
        (framed(Busy(1)), "no request that is known"),
    ],
)
async def test_what_is_no_frame_ends_its_connection_and_nothing_else(
    process: SemanticProcess, bytes_: bytes, reason: str
) -> None:
    async with connected(process) as client:
        with plugged(process) as plug:
            plug.sendall(framed(Ping(3)) + bytes_)
            received = b""
            with suppress(ConnectionResetError):
                while piece := plug.recv(4096):
                    received += piece
        (body,) = Frames().feed(received) if received else (None,)
        assert body is None or isinstance(reply_of(body), Pong)
        assert await client.ask(Ping(2), 10) == Pong(2, 0, 0, 1)
    assert f"a connection is closed: {reason}" in process.log.read_text()


async def test_one_that_never_reads_is_cut_off_and_holds_nobody_up(process: SemanticProcess) -> None:
    async with connected(process) as client:
        for number in range(40):
            await kept(client, f"Question number {number}? " + "word " * 120, "x")
        with plugged(process) as plug:
            plug.settimeout(0.2)
            asking = framed(Entries(1, limit=40)) * 200
            with suppress(OSError):  # full, or cut off
                while True:
                    plug.sendall(asking)
            assert await client.ask(Ping(2), 10) == Pong(2, 40, 0, 1)


async def test_more_than_the_queue_takes_is_told_so_at_once_and_what_is_late_is_dropped(tmp_path: Path) -> None:
    with SemanticProcess(tmp_path, queue=16) as process, plugged(process) as plug:
        now = time.monotonic_ns()
        texts = [f"{number} " + "what is a word worth " * 20 for number in range(200)]
        deadline = now + 150_000_000
        plug.sendall(b"".join(framed(find(text, number + 1, deadline=deadline)) for number, text in enumerate(texts)))
        frames, replies = Frames(), []
        while Pong(1_000, 0, 0, 1) not in replies:  # until nothing waits any more
            plug.sendall(framed(Ping(1_000)))
            replies += [reply_of(body) for body in frames.feed(plug.recv(1 << 16))]
        busy = sum(isinstance(reply, Busy) for reply in replies)
        assert busy >= 100
        plug.sendall(framed(find("late", 2_000, deadline=now)) + framed(find("Soon?", 2_001)))
        while not any(reply.number == 2_001 for reply in replies):
            replies += [reply_of(body) for body in frames.feed(plug.recv(1 << 16))]
        assert not [reply for reply in replies if reply.number == 2_000]
        async with connected(process) as client:
            report = await reported(client)
        assert report.counts["busy"] == busy
        assert report.counts["late"] >= 1


@pytest.mark.alone
async def test_one_that_is_saturated_holds_nobody_up_beyond_the_deadline(process: SemanticProcess) -> None:
    flood = b"".join(framed(find(f"{number} What is a word worth? " * 5, number + 1)) for number in range(100))
    stopped = threading.Event()

    def pour() -> None:
        with plugged(process) as plug:
            while not stopped.is_set():
                plug.sendall(flood)
                frames, replies = Frames(), 0
                while replies < 100:
                    replies += len(list(frames.feed(plug.recv(1 << 16))))

    pouring = threading.Thread(target=pour)
    async with connected(process) as client:
        pouring.start()
        try:
            took = []
            for number in range(100):
                began = time.monotonic()
                await client.find(ONE, TENANT, f"Is {number} a prime number?", 0.02)
                took.append(time.monotonic() - began)
            report = await reported(client)
        finally:
            stopped.set()
            pouring.join()
    assert report.counts["busy"] > 100
    # What is beyond the deadline is the machine's doing: timers are late on it, too.
    assert sorted(took)[49] < 0.03
    assert sorted(took)[94] < 0.1


async def test_a_client_waits_no_longer_than_it_said(process: SemanticProcess) -> None:
    async with connected(process) as client:
        assert process.process is not None
        os.kill(process.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        found = await asyncio.gather(*(client.find(ONE, TENANT, f"Question {number}?", 0.05) for number in range(50)))
        took = time.monotonic() - began
        os.kill(process.process.pid, signal.SIGCONT)
        assert found == [None] * 50
        assert 0.04 < took < 0.5
        assert client.counts["late"] == 50


async def test_a_process_that_hangs_is_asked_no_more_once_its_socket_is_full(process: SemanticProcess) -> None:
    async with connected(process) as client:
        assert process.process is not None
        os.kill(process.process.pid, signal.SIGSTOP)
        try:
            answer = b"x" * 200_000
            sent = [client.keep(keep("a", "b", answer=answer, number=0)) for _ in range(40)]
            assert sent[0]
            assert not sent[-1]
            began = time.monotonic()
            assert await client.find(ONE, TENANT, "a", 5) is None
            assert time.monotonic() - began < 0.1
        finally:
            os.kill(process.process.pid, signal.SIGCONT)


async def test_without_a_process_it_is_a_miss_at_once_and_its_return_is_noticed(tmp_path: Path) -> None:
    process = SemanticProcess(tmp_path)
    process.arena_dir.mkdir()
    client = SemanticClient(process.arena_dir, asyncio.get_running_loop())
    began = time.monotonic()
    assert await client.find(ONE, TENANT, CAPITAL, 5) is None
    assert not client.keep(keep(CAPITAL, number=0))
    assert time.monotonic() - began < 0.1
    assert client.counts == {"gone": 1, "unkept": 1}
    with process:
        async with asyncio.timeout(10):
            while (found := await client.find(ONE, TENANT, CAPITAL, 5)) is None:
                await asyncio.sleep(0.02)  # until the client's own clock lets it try again
        assert found.verdict == "miss"
        process.kill()
        assert await client.find(ONE, TENANT, CAPITAL, 5) is None
        assert process.start()
        async with asyncio.timeout(10):
            while await client.find(ONE, TENANT, CAPITAL, 5) is None:
                await asyncio.sleep(0.02)
    client.close()


async def test_the_socket_and_all_files_are_for_their_owner_alone(process: SemanticProcess) -> None:
    async with connected(process) as client:
        await kept(client, CAPITAL)
    assert stat.S_IMODE((process.arena_dir / SOCKET).stat().st_mode) == 0o600
    assert stat.S_IMODE((process.state_dir / "semantic").stat().st_mode) == 0o700
    for path in (process.state_dir / "semantic").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_folders_may_have_long_names(tmp_path: Path) -> None:
    with SemanticProcess(tmp_path / ("long" * 30) / ("name" * 30)) as process:
        async with connected(process) as client:
            assert await client.ask(Ping(1), 10) == Pong(1, 0, 0, 1)


def test_it_ends_when_its_life_line_does(process: SemanticProcess) -> None:
    assert process.process is not None
    assert process.process.stdin is not None
    process.process.stdin.close()
    assert process.ended() == 1


@pytest.mark.parametrize(
    ("settings", "reason", "code"),
    [
        ({"embedder": {"type": "onnx", "model": "/nowhere"}}, "was not prepared", 1),
        ({"embedder": {"type": "onnx"}}, "required field `model`", 3),
        ({"max_error": 2}, "max_error", 3),
        ({"embedder": {"type": "openai-compatible", "model": "m"}}, "has no base_url", 1),
    ],
)
def test_what_it_cannot_start_with_is_told(tmp_path: Path, settings: dict[str, object], reason: str, code: int) -> None:
    process = SemanticProcess(tmp_path, **settings)
    assert not process.start()
    assert process.ended() == code
    assert reason in process.log.read_text()


async def test_an_endpoint_that_is_not_there_makes_misses_and_its_key_is_not_told(tmp_path: Path) -> None:
    secret = "sk-fg-do-not-show"
    embedder = {"type": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9", "key": secret}
    with SemanticProcess(tmp_path, embedder=embedder) as process:
        async with connected(process) as client:
            found = await asked(client, CAPITAL)
            assert (found.verdict, found.reason) == ("miss", "embedder_failed")
    assert secret not in process.log.read_text()
    assert "the embedder's endpoint" in process.log.read_text()


async def test_a_find_is_what_goes_over_the_socket_and_no_more(process: SemanticProcess) -> None:
    with plugged(process) as plug:
        plug.sendall(framed(Find(7, 2**62, ONE, TENANT, CAPITAL)))
        (body,) = Frames().feed(plug.recv(4096))
        reply = reply_of(body)
        assert isinstance(reply, Found)
        assert reply == Found(7, "miss", reply.reason)
