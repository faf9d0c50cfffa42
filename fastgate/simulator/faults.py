"""Failures on purpose: which kinds there are, and which request gets one.

Kinds: an HTTP status from 400 to 599 (in the dialect's own error shape), or

==========  ==========================================================================================
cut         the answer breaks off half-way and the connection closes
stall       the answer stops half-way and the connection stays open
hang        nothing is ever answered
noheaders   the connection closes before a byte of an answer
early       the head arrives, then the connection closes
garbage     bytes that are no HTTP, then the connection closes
gzip        the answer is compressed though nobody asked
endless     an answer of 5 GB (streamed: without end), as fast as it is read
slow        the answer arrives in small pieces, a tenth of a second apart
bighead     a head of 1 MB
==========  ==========================================================================================
"""

from typing import Final

import msgspec
import xxhash

KINDS: Final = frozenset(
    {"cut", "stall", "hang", "noheaders", "early", "garbage", "gzip", "endless", "slow", "bighead"}
)
GARBAGE: Final = b"\x16\x03\x01 this is no answer \x00\xff\xfe\r\n\r\n" * 4
ENDLESS_BYTES: Final = 5_000_000_000

_SEEN_AT_MOST = 1_000_000
_SCALE = 1 << 64


class FaultsError(ValueError):
    """A ``--fail`` that cannot be used; the text says why."""


class Fault(msgspec.Struct, frozen=True):
    """One failure."""

    kind: str
    """One of :data:`KINDS`, or ``status``."""
    status: int = 0


def fault(name: str) -> Fault:
    """The failure of that name (``429``, ``cut``, ...); raises :class:`FaultsError`."""
    if name in KINDS:
        return Fault(name)
    if name.isascii() and name.isdigit() and 400 <= int(name) <= 599:
        return Fault("status", int(name))
    raise FaultsError(f"unknown failure {name!r}: a status from 400 to 599, or one of {', '.join(sorted(KINDS))}")


class Faults:
    """Shares of requests that fail: ``429=0.01,cut=0.005``."""

    def __init__(self, rates: str = "", seed: int = 0) -> None:
        self._seed = seed
        self._seen: dict[int, int] = {}
        self._steps: list[tuple[float, Fault]] = []
        total = 0.0
        for part in filter(None, (part.strip() for part in rates.split(","))):
            name, equals, rate = part.partition("=")
            try:
                share = float(rate)
            except ValueError:
                share = -1.0
            if not equals or not 0 <= share <= 1:
                raise FaultsError(f"{part!r} should be a failure and its share between 0 and 1, like 429=0.01")
            total += share
            self._steps.append((total, fault(name.strip())))
        if total > 1 + 1e-9:
            raise FaultsError(f"the shares of {rates!r} add up to more than 1")

    def __bool__(self) -> bool:
        return bool(self._steps)

    def draw(self, request: int) -> Fault | None:
        """The failure of a request (its 63-bit digest), if it gets one.

        The n-th time that the same request comes has a fate of its own, so that a retry may succeed; the fate depends
        on nothing else.
        """
        if not self._steps:
            return None
        nth = self._seen.get(request, 0)
        if len(self._seen) >= _SEEN_AT_MOST:
            self._seen.clear()
        self._seen[request] = nth + 1
        drawn = xxhash.xxh3_64_intdigest(b"%d:%d" % (request, nth), self._seed) / _SCALE
        return next((chosen for below, chosen in self._steps if drawn < below), None)
