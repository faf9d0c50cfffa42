"""The process of one worker: ``python -m fastgate.gateway.process``, started and watched by the supervisor."""

import argparse
import asyncio
import gc
import logging
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Final

import uvloop

from fastgate import logs
from fastgate._core.arena import Arena
from fastgate.gateway.app import Gateway
from fastgate.gateway.cross_origin import CrossOrigin
from fastgate.gateway.front import Front, Pair
from fastgate.gateway.patience import FOLLOW_SECONDS, STALLED_SECONDS, UPLOAD_SECONDS, Patience
from fastgate.gateway.plain_front import PlainFront
from fastgate.gateway.worker import BEAT_SECONDS, Worker
from fastgate.wire.sealing import Sealer, SealError

SNAPSHOT_POLL: Final = 0.005
LEAVING_POLL: Final = 0.05
DRAINING_POLL: Final = 0.02
CUT_SECONDS: Final = 1.0
"""For what was cut to be told and settled; the supervisor waits a little longer."""

log = logging.getLogger("fastgate.gateway")


class Process:
    """The life of a worker: ready, serving, ending and draining (or leaving, where another takes its place), gone."""

    def __init__(self, arena_dir: Path, sealer: Sealer, descriptor: int, pair: Pair | None, patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = Worker(arena_dir, self._loop, sealer, patience)
        self._gateway = Gateway(self._worker)
        origins = self._worker.state.head.cors_origins
        application = CrossOrigin(self._gateway, origins) if origins else self._gateway
        self._front = (
            Front(application, descriptor, pair) if pair else PlainFront(application, descriptor, self._worker.runner)
        )

    async def run(self) -> None:
        """Serve until told to stop."""
        serving = asyncio.create_task(self._front.serve())
        beating = asyncio.create_task(self._beat())
        self._loop.add_signal_handler(signal.SIGUSR1, self._announce)
        self._loop.add_signal_handler(signal.SIGTERM, lambda: self._loop.create_task(self._drain()))
        self._loop.add_signal_handler(signal.SIGUSR2, lambda: self._loop.create_task(self._leave()))
        self._loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's: the supervisor decides
        self._loop.add_reader(sys.stdin.fileno(), self._lifeline)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        tell_ready()
        await serving
        beating.cancel()
        await self._worker.close()

    async def _beat(self) -> None:
        while True:
            self._worker.beat()
            self._front.follow(self._worker.state.head.certificate)
            await asyncio.sleep(BEAT_SECONDS)

    def _announce(self) -> None:
        """The host ends soon: say so to who asks whether it is ready, and serve on."""
        self._gateway.leaving = self._gateway.ending = True
        self._front.announce()

    async def _drain(self) -> None:
        """The host ends: accept no more, finish what is open, and what may be on its way on the connections."""
        self._announce()
        self._gateway.draining = True
        deadline = self._deadline()
        idle = self._worker.state.head.drain_delay_ms / 1000
        await self._front.drain()
        quiet_since = self._loop.time()
        while (now := self._loop.time()) < deadline:
            quiet_since = now if self._worker.open else quiet_since
            if not self._front.part(idle, now - quiet_since) and not self._worker.open:
                break
            await asyncio.sleep(DRAINING_POLL)
        await self._cut()
        self._front.stop()

    async def _leave(self) -> None:
        """Another worker accepts on the same socket: serve the connections that are open until none is left."""
        self._gateway.leaving = True
        self._front.leave()
        deadline = self._deadline()
        while (self._worker.open or self._front.connections()) and self._loop.time() < deadline:
            await asyncio.sleep(LEAVING_POLL)
        await self._cut()
        self._front.stop()

    async def _cut(self) -> None:
        """What outlasts the bound ends with an error in its own dialect, rather than in the middle of a word."""
        if not self._worker.open:
            return
        log.warning("%d requests outlast the bound of draining: they are cut", self._worker.open)
        await self._worker.cut()
        deadline = self._loop.time() + CUT_SECONDS
        while self._worker.open and self._loop.time() < deadline:
            await asyncio.sleep(0.02)

    def _deadline(self) -> float:
        self._worker.beat()  # a reload just before counts, though nobody has looked since
        return self._loop.time() + self._worker.state.head.drain_ms / 1000

    def _lifeline(self) -> None:
        """The supervisor never writes: what can be read is the end of it, and with it ours."""
        if not os.read(sys.stdin.fileno(), 1):
            os._exit(0)


def await_snapshot(arena_dir: Path, stale: int) -> None:
    """Return when a snapshot newer than ``stale`` is in force; end with the supervisor."""
    arena = Arena(str(arena_dir / "arena.bin"))
    while arena.snapshot_generation <= stale:
        if select.select([sys.stdin], [], [], SNAPSHOT_POLL)[0] and not os.read(sys.stdin.fileno(), 1):
            os._exit(0)


def tell_ready() -> None:
    """Write ``ready`` to the descriptor that the supervisor listens on."""
    descriptor = os.environ.pop("FASTGATE_READY_FD", None)
    if descriptor is not None:
        with os.fdopen(int(descriptor), "w") as pipe:
            pipe.write("ready\n")


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="fastgate.gateway.process")
    parser.add_argument("--arena-dir", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True, help="listening socket, inherited")
    for name in ("cert", "key"):
        parser.add_argument(f"--tls-{name}", type=Path, help="PEM file; both or none")
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--stale", type=int, default=0, help="generation of the last snapshot not to serve")
    for name, seconds in (("upload", UPLOAD_SECONDS), ("stalled", STALLED_SECONDS), ("follow", FOLLOW_SECONDS)):
        default = os.environ.get(f"FASTGATE_{name.upper()}_SECONDS", seconds)
        parser.add_argument(f"--{name}-seconds", type=float, default=default)
    options = parser.parse_args(arguments)
    logs.set_up("worker", text=f"worker {options.index}: %(message)s", worker=options.index)

    await_snapshot(options.arena_dir, options.stale)

    async def live() -> Any:
        patience = Patience(options.upload_seconds, options.stalled_seconds, options.follow_seconds)
        sealer = Sealer(options.state_dir, os.environ)
        pair = Pair(options.tls_cert, options.tls_key) if options.tls_cert else None
        await Process(options.arena_dir, sealer, options.fd, pair, patience).run()

    try:
        uvloop.run(live())
    except SealError as error:
        logging.error("cannot start: %s", error)  # noqa: TRY400
        sys.exit(1)


if __name__ == "__main__":
    main()
