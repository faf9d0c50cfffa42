"""What subjects stand on, and those of them that stand there whenever the whole system is measured."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest import bare, house, nginx, prompts
from loadtest.cores import Cores
from loadtest.figures import ALONE, BARE, FASTGATE, HIDDEN, NGINX
from loadtest.programs import Programs, free_port

_PYTHON: Final = [sys.executable, "-m"]


@dataclass(frozen=True)
class Subject:
    """Something that requests are sent to. ``pids``: processes by name; the one that is measured is ``subject``."""

    name: str
    port: int
    pids: Mapping[str, int]
    path: str = prompts.PATH
    include_usage: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    """That its clients send beside what all send."""
    rewrites: bool = False
    """Whether it writes answers anew: only what clients read of them is then as the upstream's."""
    version: str = ""
    """Where the machine's description does not say it."""


@dataclass(frozen=True)
class Cast:
    """Those who answer whole, and those who answer in streams."""

    constant: Sequence[Subject]
    streamed: Sequence[Subject]


@dataclass(frozen=True)
class Stage:
    """The two upstreams, and fastgate in front of them."""

    programs: Programs
    cores: Cores
    upstream: nginx.Nginx
    source_port: int
    source_pid: int
    house: house.House

    @classmethod
    def set_up(cls, cores: Cores, folder: Path, stack: ExitStack, *, chunks: int, chunk_ms: float) -> "Stage":
        """Start them; they end with ``stack``. ``chunks``, ``chunk_ms``: of each stream of the source."""
        arena_dir = Path(stack.enter_context(house.arena_folder()))
        programs = stack.enter_context(Programs(folder))
        upstream, source_port = nginx.upstream(programs, cores.load), free_port()
        argv = [*_PYTHON, "loadtest.source", str(source_port), str(chunks), str(chunk_ms)]
        source_pid = programs.start("source", argv, cores.load, port=source_port)
        own = house.House(programs, cores, arena_dir, upstream_port=upstream.port, source_port=source_port)
        return cls(programs, cores, upstream, source_port, source_pid, own)

    @property
    def fastgate(self) -> Mapping[str, int]:
        """Its processes."""
        own = self.house
        return {"subject": own.worker, "control": own.control, "supervisor": own.supervisor}

    @property
    def constant(self) -> Mapping[str, int]:
        """The process of the constant upstream."""
        return {"upstream": self.upstream.pid}

    @property
    def streaming(self) -> Mapping[str, int]:
        """The process of the upstream of streams."""
        return {"upstream": self.source_pid}


Casting = Callable[[Stage], Cast]
"""Starts what is to stand beside fastgate."""


def system(stage: Stage) -> Cast:
    """nginx and a bare relay on Granian beside fastgate, and both upstreams without anything before them."""
    core, upstream_port, source_port = stage.cores.subject, stage.upstream.port, stage.source_port
    proxy, bare_port = nginx.proxy(stage.programs, core, upstream_port), free_port()
    argv = [*_PYTHON, bare.__name__, str(bare_port), str(upstream_port), str(source_port)]
    relay = {"subject": stage.programs.start("bare", argv, core, port=bare_port)}
    whole, streams, port = stage.constant, stage.streaming, stage.house.port
    return Cast(
        constant=[
            Subject(ALONE, upstream_port, whole),
            Subject(NGINX, proxy.port, {"subject": proxy.pid, **whole}),
            Subject(BARE, bare_port, {**relay, **whole}),
            Subject(FASTGATE, port, {**stage.fastgate, **whole}),
        ],
        streamed=[
            Subject(ALONE, source_port, streams),
            Subject(BARE, bare_port, {**relay, **streams}, bare.STREAM_PATH),
            Subject(FASTGATE, port, {**stage.fastgate, **streams}),
            Subject(HIDDEN, port, {**stage.fastgate, **streams}, include_usage=False),
        ],
    )
