"""What the supervisor is told: addresses, folders, numbers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastgate.logs import Form


@dataclass(frozen=True)
class Program:
    """A further child program, run on a leash: ``python -m module arguments...``.

    ``port`` is where it listens once it is ready (None: ready as soon as it runs). ``essential`` programs are started
    before the control process, since others ask them for something; the rest come after the workers.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    port: int | None = None
    essential: bool = False


@dataclass(frozen=True)
class ServeOptions:
    """Everything `fastgate serve` decided before the first process starts; paths are absolute.

    ``workers`` 0 means one per core that this process may use. ``arena_dir`` None means chosen by
    :func:`fastgate.supervisor.folders.choose_arena_dir`. ``has_admin_token``: the configuration says it, so that none
    is made and kept.
    """

    config: Path
    state_dir: Path
    arena_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    workers: int = 0
    drain_seconds: float = 30.0
    drain_delay_seconds: float = 0.0
    """How long the host serves on after it was told to end, and says that it is not ready."""
    tls: tuple[Path, Path] | None = None
    """Certificate and key of the data plane; None: plain HTTP."""
    has_admin_token: bool = False
    programs: tuple[Program, ...] = ()
    semantic: Mapping[str, Any] | None = field(default=None, repr=False)
    """Settings of the semantic process, as plain values, keys of endpoints among them; None: there is none."""
    log_format: Form = "text"
    started_with: Mapping[str, Any] = field(default_factory=dict)
    """Settings as the configuration had them, less what the command line said in their place; no secret."""

    @property
    def api_url(self) -> str:
        """The data plane, for a client on this host."""
        return f"{'http' if self.tls is None else 'https'}://{_reachable(self.host)}:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin API, for a client on this host."""
        return f"http://{_reachable(self.admin_host)}:{self.admin_port}"

    def worker_count(self) -> int:
        """The number of worker processes, at least one."""
        return self.workers or max(1, len(os.sched_getaffinity(0)))


def _reachable(host: str) -> str:
    """An address that a client on this host can call."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
