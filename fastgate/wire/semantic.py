"""What workers, the control process and the semantic process say to each other over a unix socket.

A frame is the length of a message (4 bytes, little-endian, 1 to :data:`MOST_FRAME`) and the message itself, msgpack of
one of the structs below: ``[tag, fields...]``. Each request bears a number of its sender's choice, which its reply
repeats; replies may come in another order. A :class:`Keep` with the number 0 has no reply.

Moments that end on ``_ns`` are of ``CLOCK_MONOTONIC``, which all processes of a host share; those on ``_ms`` are Unix
time.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fastgate.wire import liveness
from fastgate.wire.failure import shown
from fastgate.wire.semantic_entries import Entry, Hash, Number, Range, TenantReport, Wanted

SOCKET: Final = liveness.SOCKET
MOST_TEXT: Final = 16_384
"""Characters of a question: embedders read far fewer, and a longer one is not asked about."""
MOST_ANSWER: Final = 256 << 10
"""Bytes of an answer that is kept."""
MOST_FRAME: Final = 1 << 20
_HEAD: Final = 4

Text = Annotated[str, Meta(min_length=1, max_length=MOST_TEXT)]
Said = Annotated[str, Meta(max_length=MOST_ANSWER)]
Answer = Annotated[bytes, Meta(min_length=1, max_length=MOST_ANSWER)]
Few = Annotated[bytes, Meta(max_length=32 << 10)]
Count = Annotated[int, Meta(ge=0)]
Verdict = Literal["serve", "explore", "miss", "shadow", "audit"]
"""``explore``: ask the provider, and have its answer compared with an entry's. ``audit``, ``shadow``: the same, where
that would have been served but for chance, which measures errors where they are made, or for shadow mode."""


class FrameError(ValueError):
    """What came is no frame, or no message that is known; the message says why."""


class Message(msgspec.Struct, array_like=True, frozen=True):
    """One thing that is said."""

    number: Number


class Decided(msgspec.Struct, array_like=True, frozen=True):
    """What had been decided about a question whose answer is to be kept now."""

    verdict: Verdict
    entry: Number
    similarity: Annotated[float, Meta(ge=-1.01, le=1.01)]


class Find(Message, tag="find", frozen=True):
    """Is there an answer to this question? Past its deadline nobody waits for the reply, and there may be none."""

    deadline_ns: Number
    partition: Hash
    """All of a request but the text of its last user turn: only what has this in common is compared."""
    tenant: Hash
    text: Text


class Keep(Message, tag="keep", frozen=True):
    """The provider's answer to a question that was asked about; ``said``: its plain text, to compare answers by."""

    partition: Hash
    tenant: Hash
    text: Text
    said: Said
    kind: Annotated[int, Meta(ge=0, le=255)]
    answer: Answer
    usage: Few
    about: Few
    """JSON: key, team, model, provider, dialect, tags."""
    cost_nano: Count
    """What it cost, nano-USD."""
    ttl_ms: Annotated[int, Meta(ge=1, le=2_592_000_000)]
    decided: Decided | None = None
    sharers: Annotated[str, Meta(max_length=256)] = ""
    """Who shares the answer, for people: the tenant's name."""


class Entries(Message, tag="list", frozen=True):
    """Entries in the order of their ids, ``after`` the one with that id."""

    after: Number = 0
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    wanted: Wanted = Wanted()


class Inspect(Message, tag="inspect", frozen=True):
    """All that is known of one entry."""

    id: Number


class Delete(Message, tag="delete", frozen=True):
    """Delete these, of which all that is wanted holds; nothing said is refused, unless it is ``everything``."""

    ids: Annotated[tuple[Number, ...], Meta(max_length=1_000)] | None = None
    wanted: Wanted = Wanted()
    everything: bool = False


class Report(Message, tag="report", frozen=True):
    """What was decided so far, and how right it was: in all, and of so many tenants that asked most."""

    tenants: Annotated[int, Meta(ge=0, le=1_000)] = 0


class Ping(Message, tag="ping", frozen=True):
    """Are you there? There is no reply where a piece of work has not ended for too long."""


