"""The archive: a gzipped tar whose first member says what the others are.

::

    manifest.json    {"format": 1, "fastgate": "0.1.0", "created": "2026-11-26T10:00:00Z",
                      "schemas": {"state": 1, "ledger": 1},
                      "members": [{"name": "state.db", "size": 86016, "sha256": "..."}, ...]}
    state.db, ...    in the manifest's order, of exactly these sizes and hashes

Nothing of an archive is believed before it was compared with the manifest, and a name is only taken when
:func:`~fastgate.backup.contents.is_member` says so: there is no path in it that could lead elsewhere.
"""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec
from msgspec import Meta

from fastgate.backup.contents import is_member
from fastgate.backup.errors import BadArchive, NewerArchive
from fastgate.version import __version__

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MOST_MANIFEST: Final = 1 << 16
"""Bytes."""
MOST_PADDING: Final = 1 << 20
"""Bytes of zeros that may follow the last member."""
COMPRESSION: Final = 1
"""Fast: the ledger is compressed in itself already."""
_BLOCK: Final = 1 << 20


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file: ``size`` in bytes, ``sha256`` in hexadecimal digits."""

    name: str
    size: Annotated[int, Meta(ge=0)]
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What is in an archive. ``schemas``: the version of each store; ``created``: RFC 3339."""

    format: int
    fastgate: str
    created: str
    schemas: dict[str, int]
    members: tuple[Member, ...]


def pack(folder: Path, names: Iterable[str], schemas: Mapping[str, int], archive: Path) -> Manifest:
    """Writes these files of ``folder`` into a new 0600 file, whole or not at all. Raises ``OSError``."""
    now = datetime.now(UTC).replace(microsecond=0)
    members = tuple(_described(folder / name) for name in names)
    manifest = Manifest(FORMAT, __version__, now.isoformat().replace("+00:00", "Z"), dict(schemas), members)
    with (
        draft_of(archive) as file,
        tarfile.open(fileobj=file, mode="w:gz", format=tarfile.GNU_FORMAT, compresslevel=COMPRESSION) as tar,
    ):
        text = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
        tar.addfile(_entry(MANIFEST, len(text), now), io.BytesIO(text))
        for member in members:
            with (folder / member.name).open("rb") as source:
                tar.addfile(_entry(member.name, member.size, now), source)
    return manifest


@contextmanager
def draft_of(path: Path) -> Iterator[IO[bytes]]:
    """A new 0600 file, which takes the name ``path`` at the end of the block, or is gone where the block fails.

    Until then it has the name that ``file.name`` says.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "w+b", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise


def unpack(archive: Path, folder: Path | None) -> Manifest:
    """Reads all of an archive and checks it; its files go into the empty ``folder``, where there is one.

    Raises :class:`BadArchive`, :class:`NewerArchive`, ``OSError`` where the file cannot be opened or there is no room.
    """
    with archive.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                manifest = _manifest(tar)
                for member in manifest.members:
                    _take(tar, member, folder)
                _end(tar, stream)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadArchive(f"{archive} is damaged, truncated or no backup of fastgate: {error}") from error
        except BadArchive as error:
            raise BadArchive(f"{archive} is no whole backup of fastgate: {error}") from None
        return manifest


def _described(path: Path) -> Member:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Member(path.name, file.tell(), digest.hexdigest())


def _entry(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    """Nothing of the host is in it: no owner, no time but the archive's own."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, round(at.timestamp())
    return entry


def _manifest(tar: tarfile.TarFile) -> Manifest:
    content = _next(tar, MANIFEST)
    text = content.read(MOST_MANIFEST + 1)
    try:
        found = msgspec.json.decode(text)
        if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > FORMAT:
            by = str(found.get("fastgate", "unknown"))[:40]
            raise NewerArchive(
                f"the backup has format {found['format']} (fastgate {by}), this version knows {FORMAT}: use a newer one"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadArchive(f"its manifest cannot be read: {error}") from error
    names = [member.name for member in manifest.members]
    if len(set(names)) < len(names) or not all(map(is_member, names)):
        raise BadArchive("its manifest names files that no backup has")
    return manifest


def _next(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """The content of the next member, which has to have this name."""
    entry = tar.next()
    content = tar.extractfile(entry) if entry is not None and entry.type == tarfile.REGTYPE else None
    if entry is None or content is None or entry.name != name or entry.issparse():
        raise BadArchive(f"{name} is missing")
    return content


def _take(tar: tarfile.TarFile, member: Member, folder: Path | None) -> None:
    content = _next(tar, member.name)
    digest, size = hashlib.sha256(), 0
    with _target(folder, member.name) as file:
        while block := content.read(_BLOCK):
            digest.update(block)
            size += len(block)
            if size > member.size:
                break
            file.write(block)
    if (size, digest.hexdigest()) != (member.size, member.sha256):
        raise BadArchive(f"{member.name} is not what its manifest says")


@contextmanager
def _target(folder: Path | None, name: str) -> Iterator[IO[bytes]]:
    """Where a file goes; without a folder it goes nowhere."""
    with draft_of(folder / name) if folder is not None else open(os.devnull, "wb") as file:
        yield file


def _end(tar: tarfile.TarFile, stream: gzip.GzipFile) -> None:
    """Reads on to the checksum, which stands at the very end: a truncated file has none."""
    if tar.next() is not None:
        raise BadArchive("there is more in it than its manifest names")
    left = stream.read(MOST_PADDING + 1)
    if len(left) > MOST_PADDING or left.strip(b"\0"):
        raise BadArchive("something follows its end")
