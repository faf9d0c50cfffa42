"""What an event of the journal costs: written by a worker, read by the control plane.

Writing is compared with packing the same event by ``struct`` and ``encode`` into a buffer; reading with msgspec
decoding the same rows from MessagePack.
"""

import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from benchmarks.turns import Compare
from fastgate._core.budget import OUTCOME_REJECTED
from fastgate._core.journal import NUMBERS, TEXTS, Draft, Journal, SegmentReader, segments_of

TEXT: Final = {
    "key": "key-1", "team": "platform", "customer": "acme", "provider": "sim", "provider_key": "main", "model": "smart",
    "upstream_model": "sim-small", "route": "models.smart", "dialect": "openai-chat", "environment": "prod",
}  # fmt: skip
BATCH: Final = 500
REQUEST: Final = os.urandom(16)
STARTED: Final = 1_795_262_400 * 10**6


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(str(tmp_path), 1)
    yield made
    made.close()


def append(journal: Journal, draft: Draft) -> None:
    for _ in range(BATCH):
        journal.log(draft, REQUEST, STARTED, 1500, 402, OUTCOME_REJECTED, False, "budget_exceeded")


NUMBER: Final = struct.Struct(f"<{len(NUMBERS)}q")


def pack(buffer: bytearray) -> None:
    """The reference: the same numbers and texts into a buffer."""
    at = 0
    for _ in range(BATCH):
        NUMBER.pack_into(buffer, at, STARTED, 1500, 402, OUTCOME_REJECTED, *(0,) * (len(NUMBERS) - 4))
        at += NUMBER.size
        for text in (*TEXT.values(), "budget_exceeded"):
            data = text.encode()
            buffer[at : at + 2 + len(data)] = len(data).to_bytes(2, "little") + data
            at += 2 + len(data)
    assert at < len(buffer)


def test_append(compare: Compare, journal: Journal) -> None:
    work, buffer = partial(append, journal, Draft(**TEXT)), bytearray(1 << 20)
    compare("journal: append", work, partial(pack, buffer), number=1, before=journal.prepare)


def rows(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Columns as rows, as they would be had they been logged as records."""
    names = [name for name in ("request_id", *NUMBERS, *TEXTS) if name in found]
    return list(zip(*(list(found[name]) for name in names), strict=True))


def test_read(compare: Compare, journal: Journal) -> None:
    append(journal, Draft(**TEXT))
    [path] = segments_of(journal.folder, 1)[:1]
    found = SegmentReader(path).read(0, BATCH)
    assert found is not None
    assert len(found["seq"]) == BATCH
    encoded = msgspec.msgpack.encode(rows(found))
    read = lambda: SegmentReader(path).read(0, BATCH)  # noqa: E731
    compare("journal: read", read, partial(msgspec.msgpack.Decoder().decode, encoded))
