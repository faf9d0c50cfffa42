"""The store of the exact cache: one file that all workers of a host map, find answers in and put answers into."""

from collections.abc import Iterator
from typing import Final, final

LARGEST: Final[int]

def create_slab(path: str, megabytes: int) -> None: ...
def hash128(data: bytes, salt: bytes = ...) -> bytes: ...

@final
class Hit:
    answer: bytes
    usage: bytes
    kind: int
    created_ms: int
    expires_ms: int
    @property
    def id(self) -> str: ...

class Listed:
    id: str
    key: bytes
    tenant: bytes
    kind: int
    usage: bytes
    about: bytes
    size: int
    answer_bytes: int
    created_ms: int
    expires_ms: int
    used_ms: int
    hits: int

@final
class Slab:
    path: str
    def __init__(self, path: str, largest: int = ...) -> None: ...
    @property
    def capacity(self) -> int: ...
    @property
    def slots(self) -> int: ...
    def hash128(self, fingerprint: bytes) -> bytes: ...
    def find(self, key: bytes, fingerprint: bytes, now_ms: int) -> Hit | None: ...
    def store(
        self,
        key: bytes,
        fingerprint: bytes,
        answer: bytes,
        *,
        kind: int,
        usage: bytes,
        tenant: bytes,
        about: bytes,
        now_ms: int,
        ttl_ms: int,
    ) -> bool: ...
    def remove(self, key: bytes, fingerprint: bytes) -> bool: ...
    def scan(self) -> Iterator[Listed]: ...
    def counts(self) -> dict[str, int]: ...
