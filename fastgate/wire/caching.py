"""What a snapshot says of the exact cache, and by what those who share answers are told from all others."""

from enum import IntEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec


class CacheRecord(msgspec.Struct, array_like=True, frozen=True):
    """What was written in one place; None: nothing, so that what holds for more holds."""

    enabled: bool | None = None
    ttl_ms: int | None = None
    scope: str | None = None
    """``key``, ``team``, ``customer`` or ``global``: who gets answers that others paid for."""
    max_temperature: float | None = None
    """Above it no answer is kept; None in the head of a snapshot: any may be."""
    tools: bool | None = None
    """Whether requests that offer tools have to do with it."""
    client_control: bool | None = None
    """Whether headers of requests are heard."""
    replay_ms: int | None = None
    """Between two pieces of a stream that is given again."""
    single_flight: bool | None = None
    """Whether who asks what is being asked waits for that answer."""
    semantic: bool | None = None
    """Whether questions that mean the same may get one answer."""


class SharedEvent(IntEnum):
    """What the tier that hosts share did: each look-up is one of the first six, each answer to write one of the others.

    They are the places of its counters in the arena; the names, in lower case, are those of the metric's label.
    """

    HIT = 0
    MISS = 1
    TIMEOUT = 2
    """Nothing came within the deadline."""
    ERROR = 3
    """The connection failed, or Redis answered with an error."""
    UNUSABLE = 4
    """What came is not an answer to that question, or not as it was written, or there is no room for it here."""
    SKIPPED = 5
    """Redis was not asked: it did not answer a moment ago, or too many look-ups wait for it."""
    STORED = 6
    DROPPED = 7
    """Not written: too many wait to be, or Redis was away, or refused it."""


class SharedRecord(msgspec.Struct, array_like=True, frozen=True):
    """The Redis that hosts share answers in, and how long it may take."""

    cluster: str
    """Who shares: hosts with the same one."""
    deadline_ms: int
    host: str
    """Without brackets; empty: ``path`` is that of a Unix socket."""
    port: int
    path: str
    database: int
    tls: bool
    ca_file: str
    """Empty: the system's authorities."""
    credentials: bytes
    """``user:password``, or nothing, sealed for :data:`SHARED_OWNER`."""

    @property
    def where(self) -> str:
        """What messages call it."""
        return place_of(self.host, self.port, self.path)


def place_of(host: str, port: int, path: str) -> str:
    """What messages call a Redis; ``host`` without brackets, or empty: then it is at a Unix socket's ``path``."""
    if not host:
        return path
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


SHARED_OWNER: Final = "snapshot of redis"
"""For whom its credentials are sealed; no provider is called so."""


class SemanticRecord(msgspec.Struct, array_like=True, frozen=True):
    """The semantic cache, where there is its process."""

    enabled: bool
    """For who does not say otherwise."""
    scope: str
    """For who does not say otherwise."""
    deadline_ms: int
    """How long a request waits for what its process says."""


def first_said(*said: CacheRecord | None) -> dict[str, Any]:
    """Each setting by its name, as the first of these has it that says anything of it."""
    known = [msgspec.structs.asdict(each) for each in said if each is not None]
    return {
        name: next((each[name] for each in known if each[name] is not None), None)
        for name in CacheRecord.__struct_fields__
    }


def tenant_of(scope: str, *identity: str | int | bytes) -> bytes:
    """16 bytes that name a scope and who shares answers in it; ``identity``: what no one else ever is."""
    named = msgspec.msgpack.encode((scope, *identity))
    return blake2b(named, digest_size=16, person=b"fastgate-cache").digest()


def slab_path(folder: Path, megabytes: int) -> Path:
    """The file of the exact cache, beside the arena; another size is another file."""
    return folder / f"cache-{megabytes}.bin"
