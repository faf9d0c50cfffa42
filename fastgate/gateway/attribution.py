"""Whose spend a request is, as its client says: user, session, operation and tags.

What a client claims is noted, and trusted with money only where its key says so. Every value is cut to a bound and made
printable, so that it can stand in a journal, a ledger and a terminal; tags that cannot be kept are counted in the tag
``fastgate.dropped``.

==========  ================================================================================================
user        ``x-fastgate-user``, else the body's (``user``, ``safety_identifier``, ``metadata.user_id``)
session     ``x-fastgate-session``, else what coding agents send, else the body's (``prompt_cache_key``, ...)
operation   ``x-fastgate-operation``
tags        ``x-fastgate-tags: a=1,b=2``, else the body's ``metadata``; an agent's sub-agent as tag ``agent``
==========  ================================================================================================
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from fastgate.wire.request import ChatRequest
from fastgate.wire.tags import TAG_NAME

MOST_TAGS: Final = 16
LONGEST_VALUE: Final = 128
"""Bytes of UTF-8; what is longer is cut."""
_LONGEST_METADATA: Final = 16_384
LONGEST_TAGS: Final = 512
"""Bytes of all tags together, as ``a=1,b=2``."""
AGENT: Final = "agent"
_OURS: Final = "fastgate."
DROPPED: Final = _OURS + "dropped"
"""The tag that counts tags which could not be kept."""

USER: Final = "x-fastgate-user"
TAGS: Final = "x-fastgate-tags"
# Claude Code, Codex, opencode; each sends one of them.
SESSIONS: Final = ("x-fastgate-session", "x-claude-code-session-id", "session-id", "x-session-id")
AGENTS: Final = ("x-claude-code-agent-id", "x-openai-subagent")
_HEADERS: Final = frozenset({USER, "x-fastgate-operation", TAGS, *SESSIONS, *AGENTS})
_TAG_NAME: Final = re.compile(TAG_NAME)

Tags = tuple[tuple[str, str], ...]


class Attributes(NamedTuple):
    """What a client says of a request; empty: nothing."""

    user: str = ""
    session: str = ""
    operation: str = ""
    tags: Tags = ()


NOTHING_SAID: Final = Attributes()


def attributes_of(headers: Mapping[str, str], request: ChatRequest | None) -> Attributes:
    """From a request's headers and, where its body could be read, from that."""
    if headers.keys().isdisjoint(_HEADERS) and (
        request is None or not (request.user or request.session or request.metadata)
    ):
        return NOTHING_SAID
    get = headers.get
    user = get(USER)
    session = next((found for name in SESSIONS if (found := get(name))), None)
    operation, said, metadata = get("x-fastgate-operation"), get(TAGS), None
    if request is not None:
        user, session, metadata = user or request.user, session or request.session, request.metadata
    agent = next((found for name in AGENTS if (found := get(name))), None)
    tags = _tags_of_header(said) if said else _tags_of_metadata(metadata) if metadata else ()
    if agent and (shown := clean(agent)):
        tags = (*((name, value) for name, value in tags if name != AGENT), (AGENT, shown))
    return Attributes(clean(user or ""), clean(session or ""), clean(operation or ""), tags)


def clean(text: str) -> str:
    """Printable, without a comma, and not longer than a value may be."""
    return _cleaned(text[:LONGEST_VALUE])


@lru_cache(maxsize=1024)  # clients repeat themselves; what they send at length is cut before it is kept
def _cleaned(text: str) -> str:
    kept = "".join(c if c.isprintable() and c != "," else " " for c in text)
    return kept.encode("utf-8", "replace")[:LONGEST_VALUE].decode("utf-8", "ignore").strip()


def merged(own: Mapping[str, str], said: Tags) -> str:
    """Tags as the journal keeps them, ``a=1,b=2``: a key's own ones win over those that its client sends."""
    return ",".join(f"{name}={value}" for name, value in sorted({**dict(said), **own}.items()))


def _tags_of_header(said: str) -> Tags:
    return _repeated_tags(said) if len(said) <= LONGEST_TAGS else _tags_of_pairs(said)


def _tags_of_pairs(said: str) -> Tags:
    pairs = (part.partition("=") for part in said.split(",") if part.strip())
    return _bounded((name.strip(), value) for name, _, value in pairs)


_repeated_tags: Final = lru_cache(maxsize=1024)(_tags_of_pairs)
"""Of headers that are not longer than what is kept of them."""


def _tags_of_metadata(raw: bytes) -> Tags:
    """Those members of the client's free-form object that are text."""
    if len(raw) > _LONGEST_METADATA:
        return ((DROPPED, "1"),)
    try:
        members: Any = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return ()
    return _bounded((name, value) for name, value in members.items() if isinstance(value, str))


def _bounded(pairs: Iterable[tuple[str, str]]) -> Tags:
    kept: dict[str, str] = {}
    dropped = size = 0
    for name, value in pairs:
        shown = clean(value)
        longer = size + len(name) + len(shown.encode()) + 2
        fits = len(kept) < MOST_TAGS and longer <= LONGEST_TAGS
        if shown and fits and name not in kept and _TAG_NAME.fullmatch(name) and not name.startswith(_OURS):
            kept[name], size = shown, longer
        else:
            dropped += 1
    if dropped:
        kept[DROPPED] = str(dropped)
    return tuple(kept.items())
