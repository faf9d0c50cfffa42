"""Fixed windows, counted from a first use or as a calendar says; kinds as in ``fastgate.wire.snapshot.Window``."""

from collections.abc import Callable

def ends_of(number: int) -> int: ...

class Period:
    kind: int
    every: int
    calendar: Callable[[int], tuple[int, int]] | None
    def __init__(self, kind: int, every: int = 1, calendar: Callable[[int], tuple[int, int]] | None = None) -> None: ...
    def window(self, anchor_ns: int, now_ns: int) -> tuple[int, int]: ...
