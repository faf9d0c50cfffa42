"""An answer as it lies in a store that several hosts share: under which key, and in which bytes.

Nothing that is read there is believed: what is not written as here, is damaged, too long or the answer to another
question is :class:`Unusable`. Who can write to the store can still make answers up.

The bytes, all numbers little-endian::

    0   magic, which has the version; kind, one byte; nothing, one byte
    6   length of the usage, 16 bits; of what it is about, 16 bits; of the fingerprint, 32; of the answer, 32
    18  created and expires, Unix milliseconds, 64 bits each
    34  XXH3 (128 bits) of all other bytes: against damage, not against malice
    50  fingerprint, usage, what it is about, answer
"""

from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

import msgspec
from xxhash import xxh3_128_digest

from fastgate._core.slab import LARGEST
from fastgate.cache.about import About
from fastgate.cache.question import STREAM, UNSTATED, WHOLE

_MAGIC: Final = b"FGA1"
_HEAD: Final = Struct("<4sBxHHIIqq")
_CHECK: Final = 16
_CONTENT: Final = _HEAD.size + _CHECK
HEAD: Final = _HEAD.size
"""Bytes of a value that say where the others are."""
LONGEST: Final = LARGEST + _CONTENT
"""Bytes of a value: a host keeps nothing that would be longer."""
_KINDS: Final = frozenset({WHOLE, STREAM, UNSTATED})
_COST: Final = 8
"""Bytes of a usage that are the cost (see :func:`fastgate.cache.question.packed`)."""
_MOST_COST: Final = 10**15
"""nano-USD, a million dollars: what no answer that is kept can have cost."""
_LONGEST_ABOUT: Final = 0xFFFF
_LAST: Final = 1 << 42
"""Unix milliseconds, in the year 2109: as far as a slab counts."""


class Unusable(ValueError):
    """What the store has is not an answer to the question, or not as it was written."""


class Kept(NamedTuple):
    """An answer and what belongs to it, as in a slab; moments in Unix milliseconds."""

    kind: int
    usage: bytes
    about: bytes
    answer: bytes
    created_ms: int
    expires_ms: int


class Outline(NamedTuple):
    """When an answer was kept, Unix milliseconds, and where in its value it stands what it is about."""

    created_ms: int
    about_at: int
    about_bytes: int


def prefix_of(cluster: str) -> str:
    """What the names of all answers of a cluster begin with."""
    return f"fastgate:{cluster}:cache:"


def key_of(cluster: str, fingerprint: bytes) -> str:
    """Where the answer to a question lies for the hosts of a cluster: the same on every host, in every process."""
    return prefix_of(cluster) + blake2b(fingerprint, digest_size=16).hexdigest()


def size_of(fingerprint: bytes, kept: Kept) -> int:
    """Bytes of the value."""
    return _CONTENT + len(fingerprint) + len(kept.usage) + len(kept.about) + len(kept.answer)


def written(fingerprint: bytes, kept: Kept) -> bytes:
    """The value."""
    head = _HEAD.pack(
        _MAGIC,
        kept.kind,
        len(kept.usage),
        len(kept.about),
        len(fingerprint),
        len(kept.answer),
        kept.created_ms,
        kept.expires_ms,
    )
    content = b"".join((fingerprint, kept.usage, kept.about, kept.answer))
    return b"".join((head, xxh3_128_digest(head + content), content))


def read(value: bytes, fingerprint: bytes) -> Kept:
    """What ``written`` made for the same fingerprint. Raises Unusable."""
    if not _CONTENT <= len(value) <= LONGEST:
        raise Unusable(f"{len(value)} bytes cannot be an answer")
    magic, kind, usage, about, asked, answer, created_ms, expires_ms = _HEAD.unpack_from(value)
    if magic != _MAGIC or kind not in _KINDS or value[5]:
        raise Unusable("another version wrote it, or something else")
    if len(value) != _CONTENT + asked + usage + about + answer:
        raise Unusable("its lengths do not add up")
    content = memoryview(value)[_CONTENT:]
    if content[:asked] != fingerprint:
        raise Unusable("the answer to another question")
    if xxh3_128_digest(value[: _HEAD.size] + value[_CONTENT:]) != value[_HEAD.size : _CONTENT]:
        raise Unusable("damaged")
    at_about, at_answer = asked + usage, asked + usage + about
    kept = Kept(
        kind,
        bytes(content[asked:at_about]),
        about_of(bytes(content[at_about:at_answer])),
        bytes(content[at_answer:]),
        created_ms,
        expires_ms,
    )
    if not _makes_sense(kept):
        raise Unusable("says what no answer says")
    return kept


def outlined(head: bytes) -> Outline:
    """Of the first :data:`HEAD` bytes of a value. Raises Unusable."""
    if len(head) != HEAD or not head.startswith(_MAGIC):
        raise Unusable("another version wrote it, or something else")
    _, _, usage, about, asked, _, created_ms, _ = _HEAD.unpack(head)
    return Outline(created_ms, _CONTENT + asked + usage, about)


def _makes_sense(kept: Kept) -> bool:
    """Whether its own fields can be those of an answer: others rely on that."""
    if not 0 <= kept.created_ms <= kept.expires_ms < _LAST:
        return False
    return len(kept.usage) >= _COST and int.from_bytes(kept.usage[:_COST], "little") <= _MOST_COST


def about_of(raw: bytes) -> bytes:
    """What an answer is about, as this version writes it: entries are found by these very bytes. Raises Unusable."""
    try:
        told = msgspec.json.decode(raw, type=About).packed()
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise Unusable("what it is about cannot be read") from None
    if len(told) > _LONGEST_ABOUT:
        raise Unusable("what it is about is too long")
    return told
