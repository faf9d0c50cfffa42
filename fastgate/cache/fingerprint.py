"""What a request asks: two with the same fingerprint would be answered alike, for whoever shares their answers.

What cannot change an answer is left out, and only that: where it is in doubt it belongs to the question.
"""

from collections.abc import Iterable
from typing import Final

from fastgate._core.canonical import canonical

_VERSION: Final = b"fastgate 1"


def framed(parts: Iterable[bytes]) -> bytes:
    """All parts, each with its length before it, so that no two lists of parts give the same bytes."""
    return b"".join([b"%d:%b," % (len(part), part) for part in parts])


def prefix(tenant: bytes, dialect: str, provider: str, model: str) -> bytes:
    """What all questions on one way have in common: who shares answers, the API, and who is asked for what."""
    return framed((_VERSION, tenant, dialect.encode(), provider.encode(), model.encode()))


def fingerprint(
    common: bytes, said: Iterable[str | None], cap: int | None, body: bytes, unasked: tuple[str, ...]
) -> bytes | None:
    """The question of one request; None: its body has no spelling that is sure to be the only one.

    ``common``: the way's ``prefix``. ``said``: what else of the request reaches the provider and may matter: path,
    query, headers. ``cap``: of its output, as it is sent. ``unasked``: members of the body that change no answer.
    """
    spelt = canonical(body, unasked)
    if spelt is None:
        return None
    parts = [b"-" if text is None else b"=" + text.encode("utf-8", "surrogateescape") for text in said]
    return common + framed((*parts, b"" if cap is None else b"%d" % cap, spelt))
