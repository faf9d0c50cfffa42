"""The life of a whole host: folders, lock, sockets, arena, then the children in order, until a signal ends it.

Start: arena recovered, essential programs, control (writes the snapshot that workers need), workers and the semantic
process, further programs. End: first the host says that it is not ready, and serves on for a while; then the same
backwards, so that what the workers settle last still reaches the ledger.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fastgate.supervisor import commands, notify, patience, sockets
from fastgate.supervisor.child import Command
from fastgate.supervisor.files import allow_most
from fastgate.supervisor.folders import (
    SHARED_MEMORY,
    KinLock,
    choose_arena_dir,
    keep_secret,
    make_private,
    refuse_strangers,
)
from fastgate.supervisor.health import HealthFile
from fastgate.supervisor.keeper import Keeper
from fastgate.supervisor.options import ServeOptions
from fastgate.supervisor.pinger import Pinger
from fastgate.supervisor.recovery import Recovery
from fastgate.supervisor.renewal import Renewal
from fastgate.supervisor.restored import take_up
from fastgate.supervisor.turning_away import turn_away
from fastgate.supervisor.watch import Watch
from fastgate.wire.liveness import PING, SOCKET

CONTROL_SECONDS = 10.0
PROGRAM_SECONDS = 2.0
SEMANTIC_SECONDS = 10.0
"""For what waits to be kept, and for the graphs of its index."""

log = logging.getLogger("fastgate.supervisor")


def serve(options: ServeOptions, announce: Callable[[ServeOptions], None]) -> int:
    """Runs everything until SIGTERM or SIGINT; returns the exit code. The caller holds the state folder's lock.

    ``announce`` is called once, when every child serves, with the options as they turned out (port chosen).

    Raises:
        SupervisorError: the host cannot serve; see :mod:`fastgate.supervisor.errors`.

    """
    allow_most()
    arena_dir = options.arena_dir or choose_arena_dir(options.state_dir)
    make_private(arena_dir)
    if arena_dir.parent == SHARED_MEMORY:  # where every user may make folders
        refuse_strangers(arena_dir)
    if options.has_admin_token:  # then nobody looks here: none from before may stay
        (options.state_dir / "admin-token").unlink(missing_ok=True)
    else:
        keep_secret(options.state_dir / "admin-token")
    kin = KinLock(options.state_dir)
    try:
        take_up(options.state_dir, arena_dir)
        sockets.check_free(options.admin_host, options.admin_port)
        listeners = sockets.listen(options.host, options.port, options.worker_count())
        try:
            options = replace(options, port=listeners[0].getsockname()[1], arena_dir=arena_dir)
            return asyncio.run(_serve(options, arena_dir, listeners, kin, announce))
        finally:
            sockets.close(listeners)
    finally:
        kin.close()


async def _serve(
    options: ServeOptions,
    arena_dir: Path,
    listeners: Sequence[socket.socket],
    kin: KinLock,
    announce: Callable[[ServeOptions], None],
) -> int:
    recovery = Recovery(arena_dir)
    try:
        return await Host(options, arena_dir, recovery, listeners, kin).run(announce)
    finally:
        recovery.close()


class Host:
    """All children of one host; ``recovery`` resolves what dead processes left in the arena."""

    def __init__(
        self,
        options: ServeOptions,
        arena_dir: Path,
        recovery: Recovery,
        listeners: Sequence[socket.socket],
        kin: KinLock,
    ) -> None:
        self._options = options
        self._arena_dir = arena_dir
        self._recover = recovery.resolve
        self._stale = recovery.generation
        self._listeners = list(listeners)
        self._kin = kin
        self._health = HealthFile(options)
        programs = [
            (wanted.essential, self._keeper(wanted.name, commands.program(options, arena_dir, wanted)))
            for wanted in options.programs
        ]
        self._essential = [keeper for essential, keeper in programs if essential]
        self._further = [keeper for essential, keeper in programs if not essential]
        self._control = self._keeper("control", commands.control(options, arena_dir, self._stale), self._recover)
        semantic = [commands.semantic(options, arena_dir)] if options.semantic is not None else []
        self._semantic = [self._keeper("semantic", command, needed=False) for command in semantic]
        workers = [self._worker(index) for index in range(len(listeners))]
        self._renewal = Renewal(
            self._control,
            workers,
            self._worker,
            self._forget,
            self._leave_seconds,
            mistakes=lambda: _said_by(commands.check(options)),
            unfit=lambda: _said_by(commands.semantic_unfit(options)),
            beside=self._semantic,
        )
        self._pingers = [Pinger(keeper, arena_dir / SOCKET, PING) for keeper in self._semantic]
        self._watch = Watch(self._beats(recovery), lambda: [*self._renewal.keepers, *self._semantic])
        self._ending = asyncio.Event()
        self._at_once = asyncio.Event()

    async def run(self, announce: Callable[[ServeOptions], None]) -> int:
        """Starts everything, waits for a signal, ends everything."""
        self._install_signals()
        self._health.enter("starting")
        self._recover()
        starting = asyncio.create_task(self._start())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._health.enter("serving")
                notify.tell("READY", f"serving at {self._options.api_url}")
                announce(self._options)
                runs = [self._watch.run(), *(pinger.run() for pinger in self._pingers)]
                watching = [asyncio.create_task(run) for run in runs]
                await ending
                await self._serve_on()
                for task in watching:
                    task.cancel()
        finally:
            ending.cancel()
            await self._end(starting)
        return 0

    def _beats(self, recovery: Recovery) -> Callable[[], Mapping[int, int]]:
        """Gives the last sign of life of each child that has one, by pid."""

        def beats() -> Mapping[int, int]:
            found = dict(recovery.beats())
            for pinger in self._pingers:
                found |= pinger.beats()
            return found

        return beats

    async def _start(self) -> None:
        # Workers load while the control process does, and then wait for its first snapshot.
        together = [self._control, *self._renewal.workers, *self._semantic]
        for keepers in (self._essential, together, self._further):
            # All of a group together; when one fails the rest are ended by `run`.
            await asyncio.gather(*(keeper.start() for keeper in keepers))

    async def _serve_on(self) -> None:
        """For as long as load balancers take to notice that they should not come again; then turn away who does."""
        self._enter_draining()
        await self._renewal.stop()
        if delay := self._drain_delay_seconds():
            for keeper in self._renewal.keepers:
                keeper.tell(signal.SIGUSR1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._at_once.wait(), delay)
        if not self._at_once.is_set():
            await turn_away(self._listeners)

    async def _end(self, starting: "asyncio.Task[None]") -> None:
        starting.cancel()
        self._enter_draining()
        # The workers hold the same sockets: once all have closed theirs, new connections are refused at once.
        sockets.close(self._listeners)
        await self._renewal.stop()
        await _stop(self._further, PROGRAM_SECONDS)
        await _stop(self._renewal.keepers, self._leave_seconds())
        await _stop(self._semantic, SEMANTIC_SECONDS)
        await _stop([self._control], CONTROL_SECONDS)
        await _stop(self._essential, PROGRAM_SECONDS)
        self._health.enter("stopped")

    def _enter_draining(self) -> None:
        if self._health.phase != "draining":
            self._health.enter("draining")
            notify.tell("STOPPING", "draining")

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_end)
        loop.add_signal_handler(signal.SIGINT, self._on_end)
        loop.add_signal_handler(signal.SIGHUP, self._control.tell, signal.SIGHUP)
        loop.add_signal_handler(signal.SIGUSR2, self._on_renew)

    def _on_renew(self) -> None:
        if self._health.phase == "serving":
            self._renewal.begin()
        else:
            log.warning("not renewed: this host is %s", self._health.phase)

    def _on_end(self) -> None:
        if not self._ending.is_set():
            on = f"serving on for {delay:g} s, then " if (delay := self._drain_delay_seconds()) else ""
            log.info("draining: %swaiting up to %g s for open requests", on, self._drain_seconds())
            self._ending.set()
            return
        log.warning("second signal: ending at once")
        self._at_once.set()
        for keeper in (*self._further, *self._renewal.keepers, *self._semantic, self._control, *self._essential):
            keeper.kill()

    def _drain_seconds(self) -> float:
        return patience.drain_seconds(self._arena_dir, self._options.drain_seconds)

    def _drain_delay_seconds(self) -> float:
        return patience.drain_delay_seconds(self._arena_dir, self._options.drain_delay_seconds)

    def _leave_seconds(self) -> float:
        return self._drain_seconds() + patience.MARGIN

    def _worker(self, index: int) -> Keeper:
        """Of the next run of a worker; it has the socket in common with the run before."""
        descriptor = self._listeners[index].fileno()
        command = commands.worker(self._options, self._arena_dir, index, descriptor, self._stale)
        return self._keeper(f"worker {index}", command, self._recover)

    def _forget(self, keeper: Keeper) -> None:
        self._health.children.remove(keeper.health)
        self._health.write()

    def _keeper(
        self, name: str, command: Command, after_death: Callable[[], None] | None = None, *, needed: bool = True
    ) -> Keeper:
        command = replace(command, descriptors=(*command.descriptors, self._kin.descriptor))
        keeper = Keeper(name, command, changed=self._health.write, after_death=after_death, needed=needed)
        self._health.children.append(keeper.health)
        return keeper


async def _stop(keepers: Iterable[Keeper], grace_seconds: float) -> None:
    await asyncio.gather(*(keeper.stop(grace_seconds) for keeper in keepers))


async def _said_by(command: Command) -> str:
    """What a command has against going on; empty where it ends well. It looks before anything that runs has to go."""
    process = await asyncio.create_subprocess_exec(
        *command.argv,
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode(errors="replace").strip() if process.returncode else ""
