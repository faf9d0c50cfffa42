"""What a request is held against. Amounts are nano-USD, requests or tokens, by the level's unit; times Unix ns."""

from collections.abc import Iterable

from fastgate._core.arena import Arena
from fastgate._core.windows import Period

USD: int
REQUESTS: int
INPUT: int
OUTPUT: int
TOKENS: int
OPEN: int
MOST_LEVELS: int

class Level:
    cell: int
    limit: int
    period: Period
    unit: int
    soft: bool
    rolls: bool
    increases: tuple[tuple[int, int], ...]
    shared: bool
    def __init__(
        self,
        cell: int,
        limit: int,
        period: Period,
        unit: int = 0,
        soft: bool = False,
        rolls: bool = False,
        increases: tuple[tuple[int, int], ...] = (),
        shared: bool = False,
    ) -> None: ...

class Levels:
    arena: Arena
    rules: tuple[Level, ...]
    def __init__(self, arena: Arena, rules: Iterable[Level] = ()) -> None: ...
    def __len__(self) -> int: ...
    def left(self, now_ns: int) -> int | None: ...
    def unspent(self, i: int, now_ns: int) -> int: ...
    def standing(self, i: int, now_ns: int) -> tuple[int, int, int]: ...
    def elsewhere(self, i: int, now_ns: int) -> tuple[int, int]: ...
    def room(self, i: int, now_ns: int) -> int: ...
    def windows(self, i: int, now_ns: int) -> tuple[int, int, int, int]: ...
    def tell(self, i: int, percents: tuple[int, ...], now_ns: int) -> tuple[int, ...]: ...
