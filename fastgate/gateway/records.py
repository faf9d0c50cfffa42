"""The records that are in force: those of the snapshot, and what changed since."""

from pathlib import Path

import msgspec

from fastgate._core.snapshot import CorruptSnapshot, Snapshot
from fastgate.wire.changes import Changes, log_path
from fastgate.wire.snapshot import KeyRecord, OwnerRecord


class Superseded(Exception):
    """The snapshot's log is gone: another snapshot is just being put in its place."""


class Records:
    """``Records(path)``: the snapshot at ``path`` and its log of changes.

    Raises :class:`Superseded`, and :class:`CorruptSnapshot` or ``OSError`` where one of them cannot be read: without
    the log, keys that were revoked would be served.
    """

    __slots__ = ("_changed", "_decode_key", "_decode_owner", "_log", "snapshot")

    def __init__(self, path: Path) -> None:
        self.snapshot = Snapshot(str(path))
        try:
            self._log = Changes(log_path(path.parent, self.snapshot.generation))
        except FileNotFoundError as error:
            raise Superseded(str(error)) from error
        self._changed: dict[bytes, bytes] = {}
        self._decode_key = msgspec.msgpack.Decoder(KeyRecord).decode
        self._decode_owner = msgspec.msgpack.Decoder(OwnerRecord).decode
        while self.follow():
            pass

    def __len__(self) -> int:
        return self.snapshot.record_count

    def key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest of its secret."""
        blob = self._find(digest)
        return self._decode_key(blob) if blob else None

    def owner(self, digest: bytes, name: str) -> OwnerRecord:
        """A team or a customer. One that is missing must not take its budgets with it: that raises."""
        blob = self._find(digest)
        if not blob:
            raise CorruptSnapshot(f"{self.snapshot.path}: {name} is missing")
        return self._decode_owner(blob)

    def follow(self) -> list[bytes]:
        """Takes what changed; the digests. Off the request path. Raises :class:`CorruptSnapshot`, ``OSError``."""
        changes = self._log.read()
        self._changed.update(changes)
        return [digest for digest, _ in changes]

    def close(self) -> None:
        """Another snapshot has taken over. Requests that are open may still look here."""
        self._log.close()

    def _find(self, digest: bytes) -> bytes | None:
        blob = self._changed.get(digest)
        return self.snapshot.find(digest) if blob is None else blob
