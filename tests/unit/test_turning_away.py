"""A listening socket that lets nobody new in, and is left when its queue is empty."""

import asyncio
import socket

import pytest

from fastgate.supervisor import turning_away


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_who_has_connected_is_waited_for_and_nobody_else_gets_in(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        where = listener.getsockname()[:2]
        with socket.create_connection(where), socket.create_connection(where):
            turning = asyncio.create_task(turning_away.turn_away([listener]))
            await asyncio.sleep(turning_away.HANDSHAKE_SECONDS / 2)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(socket.create_connection, where, 0.2)
            for _ in range(2):
                assert not turning.done()
                listener.accept()[0].close()
            async with asyncio.timeout(1):
                await turning


async def test_a_queue_that_nobody_empties_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning_away, "QUEUE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        async with asyncio.timeout(5):
            await turning_away.turn_away([listener])
