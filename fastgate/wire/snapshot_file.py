"""Writes the snapshot file that workers map; :class:`fastgate._core.snapshot.Snapshot` reads it."""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from fastgate._core.snapshot import ENTRY_SIZE, HEADER_SIZE, blob_check, build_index, pack_header, slots_for
from fastgate.wire.snapshot import SnapshotHead

_ENTRY = struct.Struct("<32sQII")
_ALIGNMENT = 64
_BUFFER = 1 << 20

assert _ENTRY.size == ENTRY_SIZE


def write_snapshot(path: Path, head: SnapshotHead, records: Iterable[tuple[bytes, bytes]], prices: bytes) -> int:
    """Writes the snapshot beside ``path`` and renames it there, mode 0600 since it holds providers' secrets.

    ``records``: (digest, encoded record), taken one at a time. Returns their number. Raises ``ValueError`` where two
    have one digest, ``OSError`` where the file cannot be written; then nothing is left behind. The data is not forced
    to the disk: after a crash of the machine the control plane compiles a new one.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        draft.unlink()
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=_BUFFER) as file:
            count = _write(file, head, records, prices)
        draft.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
    return count


def _write(file: BinaryIO, head: SnapshotHead, records: Iterable[tuple[bytes, bytes]], prices: bytes) -> int:
    file.write(bytes(HEADER_SIZE))
    entries, blobs_size = _write_blobs(file, records)
    count = len(entries) // ENTRY_SIZE
    index = build_index(entries, slots_for(count))
    head_blob = msgspec.msgpack.encode(head)
    index_at = _write_section(file, index)
    head_at = _write_section(file, head_blob)
    prices_at = _write_section(file, prices)
    size = file.tell()
    file.seek(0)
    file.write(
        pack_header(
            generation=head.generation,
            size=size,
            keys=count,
            blobs=(HEADER_SIZE, blobs_size),
            index_at=index_at,
            head_at=head_at,
            prices_at=prices_at,
            head=head_blob,
            prices=prices,
        )
    )
    return count


def _write_blobs(file: BinaryIO, records: Iterable[tuple[bytes, bytes]]) -> tuple[bytearray, int]:
    """Writes every record; returns the packed index entries and the size of all records."""
    entries = bytearray()
    offset = 0
    for digest, blob in records:
        if len(digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")
        file.write(blob)
        entries += _ENTRY.pack(digest, offset, len(blob), blob_check(digest, blob))
        offset += len(blob)
    return entries, offset


def _write_section(file: BinaryIO, data: bytes | bytearray) -> int:
    """Writes ``data`` at the next boundary and returns where it starts."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    at = file.tell()
    file.write(data)
    return at
