"""Entries of a slab by what is said of them: listed, or withdrawn."""

from collections.abc import Iterable
from typing import final

from fastgate._core.slab import Listed, Slab

@final
class Search:
    def __init__(
        self,
        slab: Slab,
        said: Iterable[Iterable[bytes]],
        *,
        now_ms: int,
        from_ms: int = ...,
        until_ms: int = ...,
    ) -> None: ...
    def entries(self, start: int, most: int, slots: int) -> tuple[list[Listed], int]: ...
    def withdraw(self, start: int, slots: int) -> tuple[int, int]: ...

def find_id(slab: Slab, id: str) -> Listed | None: ...
def fingerprint_of(slab: Slab, id: str) -> bytes | None: ...
def remove_id(slab: Slab, id: str) -> bool: ...
