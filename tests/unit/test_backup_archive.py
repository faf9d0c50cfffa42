"""Archives that nobody would make in good faith: refused, and nothing of them is written anywhere else."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fastgate.backup.archive import FORMAT, MANIFEST, MOST_MANIFEST, MOST_PADDING, pack, unpack
from fastgate.backup.errors import BackupError, BadArchive, NewerArchive, NotEmpty
from fastgate.backup.restoring import read, restore
from fastgate.ledger.schema import MIGRATIONS as LEDGER_SCHEMAS
from fastgate.state.schema import MIGRATIONS as STATE_SCHEMAS

FILES = {"state.db": b"s" * 3000, "admin-token": b"a token\n"}
Entries = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    for name, content in FILES.items():
        (tmp_path / "source" / name).write_bytes(content)
    pack(tmp_path / "source", FILES, {"state": 1}, tmp_path / "backup.tar.gz")
    return tmp_path / "backup.tar.gz"


def rewritten(archive: Path, change: Callable[[Entries], Entries]) -> None:
    """The same archive with other entries."""
    with tarfile.open(archive) as tar:
        entries = [(entry, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]
    with tarfile.open(archive, "w:gz") as tar:
        for entry, content in change(entries):
            entry.size = len(content) if entry.type == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(content))


def with_manifest(archive: Path, **changes: object) -> None:
    def change(entries: Entries) -> Entries:
        document = {**msgspec.json.decode(entries[0][1]), **changes}
        return [(entries[0][0], msgspec.json.encode(document)), *entries[1:]]

    rewritten(archive, change)


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def test_what_was_packed_comes_back(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    manifest = unpack(archive, tmp_path / "to")
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()} == FILES
    assert (manifest.format, manifest.schemas) == (FORMAT, {"state": 1})
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (archive, *(tmp_path / "to").iterdir()))
    assert unpack(archive, None) == manifest


EVIL: dict[str, Callable[[Entries], Entries]] = {
    "a name that leads elsewhere": lambda entries: [*entries[:1], (named("../../evil"), b"x"), *entries[2:]],
    "an absolute name": lambda entries: [*entries[:1], (named("/tmp/evil"), b"x"), *entries[2:]],
    "a symbolic link": lambda entries: [*entries[:1], (named("state.db", tarfile.SYMTYPE, "/etc/passwd"), b"")],
    "a hard link": lambda entries: [*entries[:1], (named("state.db", tarfile.LNKTYPE, MANIFEST), b"")],
    "a device": lambda entries: [*entries[:1], (named("state.db", tarfile.CHRTYPE), b"")],
    "a folder": lambda entries: [*entries[:1], (named("state.db", tarfile.DIRTYPE), b"")],
    "more than the manifest names": lambda entries: [*entries, (named("evil"), b"x")],
    "less than the manifest names": lambda entries: entries[:-1],
    "another order": lambda entries: [entries[0], *reversed(entries[1:])],
    "another content": lambda entries: [*entries[:1], (entries[1][0], b"t" * 3000), *entries[2:]],
    "a longer content": lambda entries: [*entries[:1], (entries[1][0], b"s" * 3001), *entries[2:]],
    "no manifest": lambda entries: entries[1:],
    "a manifest that is none": lambda entries: [(entries[0][0], b"[]"), *entries[1:]],
    "a manifest without end": lambda entries: [(entries[0][0], b" " * (MOST_MANIFEST + 1)), *entries[1:]],
    "nothing": lambda _: [],
}


@pytest.mark.parametrize("change", EVIL.values(), ids=EVIL.keys())
def test_what_no_backup_has_is_refused(archive: Path, tmp_path: Path, change: Callable[[Entries], Entries]) -> None:
    rewritten(archive, change)
    inner = tmp_path / "deep" / "inside"
    inner.mkdir(parents=True)
    with pytest.raises(BadArchive):
        unpack(archive, inner)
    assert not list((tmp_path / "deep").rglob("*evil*"))


@pytest.mark.parametrize("name", ["../state.db", "/etc/passwd", "state.db/../x", "supervisor.lock", ""])
def test_a_manifest_that_names_anything_else_is_refused(archive: Path, name: str) -> None:
    with_manifest(archive, members=[{"name": name, "size": 1, "sha256": "0" * 64}])
    with pytest.raises(BadArchive, match="files that no backup has"):
        unpack(archive, None)


def test_every_truncation_is_noticed(archive: Path) -> None:
    whole = archive.read_bytes()
    for length in range(len(whole)):
        archive.write_bytes(whole[:length])
        with pytest.raises(BadArchive):
            unpack(archive, None)


@pytest.mark.parametrize("tail", [b"\0" * (MOST_PADDING + 20_000), b"\0" * 9000 + b"x"], ids=["zeros", "a byte"])
def test_what_follows_the_end_is_bounded(archive: Path, tail: bytes) -> None:
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()) + tail))
    with pytest.raises(BadArchive, match="follows its end"):
        unpack(archive, None)


def test_what_a_later_version_made_is_refused_by_name(archive: Path, tmp_path: Path) -> None:
    with_manifest(archive, format=FORMAT + 1, fastgate="9.9.9", members="of another kind")
    with pytest.raises(NewerArchive, match=rf"format {FORMAT + 1} \(fastgate 9\.9\.9\), this version knows {FORMAT}"):
        unpack(archive, None)
    for store, known in (("state", len(STATE_SCHEMAS)), ("ledger", len(LEDGER_SCHEMAS))):
        pack(tmp_path / "source", FILES, {store: known + 1}, archive)
        with pytest.raises(NewerArchive, match=f"its {store} has schema {known + 1}, this version knows {known}"):
            read(archive)


def test_a_restore_that_fails_leaves_the_folder_as_it_was(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "state.db").write_bytes(b"mine")
    (folder / "supervisor.lock").touch()
    (folder / "unrelated").write_text("of the operator")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(NotEmpty):
        restore(archive, folder)
    rewritten(archive, EVIL["another content"])
    with pytest.raises(BadArchive):
        restore(archive, folder, force=True)
    with pytest.raises(BackupError, match="cannot be read"):
        restore(tmp_path / "nothing", folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_restore_sets_aside_what_is_fastgates_and_nothing_else(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    (folder / "arena").mkdir(parents=True)
    (folder / "arena" / "arena.bin").write_bytes(b"arena")
    (folder / "state.db").write_bytes(b"mine")
    (folder / "unrelated").write_text("of the operator")
    _, aside = restore(archive, folder, force=True)
    assert aside is not None
    assert {path.name for path in aside.iterdir()} == {"arena", "state.db"}
    assert {path.name for path in folder.iterdir()} == {*FILES, "unrelated", "restored", aside.name}
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
