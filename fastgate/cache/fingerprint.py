"""What a request asks: two with the same fingerprint would be answered alike, for whoever shares their answers.

What cannot change an answer is left out, and only that: where it is in doubt it belongs to the question.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from fastgate._core.canonical import canonical

_VERSION: Final = b"fastgate 1"


def framed(parts: Iterable[bytes]) -> bytes:
    """All parts, each with its length before it, so that no two lists of parts give the same bytes."""
    return b"".join([b"%d:%b," % (len(part), part) for part in parts])


class Way(NamedTuple):
    """Whom a request reaches: who shares answers there, the API, and who is asked for what."""

    tenant: bytes
    dialect: str
    provider: str
    address: str
    """Of its API: another server by the same name may answer otherwise."""
    model: str


def heading(way: Way, said: Iterable[str | None], cap: int | None) -> bytes:
    """What a question says beside its body, which is the same for many.

    ``said``: what else of the request reaches the provider and may matter: path, query, headers. ``cap``: of its
    output, as it is sent.
    """
    parts = [b"-" if text is None else b"=" + text.encode("utf-8", "surrogateescape") for text in said]
    where = [each.encode() for each in (way.dialect, way.provider, way.address, way.model)]
    return framed((_VERSION, way.tenant, *where, *parts, b"" if cap is None else b"%d" % cap))


def fingerprint(heading: bytes, body: bytes, unasked: tuple[str, ...]) -> bytes | None:
    """The question of one request; None: its body has no spelling that is sure to be the only one.

    ``unasked``: members of the body that change no answer.
    """
    spelt = canonical(body, unasked)
    return None if spelt is None else b"%b%d:%b," % (heading, len(spelt), spelt)
