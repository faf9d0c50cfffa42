"""Kills parts of a gateway at moments of chance, and measures until it serves again."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Callable, Sequence

from tests.chaos.traffic import Book, ask, request
from tests.support.house import House, wait_for
from tests.support.wire import exchange, head


class Killer:
    """Kills parts of a house that serves the requests of ``book``, and measures until it serves again.

    ``keys``: those of requests that have to be served. None: some are not, whatever is killed.
    """

    def __init__(self, house: House, book: Book, keys: Sequence[str] | None) -> None:
        self.house = house
        self.book = book
        self._keys = keys
        self.seconds: list[float] = []
        self._chance = random.Random(20261121)
        self._probes = 0

    def strike(self, what: str) -> None:
        """At a moment of chance; returns when the service is back."""
        time.sleep(self._chance.random() * 0.2)  # the moment is what is random here
        {"worker": self.worker, "control": self.control, "supervisor": self.supervisor, "everything": self.everything}[
            what
        ]()

    def load(self, answers: int) -> None:
        """Waits until so many more requests were answered."""
        enough = len(self.book.answers) + answers
        wait_for(lambda: len(self.book.answers) >= enough, 30, "answers under load")

    def worker(self) -> None:
        self._child(f"worker {self._chance.randrange(self.house.workers)}")

    def control(self) -> None:
        failures = self.book.failures
        self._child("control", lambda: bool(self.house.admin("status")))
        assert self._keys is None or self.book.failures == failures, "requests failed for want of a control plane"

    def supervisor(self) -> None:
        self.house.kill_supervisor()
        self._serve()

    def everything(self) -> None:
        self.house.kill_everything()
        self._serve()

    def _serve(self) -> None:
        began = time.monotonic()
        self.house.start()
        assert self.served()
        self._back(began)

    def _child(self, name: str, works: Callable[[], bool] | None = None) -> None:
        before, began = self._health(name), time.monotonic()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: self._is_another(name, before[0]), 30, f"{name} is back")
        assert (works or self.served)()
        self._back(began)

    def _is_another(self, name: str, before: int) -> bool:
        pid, state = self._health(name)  # one look: two could see two runs
        return state == "ready" and pid != before

    def _back(self, began: float) -> None:
        self.seconds.append(time.monotonic() - began)

    def _health(self, name: str) -> tuple[int, str]:
        children = json.loads((self.house.state_dir / "supervisor.json").read_bytes())["children"]
        return next((child["pid"], child["state"]) for child in children if child["name"] == name)

    def served(self) -> bool:
        """Whether a request on a new connection is answered; it is of the book, too."""
        if self._keys is None:
            return exchange(self.house.port, head("/v1/models", method="GET", length=0)).status == 401
        keys = self._keys
        self._probes += 1

        async def once() -> bool:
            connection = await asyncio.open_connection("127.0.0.1", self.house.port)
            try:
                return await ask(connection, *request(4_000_000 + 4 * self._probes, keys), self.book)
            finally:
                connection[1].close()

        return asyncio.run(once())


def schedule(rounds: int) -> Sequence[str]:
    kinds = ("worker", "control", "supervisor", "everything")
    order = [kinds[number % len(kinds)] for number in range(rounds)]
    random.Random(rounds).shuffle(order)
    return order
