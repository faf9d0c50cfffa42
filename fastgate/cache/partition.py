"""Which questions may be compared by their meaning: those that have all in common but the text of the last turn."""

from hashlib import blake2b
from typing import Final

from fastgate.cache.fingerprint import fingerprint

_PERSON: Final = b"fastgate-turn"


def partition(heading: bytes, body: bytes, unasked: tuple[str, ...], *, text: tuple[int, int]) -> bytes | None:
    """16 bytes; None: the body has no spelling that is sure to be the only one.

    ``text``: where the last turn's text is in the body, as a JSON string with its quotes. All else is as for
    :func:`~fastgate.cache.fingerprint.fingerprint`.
    """
    start, end = text
    asked = fingerprint(heading, b'%b""%b' % (body[:start], body[end:]), unasked)
    # Other than the exact cache's hash it has no key of its own: a partition is the same after each start.
    return None if asked is None else blake2b(asked, digest_size=16, person=_PERSON).digest()
