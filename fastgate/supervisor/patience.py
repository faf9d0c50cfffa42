"""How long workers may drain: what the configuration in force says, which they keep to themselves."""

from pathlib import Path

FILE = "drain-seconds"
"""In the arena folder: the control process writes it with each snapshot, since nothing here could read one."""
MARGIN = 2.0
"""Seconds beyond the drain bound that a worker has to cut and settle what is still open."""


def drain_seconds(arena_dir: Path, at_start: float) -> float:
    """``server.drain_seconds`` of the last reload; ``at_start`` where nothing tells."""
    try:
        return float((arena_dir / FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return at_start
