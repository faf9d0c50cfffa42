"""What is examined: a configuration, a state folder, and the gateway that runs there, if one does."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgate.config import Config
from fastgate.supervisor.errors import AlreadyRunning, StateUnusable
from fastgate.supervisor.folders import StateLock, choose_arena_dir


class NoAnswer(Exception):
    """The admin API of the running gateway does not answer, or not as it should; the message says how."""


@dataclass(frozen=True)
class Running:
    """The gateway that holds the state folder, as its supervisor describes it."""

    pid: int
    version: str
    listen: str
    """Host and port of the API."""
    admin_url: str
    started_at: float
    """Unix seconds, by the clock of then."""


@dataclass(frozen=True)
class Installation:
    """``config`` has the command line's addresses in it.

    ``status`` asks the running gateway for ``GET status``; it raises :class:`NoAnswer`.
    """

    config: Config
    config_dir: Path
    """From which the configuration names files."""
    state_dir: Path
    running: Running | None
    status: Callable[[], dict[str, Any]]

    @property
    def arena_dir(self) -> Path:
        """Where the arena is, or would be."""
        chosen = self.config.arena_dir
        return Path(chosen).resolve() if chosen else choose_arena_dir(self.state_dir)


def running_in(state_dir: Path) -> Running | None:
    """The gateway that holds the folder's lock; nothing is made in a folder that never had one."""
    if not (state_dir / "supervisor.lock").exists():
        return None
    try:
        StateLock(state_dir).close()
    except AlreadyRunning:
        return _described(state_dir / "supervisor.json")
    except StateUnusable:
        return None  # the folder's own check says why
    return None


def _described(path: Path) -> Running:
    try:
        found = json.loads(path.read_bytes())
        pid, started_at = int(found["pid"]), float(found["started_at"])
        return Running(pid, str(found["version"]), str(found["listen"]), str(found["admin"]), started_at)
    except (OSError, ValueError, TypeError, KeyError):
        return Running(0, "unknown", "", "", 0.0)
