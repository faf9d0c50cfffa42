"""Files that fastgate maps or reads: altered anywhere, they are refused or read within their bounds, never beyond."""

import atexit
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import msgspec
import pytest

from fastgate._core.journal import CorruptSegment, Draft, Journal, SegmentReader
from fastgate._core.price import PriceTable, Usage
from fastgate._core.snapshot import CorruptSnapshot, Snapshot
from fastgate.config import ConfigErrors, load
from fastgate.config.objects import encode_document, merged, object_document, parse_object, read_object
from fastgate.config.owners import Customer, Key, Team
from fastgate.pricing.table import build_table
from fastgate.wire.changes import ChangeLog, Changes
from fastgate.wire.prices import ModelPrice, PriceBand, PriceRow
from fastgate.wire.snapshot import KeyRecord, SnapshotHead
from fastgate.wire.snapshot_file import write_snapshot
from fastgate.wire.usage import Bucket, Tier
from tests.fuzz.harness import TARGETS, main, run, target

GOLDEN = Path(__file__).parents[1] / "golden" / "check"
DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(5)]
AT_NS = 1_800_000_000_000_000_000
EXTREMES = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00")
YAML = (
    b"- ",
    b"  ",
    b": ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/name:os",
    b"${",
    b"}",
    b"${file:/dev/null}",
    b"'",
    b'"',
    b"|\n",
)


