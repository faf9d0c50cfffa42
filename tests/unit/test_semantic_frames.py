"""Frames between workers and the semantic process: whole however they are cut, refused where they are none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.wire.liveness import PING
from fastgate.wire.semantic import (
    MOST_FRAME,
    MOST_TEXT,
    Busy,
    Decided,
    Delete,
    Entries,
    Find,
    Found,
    FrameError,
    Frames,
    Inspect,
    Inspected,
    Keep,
    Listed,
    Ping,
    Pong,
    Refused,
    Reply,
    Report,
    Reported,
    framed,
    reply_of,
    request_of,
)
from fastgate.wire.semantic_entries import Entry, TenantReport, Wanted
from tests.support.semantic import ONE, TENANT, find, keep

REQUESTS = [
    find("What?"),
    keep("What?", decided=Decided("explore", 5, 0.93)),
    Entries(3, after=7, limit=10, wanted=Wanted((("key", ("a", "b")),), 1, 2, TENANT)),
    Delete(4, ids=(1, 2), wanted=Wanted((("tag:job", ("7",)),))),
    Report(5, 100),
    Inspect(7, 2**63 - 1),
    Ping(6),
]
ENTRY = Entry(3, ONE, TENANT, "What?", b"{}", 1, 2, 3, 4, 5, 4, 1, 1_000, 99)
REPLIES = [
    Found(1, "serve", "sure", 9, 0.99, 0.001, 1, b"{}", b"12345678", 1_700_000_000_000),
    Busy(2),
    Pong(3, 4, 5, 6),
    Refused(4, "why"),
    Listed(5, (ENTRY,), 9),
    Inspected(6, ENTRY, ((0.9, True), (0.8, False)), "Paris"),
    Inspected(7, None),
    Reported(
        8, True, 0.02, 1, 1, {"find": 3}, 2, 1, (0.5, 0.1, 0.9), (0.1, 0.0, 0.2), 5, 0.01, 7, 1,
        (TenantReport(TENANT, "key:k", 1, {"find": 3}, 2, 1, (0.5, 0.1, 0.9), (0.1, 0.0, 0.2), 5, 7, 0.01),), True,
    ),
]  # fmt: skip


@given(st.data())
def test_messages_come_out_whole_however_they_are_cut(data: st.DataObject) -> None:
    sent = data.draw(st.lists(st.sampled_from(REQUESTS), max_size=6))
    stream = b"".join(framed(each) for each in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    frames = Frames()
    found = [
        request_of(body)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for body in frames.feed(stream[start:end])
    ]
    assert found == sent


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
def test_replies_come_back_as_they_were(reply: Reply) -> None:
    (body,) = Frames().feed(framed(reply))
    assert reply_of(body) == reply


@pytest.mark.parametrize("size", [0, MOST_FRAME + 1, 2**32 - 1])
def test_a_length_that_cannot_be_one_ends_it_before_anything_is_waited_for(size: int) -> None:
    with pytest.raises(FrameError, match=f"a frame of {size} bytes"):
        list(Frames().feed(size.to_bytes(4, "little")))


def test_what_is_before_a_bad_frame_still_comes_out() -> None:
    bodies = Frames().feed(framed(Ping(1)) + bytes(4))
    assert request_of(next(bodies)) == Ping(1)
    with pytest.raises(FrameError):
        next(bodies)


@pytest.mark.parametrize(
    "message",
    [
        ["find", 1, 1, b"short", TENANT, "What?"],
        ["find", 1, 1, ONE, TENANT, ""],
        ["find", 1, 1, ONE, TENANT, "x" * (MOST_TEXT + 1)],
        ["find", -1, 1, ONE, TENANT, "What?"],
        ["find", 1, 1, ONE, TENANT],
        ["find", 1, 1, ONE.decode(), TENANT, "What?"],
        ["list", 1, 0, 1_001],
        ["list", 1, 0, 10, [[["key", []]]]],
        ["list", 1, 0, 10, [[["key", ["a"]]], 0, None, b"short"]],
        ["list", 1, 0, 10, [[["key", ["a"] * 65]]]],
        ["list", 1, 0, 10, [[["key", ["a"]]] * 65]],
        ["delete", 1, list(range(1_001))],
        ["inspect", 1],
        ["inspect", 1, -1],
        ["report", 1, 1_001],
        ["nothing", 1],
        ["busy", 1],
        [],
        {"find": 1},
        None,
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(message: object) -> None:
    with pytest.raises(FrameError, match="no request that is known"):
        request_of(msgspec.msgpack.encode(message))


def test_a_keep_without_a_decision_and_a_find_are_what_they_say() -> None:
    assert isinstance(request_of(msgspec.msgpack.encode(keep("a"))), Keep)
    assert isinstance(request_of(msgspec.msgpack.encode(find("a"))), Find)


def test_what_is_too_long_is_not_sent() -> None:
    with pytest.raises(FrameError, match="may be sent"):
        framed(keep("a", said="x" * MOST_FRAME))


def test_what_the_supervisor_sends_is_the_frame_of_a_ping() -> None:
    assert framed(Ping(0)) == PING
