"""What a snapshot says of the exact cache, and by what those who share answers are told from all others."""

from hashlib import blake2b
from pathlib import Path
from typing import Any

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
    semantic: bool | None = None
    """Whether questions that mean the same may get one answer."""


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
