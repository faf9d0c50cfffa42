"""How long a host serves on when it is told to end, and its workers may then drain.

That is what the configuration in force says, which the control process writes into the arena folder with each snapshot:
nothing here could read one.
"""

from pathlib import Path

MARGIN = 2.0
"""Seconds beyond the drain bound that a worker has to cut and settle what is still open."""


def drain_seconds(arena_dir: Path, at_start: float) -> float:
    """``server.drain_seconds`` of the last reload; ``at_start`` where nothing tells."""
    return _told(arena_dir / "drain-seconds", at_start)


def drain_delay_seconds(arena_dir: Path, at_start: float) -> float:
    """``server.drain_delay_seconds``, likewise."""
    return _told(arena_dir / "drain-delay-seconds", at_start)


def _told(file: Path, at_start: float) -> float:
    try:
        return float(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return at_start
