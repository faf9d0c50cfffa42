"""Answers that wait to be written to the Redis that hosts share: bounded, and nobody waits for them."""

from collections import deque
from time import time_ns
from typing import TYPE_CHECKING, Final

from fastgate.cache.shared import Kept, key_of, size_of, written
from fastgate.wire.caching import SharedEvent

if TYPE_CHECKING:
    from fastgate.gateway.redis_link import Command

MOST_QUEUED: Final = 16 << 20
"""Bytes."""
AT_ONCE: Final = 1 << 20
"""Bytes of commands that go out together, and one more answer."""


class Writes:
    """Of a cluster's hosts; ``counts``: what is left out is counted there, as a :class:`SharedEvent`."""

    def __init__(self, cluster: str, counts: list[int]) -> None:
        self._cluster = cluster
        self._counts = counts
        self._queue: deque[tuple[bytes, Kept]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, fingerprint: bytes, kept: Kept) -> None:
        """To be written, unless too much is."""
        size = size_of(fingerprint, kept)
        if self._bytes + size > MOST_QUEUED:
            self._counts[SharedEvent.DROPPED] += 1
            return
        self._bytes += size
        self._queue.append((fingerprint, kept))

    def commands(self) -> "list[Command]":
        """That write the next of them, for the time that each has left; what has expired meanwhile is left out."""
        commands: list[Command] = []
        now_ms, room = time_ns() // 1_000_000, AT_ONCE
        while self._queue and room > 0:
            fingerprint, kept = self._queue.popleft()
            size = size_of(fingerprint, kept)
            self._bytes -= size
            if kept.expires_ms <= now_ms:
                self._counts[SharedEvent.DROPPED] += 1
                continue
            room -= size
            key = key_of(self._cluster, fingerprint)
            commands.append(("SET", key, written(fingerprint, kept), "PX", kept.expires_ms - now_ms))
        return commands

    def drop(self) -> None:
        """All that are left."""
        self._counts[SharedEvent.DROPPED] += len(self._queue)
        self._queue.clear()
        self._bytes = 0
