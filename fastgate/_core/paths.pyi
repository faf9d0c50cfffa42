"""Paths into JSON, compiled; what ``body.Fields`` and ``events.EventTable`` are made of."""

from collections.abc import Sequence

class Paths:
    """Paths with the only value that counts there, or ``None``; ``*`` is any element of an array."""

    def __init__(self, rules: Sequence[tuple[str, bytes | None]], unique: bool = False) -> None: ...
