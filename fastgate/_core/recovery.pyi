"""Resolves the holds of owners that ended without doing it."""

from fastgate._core.arena import Arena
from fastgate._core.owner import Owner

def recover(arena: Arena, me: Owner, slot: int, folder: str) -> dict[str, int]: ...
