"""Headers by which a client chooses its budgets: said unmistakably, or refused.

A header wins over another one and over the body (``fastgate.gateway.attribution``), so whoever sets it, a proxy say,
has the last word. One that is there and cannot be used must not hand that on to the next place where a name stands.
"""

from collections.abc import Sequence
from typing import Any, Final

from fastgate.budgets.templates import TAG
from fastgate.gateway.attribution import AGENT, AGENTS, SESSIONS, TAGS, USER, Attributes, clean
from fastgate.wire.failure import Failure

_AGENT_TAG: Final = TAG + AGENT


def check_claims(headers: Any, said: Attributes, claims: Sequence[str]) -> None:
    """Raises Failure where a header is unclear of which the budgets of ``claims`` (``user``, ``tag:job``) depend.

    ``headers``: as the server has them, which knows of those that it cannot decode; ``said``: what was read of them.
    """
    for claim in claims:
        if claim == "user":
            _first(headers, (USER,))
        elif claim == "session":
            _first(headers, SESSIONS)
        elif claim != _AGENT_TAG or _first(headers, AGENTS) is None:
            _check_tag(_first(headers, (TAGS,)), claim.removeprefix(TAG), said)


def _first(headers: Any, names: Sequence[str]) -> str | None:
    """The value of the first header that is there, which is the one that counts; None: there is none."""
    name = next((name for name in names if name in headers), None)
    if name is None:
        return None
    value: str | None = headers.get(name)
    if value is None:
        raise _unclear(name, "has characters that are not printable ASCII, so that it cannot be read")
    if len(set(headers.get_all(name))) > 1:
        raise _unclear(name, "comes more than once, with different values")
    if not clean(value):
        raise _unclear(name, "is empty")
    return value


def _check_tag(header: str | None, tag: str, said: Attributes) -> None:
    """One tag among those of a header: named once, and kept."""
    pairs = (part.partition("=") for part in (header or "").split(","))
    named = {clean(value) for name, _, value in pairs if name.strip() == tag}
    if named and named != {value for name, value in said.tags if name == tag}:
        raise _unclear(TAGS, f"names the tag '{tag}' more than once, without a value, or behind more than can be kept")


def _unclear(name: str, why: str) -> Failure:
    return Failure.invalid(
        f"The header {name} {why}, and a budget of this key goes by it: send one clear value or none."
    )
