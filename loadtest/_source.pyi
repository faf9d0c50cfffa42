from collections.abc import Callable, Iterable
from typing import final

@final
class Form:
    def __init__(self, head: bytes, event: bytes, stamp: int, tail: bytes) -> None: ...

@final
class Source:
    def __init__(
        self,
        listener: int,
        forms: tuple[Form, ...],
        reader: Callable[[], Callable[[bytes], Iterable[int]]],
        *,
        chunks: int,
        seconds: float,
    ) -> None: ...
    def serve(self) -> None: ...
