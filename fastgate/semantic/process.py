"""The semantic process: ``python -m fastgate.semantic.process``, started and watched by the supervisor."""

import argparse
import asyncio
import gc
import logging
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from fastgate import logs
from fastgate.semantic.embedder import Embedder, open_embedder
from fastgate.semantic.errors import SemanticError
from fastgate.semantic.graph import available
from fastgate.semantic.repository import Repository
from fastgate.semantic.server import Server, listen
from fastgate.semantic.service import Service
from fastgate.semantic.settings import VARIABLE, Settings, settings_of
from fastgate.wire.semantic import SOCKET

FAILED: Final = 1
BAD_CONFIGURATION: Final = 3
NICENESS: Final = 5
MOST_TOLD: Final = 1_000
"""Characters of a reason."""
FOLDER: Final = "semantic"
"""In the state folder, 0700."""

log = logging.getLogger("fastgate.semantic")


async def live(arena_dir: Path, state_dir: Path, settings: Settings) -> None:
    """Serves until SIGTERM, then keeps what waits. Raises SemanticError, OSError."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's: the supervisor decides
    loop.add_reader(sys.stdin.fileno(), _lifeline)
    embedder, repository = await asyncio.to_thread(_opened, state_dir, settings)
    service = Service(repository, embedder, settings)
    server = Server(service, settings)
    working = asyncio.create_task(service.run())
    listener = await loop.create_unix_server(server.connection, sock=listen(arena_dir))
    gc.collect()
    gc.freeze()
    log.info("%d entries in %d partitions; embedder: %s", len(repository), repository.partitions, embedder.identity)
    tell("ready")
    await ending.wait()
    listener.close()
    (arena_dir / SOCKET).unlink(missing_ok=True)
    server.close()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await service.close()


def _opened(state_dir: Path, settings: Settings) -> tuple[Embedder, Repository]:
    """What takes long: the loop watches the supervisor meanwhile."""
    embedder = open_embedder(settings.embedder)
    if not available():
        log.warning("hnswlib is not installed: every question is compared with all entries of its partition")
    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return embedder, Repository(folder, embedder.identity, settings, random.Random(os.urandom(16)))


def _lifeline() -> None:
    """The supervisor never writes: what can be read is the end of it, and with it ours."""
    if not os.read(sys.stdin.fileno(), 1):
        os._exit(FAILED)


def tell(line: str) -> None:
    """Writes ``ready``, or ``failed: `` and why, to the descriptor that the supervisor listens on; the first time."""
    descriptor = os.environ.pop("FASTGATE_READY_FD", None)
    if descriptor is not None:
        with os.fdopen(int(descriptor), "w") as pipe:
            pipe.write(line.replace("\n", " ")[:MOST_TOLD] + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="fastgate.semantic.process")
    parser.add_argument("--arena-dir", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    options = parser.parse_args(arguments)
    os.umask(0o077)  # the store writes files beside itself
    # Under load the workers come first: what is embedded too late is a miss, what they do late is late for everybody.
    os.nice(NICENESS)
    logs.set_up("semantic", text="semantic: %(message)s")
    try:
        settings = settings_of(os.environ.pop(VARIABLE, ""))
    except msgspec.MsgspecError as error:
        log.error("cannot start: the settings in %s: %s", VARIABLE, error)  # noqa: TRY400
        return BAD_CONFIGURATION
    try:
        uvloop.run(live(options.arena_dir, options.state_dir, settings))
    except (SemanticError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400
        tell(f"failed: {error}")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
