"""What serves a request runs in the callbacks that it waits for, and is as well behaved as a task would be."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from fastgate._core.runner import Runner
from fastgate._core.server import Server
from fastgate._core.upstream import Pool
from tests.support.lines import Line, nothing, serving

ASKED = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"
LONG = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"


def on_loop(work: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(asyncio.wait_for(work(), 20))  # type: ignore[arg-type]


async def with_runner(application: Any, use: Callable[[Runner, int], Awaitable[None]]) -> None:
    """A server whose runner the test has; ``use`` is given the server's port."""
    runner = Runner(asyncio.get_running_loop())
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(runner.loop, application, nothing, runner=runner)
    await server.listen(listener, 100)
    try:
        await use(runner, port)
    finally:
        await server.close(1)


def test_it_is_no_task_and_its_first_step_is_made_in_the_read_callback() -> None:
    found: list[object] = []

    async def application(scope: Any, protocol: Any) -> None:
        found.append(asyncio.current_task())
        protocol.response_bytes(200, [], b"")

    async def work() -> None:
        async with serving(application) as (_, port), Line(port) as line:
            line.send(ASKED % 1)
            await line.answer()

    on_loop(work)
    assert found == [None]


def test_it_may_wait_for_futures_tasks_and_its_turn() -> None:
    async def application(scope: Any, protocol: Any) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        one, other = await asyncio.gather(asyncio.sleep(0.01, "a"), asyncio.sleep(0, "b"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("c"))
        with pytest.raises(ValueError, match="c"):
            await future
        protocol.response_bytes(200, [], (one + other).encode())

    async def work() -> None:
        async with serving(application) as (_, port), Line(port) as line:
            for _ in range(3):
                line.send(ASKED % 1)
                assert (await line.answer())[1] == b"ab"

    on_loop(work)


def test_a_thousand_sent_ahead_are_answered_in_order_on_a_flat_stack() -> None:
    async def application(scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, [], scope.path.encode())

    async def work() -> None:
        async with serving(application) as (_, port), Line(port) as line:
            line.send(b"".join(ASKED % number for number in range(1000)))
            for number in range(1000):
                assert (await line.answer())[1] == b"/%d" % number

    on_loop(work)


def test_one_that_fails_is_told_to_the_loop_and_answered() -> None:
    told: list[dict[str, Any]] = []

    async def application(scope: Any, protocol: Any) -> None:
        if scope.path == "/2":
            await asyncio.sleep(0)
        raise RuntimeError(scope.path)

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with serving(application) as (_, port):
            for number in (1, 2):
                async with Line(port) as line:
                    line.send(ASKED % number)
                    assert (await line.answer())[0].startswith(b"HTTP/1.1 500")

    on_loop(work)
    assert [str(context["exception"]) for context in told] == ["/1", "/2"]


@pytest.mark.parametrize("waits_for", ["body", "future", "task", "turn", "nothing"])
def test_it_is_cancelled_where_it_waits(waits_for: str) -> None:
    runs: list[Any] = []
    began = asyncio.Event()

    async def work() -> None:
        async def application(scope: Any, protocol: Any) -> None:
            runs.append(runner_of[0].running)
            began.set()
            try:
                if waits_for == "body":
                    await protocol()
                elif waits_for == "future":
                    await asyncio.get_running_loop().create_future()
                elif waits_for == "task":
                    await asyncio.gather(asyncio.sleep(30))
                elif waits_for == "turn":
                    while True:
                        await asyncio.sleep(0)
                else:
                    runs[0].cancel()
                    await protocol()
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # it may go on
                protocol.response_bytes(503, [("connection", "close")], b"cancelled")

        runner_of: list[Runner] = []

        async def use(runner: Runner, port: int) -> None:
            runner_of.append(runner)
            async with Line(port) as line:
                line.send(LONG)
                await began.wait()
                if waits_for != "nothing":
                    assert runs[0].cancel()
                assert (await line.answer())[1] == b"cancelled"
            assert runner.running is None
            assert not runs[0].cancel()  # it has ended

        await with_runner(application, use)

    on_loop(work)


def test_a_body_that_comes_when_it_is_cancelled_wakes_nobody() -> None:
    seen: list[object] = []
    runs: list[Any] = []

    async def work() -> None:
        async def application(scope: Any, protocol: Any) -> None:
            runs.append(runner_of[0].running)
            try:
                seen.append(await protocol())
            except asyncio.CancelledError:
                seen.append("cancelled")
            seen.append(await protocol())
            protocol.response_bytes(200, [], b"")

        runner_of: list[Runner] = []

        async def use(runner: Runner, port: int) -> None:
            runner_of.append(runner)
            async with Line(port) as line:
                line.send(LONG)
                while not runs:
                    await asyncio.sleep(0.001)
                runs[0].cancel()
                line.send(b"body")
                await line.answer()

        await with_runner(application, use)

    on_loop(work)
    assert seen == ["cancelled", b"body"]


def test_runs_and_tasks_ask_by_the_same_pool() -> None:
    async def upstream(scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, [], await protocol())

    async def work() -> None:
        async with serving(upstream) as (_, upstream_port):
            pools: list[Pool] = []
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"

            async def relay(scope: Any, protocol: Any) -> None:
                exchange = await pools[0].request(head, b"%4d" % int(scope.path[1:]))
                protocol.response_bytes(200, [], await exchange.read(100))

            async def use(runner: Runner, port: int) -> None:
                pools.append(Pool(runner.loop, "127.0.0.1", upstream_port, runner=runner))

                async def by_a_run(number: int) -> bytes:
                    async with Line(port) as line:
                        line.send(ASKED % number)
                        return (await line.answer())[1]

                async def by_a_task(number: int) -> bytes:
                    exchange = await pools[0].request(head, b"%4d" % number)
                    return await exchange.read(100)

                asked = [ask(number) for number in range(50) for ask in (by_a_run, by_a_task)]
                assert await asyncio.gather(*asked) == [b"%4d" % number for number in range(50) for _ in range(2)]
                await pools[0].close()

            await with_runner(relay, use)

    on_loop(work)
