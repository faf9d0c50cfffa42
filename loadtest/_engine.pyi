from collections.abc import Sequence
from typing import Any, final

from loadtest._answers import Expected

def bucket_of(ns: int) -> int: ...

@final
class Engine:
    def __init__(
        self,
        port: int,
        before: bytes,
        after: bytes,
        expected: Expected,
        *,
        connections: int = 1024,
        seconds: float = 10.0,
        keeps: bool = True,
        rotates: bool = False,
    ) -> None: ...
    def close(self) -> None: ...
    def saturate(self, seconds: float) -> dict[str, Any]: ...
    def run(self, phases: Sequence[tuple[float, float]], row_seconds: float) -> dict[str, Any]: ...
