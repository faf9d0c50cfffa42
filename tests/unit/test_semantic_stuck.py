"""A semantic process of which one thread does not come back says so: by no reply to who asks whether it lives."""

import asyncio
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fastgate.semantic import service as module
from fastgate.semantic.embedder import Embedded, Threaded
from fastgate.semantic.repository import Repository
from fastgate.semantic.server import Connection, Server
from fastgate.semantic.service import Service
from fastgate.semantic.settings import EmbedderSettings, Settings
from fastgate.wire.semantic import Found, Ping, Pong, Reply
from tests.support.semantic import find

SECONDS = 0.2


class Halting:
    """A model that computes nothing until it may."""

    identity = "halting"

    def __init__(self) -> None:
        self.may = threading.Event()

    def embed(self, texts: Sequence[str]) -> Embedded:
        assert self.may.wait(30)
        return Embedded(np.eye(len(texts), 4, dtype=np.float32), (True,) * len(texts))


class Replies(Connection):
    """Keeps what would be sent."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.came: list[Reply] = []

    def send(self, reply: Reply) -> None:
        self.came.append(reply)


async def test_who_asks_has_no_reply_while_the_embedder_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", SECONDS)
    monkeypatch.setattr(module, "IDLE_SECONDS", SECONDS / 10)
    settings = Settings(embedder=EmbedderSettings(model="none"))
    model = Halting()
    repository = Repository(tmp_path, model.identity, settings, random.Random(1))
    service = Service(repository, Threaded(model), settings)
    server = Server(service, settings)
    replies = Replies(server)

    def lives() -> bool:
        replies.came.clear()
        server.take(Ping(1), replies)
        return replies.came == [Pong(1, 0, 0, 0)]

    async def until_it_lives(wanted: bool) -> None:
        async with asyncio.timeout(20):
            while lives() is not wanted:
                await asyncio.sleep(SECONDS / 20)

    working = asyncio.create_task(service.run())
    try:
        assert lives()
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        service.ask(find("What?"), answered.set_result)
        await until_it_lives(False)
        assert not answered.done()
        model.may.set()
        assert isinstance(await answered, Found)
        await until_it_lives(True)
    finally:
        model.may.set()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await service.close()
