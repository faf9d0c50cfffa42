"""Whether an arena that was found can be relied on."""

from fastgate._core.arena import Arena

def inspect(arena: Arena) -> None: ...
