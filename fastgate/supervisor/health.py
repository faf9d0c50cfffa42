"""The children's health, kept in a small file that `status` and operators read.

``<state_dir>/supervisor.json``::

    {"pid": 1, "version": "0.1.0", "phase": "serving", "started_at": 1767225600.0, "listen": "127.0.0.1:8080",
     "api": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:8081", "config": "/etc/fastgate/fastgate.yaml",
     "children": [{"name": "worker 0", "pid": 2, "state": "ready", "restarts": 0, "since": 1767225600.0,
                   "last_end": null, "error": null}]}

Times are Unix seconds; ``state`` is one of :class:`State`; ``last_end`` says how the run before this one ended.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from fastgate.supervisor.options import ServeOptions
from fastgate.version import __version__
from fastgate.wire.whole_files import replace


class State(StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    """Ended; the next run begins after a pause."""
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass
class ChildHealth:
    """One child, over all its runs."""

    name: str
    pid: int | None = None
    state: State = State.STARTING
    restarts: int = 0
    since: float = field(default_factory=time.time)
    last_end: str | None = None
    error: str | None = None

    def enter(self, state: State, pid: int | None) -> None:
        """Notes a change of state."""
        self.state, self.pid, self.since = state, pid, time.time()


class HealthFile:
    """Writes the health of all children whenever one of them changes."""

    def __init__(self, options: ServeOptions) -> None:
        self.path = options.state_dir / "supervisor.json"
        self.children: list[ChildHealth] = []
        self._options = options
        self.phase = "starting"
        self._started_at = time.time()

    def enter(self, phase: str) -> None:
        """Notes a phase of the whole: ``starting``, ``serving``, ``draining``, ``stopped``."""
        self.phase = phase
        self.write()

    def write(self) -> None:
        """Replaces the file. A full disk must not end the service, so a failure to write is let go; the next one may
        pass.
        """
        document = {
            "pid": os.getpid(),
            "version": __version__,
            "phase": self.phase,
            "started_at": self._started_at,
            "listen": f"{self._options.host}:{self._options.port}",
            "api": self._options.api_url,
            "admin": self._options.admin_url,
            "config": str(self._options.config),
            "children": [asdict(child) for child in self.children],
        }
        try:
            replace(self.path, f"{json.dumps(document)}\n".encode(), private=True)
        except OSError:
            return