class Found(Message, tag="found", frozen=True):
    """The reply to :class:`Find`. Only ``serve`` has an answer; a miss says why it is one."""

    verdict: Verdict
    reason: str
    entry: Number = 0
    similarity: float = 0.0
    error: float = 0.0
    """How likely the entry's answer is the wrong one."""
    kind: int = 0
    answer: bytes = b""
    usage: bytes = b""
    created_ms: int = 0

    def decided(self) -> Decided:
        """What goes with the answer that is to be kept."""
        return Decided(self.verdict, self.entry, self.similarity)


class Listed(Message, tag="listed", frozen=True):
    """The reply to :class:`Entries`; ``following``: what the next page is ``after``; None: there is none."""

    entries: tuple[Entry, ...]
    following: int | None


class Inspected(Message, tag="inspected", frozen=True):
    """The reply to :class:`Inspect`; no ``entry``: it is not there."""

    entry: Entry | None
    comparisons: tuple[tuple[float, bool], ...] = ()
    """The last of them: how near the other question was, and whether the answers said the same."""
    said: str = ""
    """The answer's plain text, cut where it is too long for a frame."""


class Done(Message, tag="done", frozen=True):
    """Carried out; ``count``: entries that it was about."""

    count: int


class Reported(Message, tag="reported", frozen=True):
    """The reply to :class:`Report`. Amounts are nano-USD, shares lie between 0 and 1, ranges are of 95 %."""

    shadow: bool
    max_error: float
    entries: int
    partitions: int
    counts: dict[str, int]
    """What happened, by name: finds, and what became of them; batches; what was kept, dropped, evicted."""
    compared: int
    """Would-be hits whose answers were compared: those of shadow mode, and those that chance sent to the provider."""
    wrong: int
    error_per_hit: Range
    """Of the would-be hits, the share that was wrong."""
    error_per_request: Range
    saved_nano: int
    """What was saved by serving."""
    expected_error: float
    """Per hit, as the decisions themselves put it."""
    would_save_nano: int = 0
    """What serving would have saved in shadow mode."""
    since_ms: int = 0
    """When counting began."""
    tenants: tuple[TenantReport, ...] = ()
    more_tenants: bool = False


class Pong(Message, tag="pong", frozen=True):
    """Here; ``waiting`` questions have no reply yet."""

    entries: int
    waiting: int
    connections: int


class Busy(Message, tag="busy", frozen=True):
    """More questions wait already than can be answered in time: take it for a miss."""


class Refused(Message, tag="refused", frozen=True):
    """Not carried out; asking the same again does not help."""

    why: str


Request = Find | Keep | Entries | Inspect | Delete | Report | Ping
Reply = Found | Listed | Inspected | Done | Reported | Pong | Busy | Refused

_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(Request)
_replies: Final = msgspec.msgpack.Decoder(Reply)


def framed(message: Request | Reply) -> bytes:
    """A message as it goes over the socket. Raises FrameError where it is too long."""
    body = _encoder.encode(message)
    if len(body) > MOST_FRAME:
        raise FrameError(f"a message of {len(body)} bytes; {MOST_FRAME} may be sent")
    return len(body).to_bytes(_HEAD, "little") + body


def request_of(body: bytes) -> Request:
    """The request in a frame. Raises FrameError."""
    try:
        found: Request = _requests.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"no request that is known: {shown(str(error), 200)}") from None
    return found


def reply_of(body: bytes) -> Reply:
    """The reply in a frame. Raises FrameError."""
    try:
        found: Reply = _replies.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"no reply that is known: {shown(str(error), 200)}") from None
    return found


class Frames:
    """Takes bytes as they come and gives out the bodies of whole frames."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Each body that is whole by now, in order. Raises FrameError where a length cannot be one."""
        kept = self._kept
        kept += data
        at = 0
        try:
            while len(kept) - at >= _HEAD:
                size = int.from_bytes(kept[at : at + _HEAD], "little")
                if not 0 < size <= MOST_FRAME:
                    raise FrameError(f"a frame of {size} bytes; 1 to {MOST_FRAME} may be sent")
                end = at + _HEAD + size
                if len(kept) < end:
                    break
                body = bytes(kept[at + _HEAD : end])
                at = end
                yield body
        finally:
            del kept[:at]
