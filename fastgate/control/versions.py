"""Versions of what the admin API changes: each object's ``ETag``, and ``If-Match``, which asks for one."""

import re
from typing import Annotated, Final

from litestar.datastructures import ResponseHeader
from litestar.di import Provide
from litestar.params import Parameter

from fastgate.control.problems import BadParameter

PATTERN: Final = '([*]|"[0-9]{1,18}"|[0-9]{1,18})'
_PATTERN: Final = re.compile(PATTERN)


def _text_header(name: str, description: str) -> ResponseHeader:
    """One that the handler sets itself; the value only tells the description what type it is of."""
    return ResponseHeader(name=name, value="", description=description, documentation_only=True)


ETAG: Final = _text_header("etag", "the object's version; what the file defines has none")
LOCATION: Final = _text_header("location", "the path of what was created")


async def _asked(
    if_match: Annotated[
        str | None,
        Parameter(header="if-match", description="only where the object still has this `etag`; else 412"),
    ] = None,
) -> int | None:
    """The version that ``If-Match`` asks for; None: any. Raises BadParameter."""
    if if_match is None:
        return None
    if not _PATTERN.fullmatch(if_match):
        raise BadParameter("if-match", "If-Match takes one ETag, as an answer gave it")
    return None if if_match == "*" else int(if_match.strip('"'))


IF_MATCH: Final = {"version": Provide(_asked)}
"""The dependency ``version`` of an operation that heeds it: an ``int``, or None."""