@cache
def folder() -> Path:
    """Where this process works, until it ends; in memory where that can be."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="fastgate-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def snapshot_file() -> bytes:
    head = SnapshotHead(
        generation=1,
        compiled_at_ns=0,
        max_body=1,
        output_cap=1,
        disconnect_ms=1,
        drain_ms=1,
        providers=(),
        models={},
        prices=(),
    )
    write_snapshot(
        folder() / "seed.bin",
        head,
        [(digest, msgspec.msgpack.encode(KeyRecord(id="k"))) for digest in DIGESTS],
        b"prices",
    )
    return (folder() / "seed.bin").read_bytes()


def segment_file() -> bytes:
    journal = Journal(str(folder()), 3, segment_bytes=8192)  # small: a file must have the size that its head says
    journal.prepare()
    draft = Draft(key="k", team="t", model="m", tags="a=b")
    for number in range(4):
        journal.log(draft, bytes([number] * 16), 1_700_000_000_000_000, 5, 402, 1, error="budget_exceeded")
    journal.close()
    return min(folder().glob("journal-*.seg")).read_bytes()


def price_table() -> bytes:
    bands = (PriceBand(-1, (150_000_000,) * len(Bucket)), PriceBand(200_000, (300_000_000,) * len(Bucket)))
    row = PriceRow(tier=Tier.STANDARD, bands=bands)
    return bytes(build_table([ModelPrice(provider="sim", model=f"m{number}", rows=(row,)) for number in range(3)]))


@target("snapshot", seeds=[snapshot_file()], tokens=EXTREMES)
def check_snapshot(data: bytes) -> None:
    path = folder() / "snapshot.bin"
    path.write_bytes(data)
    try:
        opened = Snapshot(path)
        opened.verify()
        for digest in (*DIGESTS, bytes(32)):
            opened.find(digest)
        sizes = len(opened.head) + len(opened.prices)
    except CorruptSnapshot:
        return
    assert sizes <= len(data)


def change_log() -> bytes:
    log = ChangeLog(folder() / "log.bin")
    log.append([(digest, msgspec.msgpack.encode(KeyRecord(id="k"))) for digest in DIGESTS])
    log.append([(DIGESTS[0], b"")])
    log.close()
    return log.path.read_bytes()


@target("changes", seeds=[change_log()], tokens=EXTREMES)
def check_changes(data: bytes) -> None:
    path = folder() / "changes.bin"
    path.write_bytes(data)
    reader = Changes(path)
    try:
        found = reader.read()
    except CorruptSnapshot:
        return
    finally:
        reader.close()
    assert sum(40 + len(blob) for _, blob in found) <= len(data)


@target(
    "objects",
    seeds=[b'{"id": "a", "team": "b", "budgets": [{"limit_usd": "5", "window": "day"}], "tags": {"a": "b"}}'],
    tokens=[b"1e400", b"9e99999999999999999999", b"1e-99999999999999999999", b"NaN"],
)
def check_objects(data: bytes) -> None:
    """An object as it came is read, or refused with problems; what was read says the same when it is read again."""
    for type_ in (Customer, Team, Key):
        try:
            thing = read_object(type_, merged(parse_object(data), {}))
        except ConfigErrors:  # never without problems
            continue
        document = object_document(thing)
        again = parse_object(encode_document(document).encode())
        assert object_document(read_object(type_, again)) == document


@target("segment", seeds=[segment_file()], tokens=EXTREMES)
def check_segment(data: bytes) -> None:
    path = folder() / "one.seg"
    path.write_bytes(data)
    try:
        reader = SegmentReader(str(path))
    except (CorruptSegment, OSError):
        return
    columns = reader.read(0, 1000)
    assert reader.lost >= 0
    assert columns is None or len({len(column) for column in columns.values()}) == 1


@target("prices", seeds=[price_table()], tokens=EXTREMES)
def check_prices(data: bytes) -> None:
    usage = Usage(input=10, output=2)
    try:
        table = PriceTable(data)
        for model in (0, 1, 2, len(table) - 1):
            table.cost(model, usage, AT_NS)
            table.bound(model, 1000, 1000, AT_NS)
    except (ValueError, KeyError, OverflowError):
        return


@target(
    "configuration", seeds=[path.read_bytes() for path in sorted(GOLDEN.glob("*.yaml"))] or [b"keys: []\n"], tokens=YAML
)
def check_configuration(data: bytes) -> None:
    """Read, or refused with problems that lie inside the file; no other error leaves the reader."""
    path = folder() / "fastgate.yaml"
    path.write_bytes(data)
    try:
        load(path, {"OPENAI_API_KEY": "sk-1", "KEY": "sk-fg-2"})
    except ConfigErrors as errors:
        problems = list(errors.problems)
    else:
        return
    assert problems
    # YAML also breaks lines at NEL, LS and PS.
    lines = 2 + sum(map(data.count, (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")))
    for problem in problems:
        assert problem.column >= 1
        assert 1 <= problem.line <= lines or problem.file != str(path)


@pytest.mark.parametrize(
    ("name", "rounds"), [("snapshot", 2000), ("segment", 1500), ("prices", 3000), ("configuration", 120)]
)
def test_for_a_short_while(name: str, rounds: int) -> None:
    assert run(TARGETS[name], seed=1, rounds=rounds) == rounds


@pytest.mark.parametrize("name", ["snapshot", "segment", "prices"])
def test_the_seed_itself_is_read(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].check(data)


def test_the_seed_segment_has_its_events() -> None:
    path = folder() / "whole.seg"
    path.write_bytes(TARGETS["segment"].seeds[0])
    columns = SegmentReader(str(path)).read(0, 1000)
    assert columns is not None
    assert len(columns["seq"]) == 4


@pytest.mark.parametrize("offset", [228, 229, 230, 262])
def test_an_event_with_a_mark_without_a_name_is_passed_over(offset: int) -> None:
    """Settlement, outcome, tier and cache are numbers of names."""
    data = bytearray(TARGETS["segment"].seeds[0])
    data[4096 + offset] = 251
    path = folder() / "mark.seg"
    path.write_bytes(data)
    reader = SegmentReader(str(path))
    columns = reader.read(0, 1000)
    assert columns is not None
    assert list(columns["seq"]) == [2, 3, 4]
    assert (reader.lost, reader.pending) == (1, 0)
    assert reader.damage


if __name__ == "__main__":
    main(["snapshot", "segment", "prices", "configuration"])
