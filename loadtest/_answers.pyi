from collections.abc import Iterable
from typing import Final, final

NAMES: Final[tuple[str, ...]]

@final
class Expected:
    def __init__(
        self, tail: bytes | None, *, status: int = 200, event: bytes = b"", stamp: int = 0, count: int = 0
    ) -> None: ...
    def read(self, pieces: Iterable[bytes]) -> tuple[str, list[int], bool]: ...
