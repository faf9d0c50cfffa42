"""A slab, and answers that tell whether they belong to their question."""

import random

from fastgate._core.slab import Hit, Slab

TENANT = b"a tenant of ours"
NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
INDEX = 4096 + 8 * 4096
"""Where the index begins, after the header and the flights."""


def answer_to(fingerprint: bytes, size: int) -> bytes:
    """The one right answer of that size."""
    return random.Random(fingerprint).randbytes(size)


def put(
    slab: Slab,
    fingerprint: bytes,
    size: int = 300,
    *,
    now_ms: int = NOW_MS,
    ttl_ms: int = HOUR_MS,
    about: bytes = b'{"model":"m"}',
) -> bool:
    """Store the right answer."""
    return slab.store(
        slab.hash128(fingerprint),
        fingerprint,
        answer_to(fingerprint, size),
        kind=size & 1,
        usage=b"%d" % size,
        tenant=TENANT,
        about=about,
        now_ms=now_ms,
        ttl_ms=ttl_ms,
    )


def get(slab: Slab, fingerprint: bytes, *, now_ms: int = NOW_MS) -> Hit | None:
    """What is found, after a look whether it is right."""
    hit = slab.find(slab.hash128(fingerprint), fingerprint, now_ms)
    if hit is not None:
        assert hit.answer == answer_to(fingerprint, len(hit.answer)), f"{fingerprint!r} has the answer of another"
        assert int(hit.usage) == len(hit.answer)
        assert hit.kind == len(hit.answer) & 1
        assert hit.created_ms <= now_ms < hit.expires_ms
    return hit


def has(slab: Slab, fingerprint: bytes, *, now_ms: int = NOW_MS) -> bool:
    return get(slab, fingerprint, now_ms=now_ms) is not None
