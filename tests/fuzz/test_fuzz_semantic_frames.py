"""Frames of the semantic process, mutated: understood or refused, and the same however they are cut."""

import random

from fastgate.wire.semantic import (
    Decided,
    Delete,
    Entries,
    FrameError,
    Frames,
    Inspect,
    Inspected,
    Listed,
    Ping,
    Report,
    Reported,
    framed,
    reply_of,
    request_of,
)
from fastgate.wire.semantic_entries import Entry, TenantReport, Wanted
from tests.fuzz.harness import TARGETS, main, run, target
from tests.support.semantic import find, keep

ENTRY = Entry(3, bytes(16), bytes(16), "What?", b"{}", 1, 2, 3, 4, 5, 4, 1, 1_000, 99)
SEEDS = [
    framed(find("What is the capital of France?")),
    framed(keep("What is the capital of France?", decided=Decided("explore", 5, 0.93))),
    framed(Entries(3, after=7, limit=10, wanted=Wanted((("key", ("a", "b")),), 1, 2))) + framed(Ping(6)),
    framed(Delete(4, ids=(1, 2), wanted=Wanted((("tag:job", ("7",)),)))) + framed(Report(5, 9)) + framed(Inspect(7, 1)),
    framed(Listed(5, (ENTRY,), 9)),
    framed(Inspected(6, ENTRY, ((0.9, True),), "Paris")),
    framed(
        Reported(
            8,
            True,
            0.02,
            1,
            1,
            {"find": 3},
            2,
            1,
            (0.5, 0.1, 0.9),
            (0.1, 0.0, 0.2),
            5,
            0.01,
            7,
            1,
            (TenantReport(b"a tenant's bytes", "key:k", 1, {}, 2, 1, (0.5, 0.1, 0.9), (0.1, 0.0, 0.2), 5, 7, 0.01),),
        )
    ),
]
TOKENS = [
    b"\x00\x00\x00\x00", b"\x05\x00\x00\x00", b"\x95", b"\xa4find", b"\xa4keep", b"\xc4\x10" + bytes(16), b"\xc0",
    b"\xcf",
]  # fmt: skip


def outcome(pieces: list[bytes]) -> list[object]:
    """What is understood of a stream, and what ends it."""
    frames, found = Frames(), []
    try:
        for piece in pieces:
            for body in frames.feed(piece):
                found.append(request_of(body))
    except FrameError as error:
        found.append(str(error))
    assert not [each for each in found if isinstance(each, str) and not each.isprintable()]
    return found


@target("semantic-frames", seeds=SEEDS, tokens=TOKENS)
def check_frames(data: bytes) -> None:
    whole = outcome([data])
    rng = random.Random(data)
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(1, 5)))
    assert outcome([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]) == whole
    for understood in whole:
        if not isinstance(understood, str):
            (body,) = Frames().feed(framed(understood))  # type: ignore[arg-type]
            assert request_of(body) == understood


@target("semantic-replies", seeds=[seed[4:] for seed in SEEDS], tokens=TOKENS)
def check_replies(data: bytes) -> None:
    for understand in (reply_of, request_of):
        why = "it is understood"
        try:
            understand(data)
        except FrameError as error:
            why = str(error)
        assert why.isprintable()


NAMED = [name for name in TARGETS if name.startswith("semantic-")]


def test_for_a_short_while() -> None:
    assert len(NAMED) == 2
    for name in NAMED:
        assert run(TARGETS[name], seed=1, rounds=3_000) == 3_000


if __name__ == "__main__":
    main(NAMED)
