"""Backups altered anywhere: refused, or exactly what was packed; never a file that the manifest does not name."""

import atexit
import gzip
import shutil
import tempfile
from functools import cache
from pathlib import Path

from fastgate.backup.archive import pack, unpack
from fastgate.backup.errors import BadArchive, NewerArchive
from tests.fuzz.harness import TARGETS, main, run, target

FILES = {"state.db": bytes(range(256)) * 4, "ledger.duckdb": b"", "admin-token": b"token\n"}


@cache
def folder() -> Path:
    """Where this process works, until it ends."""
    made = Path(tempfile.mkdtemp(prefix="fastgate-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def packed() -> bytes:
    for name, content in FILES.items():
        (folder() / name).write_bytes(content)
    pack(folder(), FILES, {"state": 1, "ledger": 1}, folder() / "seed")
    return (folder() / "seed").read_bytes()


def check(archive: bytes) -> None:
    """What is taken has the hashes of its manifest, so it only has to be in the folder and nowhere else."""
    path, into = folder() / "one", folder() / "into"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    path.write_bytes(archive)
    around = set(folder().iterdir())
    try:
        manifest = unpack(path, into)
    except (BadArchive, NewerArchive):
        pass
    else:
        assert {each.name for each in into.iterdir()} == {member.name for member in manifest.members}
    assert set(folder().iterdir()) == around


@target("backup", seeds=[packed()])
def check_archive(data: bytes) -> None:
    check(data)


@target("backup-tar", seeds=[gzip.decompress(packed())], tokens=[b"../", b"ustar", b"0000000", b"\0", b'"name":'])
def check_tar(data: bytes) -> None:
    """The same behind an intact compression, which would hide what lies inside from mutations."""
    check(gzip.compress(data, 1))


def test_for_a_short_while() -> None:
    assert run(TARGETS["backup"], seed=1, rounds=400) == 400
    assert run(TARGETS["backup-tar"], seed=1, rounds=1200) == 1200


if __name__ == "__main__":
    main(["backup", "backup-tar"])
