"""The exact cache's store: what is found is what was stored for that very question, and space is always found again."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgate._core.arena import ArenaError, ArenaFull, CorruptArena, NewerArena
from fastgate._core.slab import LARGEST, Slab, create_slab, hash128
from fastgate._core.slab_search import remove_id
from tests.support.slabs import HOUR_MS, INDEX, NOW_MS, TENANT, answer_to, get, has, put
from tests.support.small_disk import small_disk

HEAD = 88
"""Bytes of an entry beside what is stored in it."""
BUCKETS = 256
SLOTS = 8


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "slab.bin")


@pytest.fixture
def slab(path: str) -> Slab:
    create_slab(path, 1)
    return Slab(path)


def questions(prefix: str = "question") -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield f"{prefix} {number}".encode()


def filled(slab: Slab, prefix: str, size: int = 5_000, *, now_ms: int = NOW_MS) -> list[bytes]:
    """So many answers that the next one needs another segment, or a sweep."""
    stored = []
    for fingerprint in questions(prefix):
        before = slab.counts()
        assert put(slab, fingerprint, size, now_ms=now_ms)
        stored.append(fingerprint)
        room = slab.counts()["bytes"] - before["bytes"]
        if (1 << 20) - slab.counts()["bytes"] < room:
            return stored
    raise AssertionError


# ---- keys


def test_the_hash_is_siphash() -> None:
    """The first, the second and the sixteenth of the vectors that its authors publish."""
    salt = bytes(range(16))
    found = [hash128(bytes(range(size)), salt).hex() for size in (0, 1, 15)]
    assert found == [
        "a3817f04ba25a8e66df67214c7550293",
        "da87c1d86b99af44347659119b22fc45",
        "5493e99933b0a8117e08ec0f97cfc3d9",
    ]
    assert hash128(b"x") == hash128(b"x", bytes(16))
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        hash128(b"x", b"abc")


def test_each_slab_has_keys_of_its_own(slab: Slab, path: str) -> None:
    key = slab.hash128(b"question")
    assert Slab(path).hash128(b"question") == key
    create_slab(path, 1)
    assert Slab(path).hash128(b"question") != key


def test_a_key_has_16_bytes(slab: Slab) -> None:
    with pytest.raises(ValueError, match="16 bytes, not 2"):
        slab.find(b"xx", b"", NOW_MS)
    with pytest.raises(ValueError, match="16 bytes"):
        slab.remove(b"x" * 17, b"")


# ---- finding


def test_what_is_stored_is_found(slab: Slab) -> None:
    assert get(slab, b"question") is None
    assert put(slab, b"question", 1234)
    hit = get(slab, b"question")
    assert hit is not None
    assert (hit.answer, hit.kind, hit.usage) == (answer_to(b"question", 1234), 0, b"1234")
    assert (hit.created_ms, hit.expires_ms) == (NOW_MS, NOW_MS + HOUR_MS)
    assert hit.id == f"{slab.hash128(b'question').hex()}-1"


def test_other_processes_find_it(slab: Slab, path: str) -> None:
    assert put(slab, b"question")
    assert has(Slab(path), b"question")


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, LARGEST - 1000])
def test_answers_and_questions_of_any_size(slab: Slab, size: int) -> None:
    assert put(slab, b"", size)
    assert put(slab, b"x" * size, 10)
    hit = get(slab, b"x" * size)
    assert hit is not None
    assert len(hit.answer) == 10
    if size:
        hit = get(slab, b"")
        assert hit is not None
        assert len(hit.answer) == size


def test_the_whole_fingerprint_is_compared(slab: Slab) -> None:
    """Two questions whose keys collide have each its own answer."""
    key = bytes(range(16))

    def store(fingerprint: bytes) -> bool:
        return slab.store(
            key, fingerprint, b"to " + fingerprint, kind=0, usage=b"", tenant=TENANT, about=b"", now_ms=1, ttl_ms=9
        )

    assert store(b"one")
    assert slab.find(key, b"two", 1) is None
    assert slab.find(key, b"on", 1) is None
    assert slab.find(key, b"one ", 1) is None
    assert store(b"two")
    for fingerprint in (b"one", b"two"):
        hit = slab.find(key, fingerprint, 1)
        assert hit is not None
        assert hit.answer == b"to " + fingerprint
    assert slab.remove(key, b"one")
    assert slab.find(key, b"one", 1) is None
    assert slab.find(key, b"two", 1) is not None


def test_what_has_expired_is_not_found(slab: Slab) -> None:
    assert put(slab, b"question", ttl_ms=1000)
    assert has(slab, b"question", now_ms=NOW_MS + 999)
    assert not has(slab, b"question", now_ms=NOW_MS + 1000)
    assert put(slab, b"never", ttl_ms=0)
    assert not has(slab, b"never")


def test_the_last_answer_counts(slab: Slab) -> None:
    for size in (10, 20, 5):
        assert put(slab, b"question", size)
        hit = get(slab, b"question")
        assert hit is not None
        assert len(hit.answer) == size
        assert slab.counts()["entries"] == 1


def test_no_stray_byte_is_handed_out(slab: Slab, path: str) -> None:
    """Whichever byte of an entry is another, it is not found."""
    assert put(slab, b"question", 20)
    raw = Path(path).read_bytes()
    start = raw.rindex(b"question") - HEAD
    size = HEAD + len(b"question") + len(b"20") + len(b'{"model":"m"}') + 20
    with open(path, "r+b") as file:
        for at in range(start, start + size):
            file.seek(at)
            file.write(bytes([raw[at] ^ 0x41]))
            file.flush()
            assert not has(slab, b"question"), at - start
            assert not list(slab.scan())
            file.seek(at)
            file.write(raw[at : at + 1])
            file.flush()
    assert has(slab, b"question")


# ---- making room


def test_what_is_too_large_is_refused(path: str) -> None:
    create_slab(path, 3)
    slab = Slab(path)
    overhead = HEAD + len(b"question") + len(b'{"model":"m"}') + len(str(LARGEST))
    assert put(slab, b"question", LARGEST - overhead)
    assert not put(slab, b"question", LARGEST - overhead + 1)
    assert not put(slab, b"question", 5 << 20)
    assert put(Slab(path, largest=512 << 10), b"larger", 400 << 10)
    assert not put(Slab(path, largest=1000), b"question", 1000)
    assert slab.counts()["refused"] == 3
    with pytest.raises(ValueError, match="at most 524288"):
        Slab(path, largest=(512 << 10) + 1)


@pytest.mark.parametrize(
    "wrong",
    [{"tenant": b"short"}, {"usage": bytes(1 << 16)}, {"about": bytes(1 << 16)}, {"ttl_ms": -1}, {"now_ms": -1}],
)
def test_what_cannot_be_stored(slab: Slab, wrong: dict[str, object]) -> None:
    given = {"kind": 0, "usage": b"", "tenant": TENANT, "about": b"", "now_ms": 1, "ttl_ms": 1} | wrong
    with pytest.raises(ValueError, match="a tenant has 16 bytes"):
        slab.store(bytes(16), b"question", b"answer", **given)  # type: ignore[arg-type]


def test_a_full_slab_goes_on_storing(path: str) -> None:
    """Ten times what it holds, in all sizes: the last ones are found, and nothing is refused."""
    create_slab(path, 3)
    slab = Slab(path)
    stored = 0
    for number, fingerprint in enumerate(questions()):
        size = 200_000 >> number % 12
        assert put(slab, fingerprint, size)
        assert has(slab, fingerprint)
        stored += size
        if stored > 30 << 20:
            break
    counts = slab.counts()
    assert counts["refused"] == 0
    assert counts["bytes"] <= 3 << 20
    assert counts["evicted"] + counts["entries"] == counts["stored"]
    assert counts["entries"] == len(list(slab.scan()))


def test_what_was_asked_for_stays(slab: Slab) -> None:
    stored = filled(slab, "question")
    asked = stored[10:60]
    assert all(has(slab, fingerprint) for fingerprint in asked)
    for fingerprint in filled(slab, "other"):
        assert has(slab, fingerprint)
    assert [fingerprint for fingerprint in stored if has(slab, fingerprint)] == asked


def test_what_is_asked_for_no_more_goes(slab: Slab) -> None:
    stored = filled(slab, "question")
    assert all(has(slab, fingerprint) for fingerprint in stored[:50])
    for turn in range(3):
        for fingerprint in filled(slab, f"other {turn}"):
            assert put(slab, fingerprint)
    assert not any(has(slab, fingerprint) for fingerprint in stored)


def test_half_of_a_segment_goes_where_all_of_it_was_asked_for(slab: Slab) -> None:
    stored = filled(slab, "question")
    assert all(has(slab, fingerprint) for fingerprint in stored)
    assert put(slab, b"another", 5_000)
    left = [fingerprint for fingerprint in stored if has(slab, fingerprint)]
    assert left == stored[: len(left)]
    assert 0.4 < len(left) / len(stored) <= 0.5


def test_the_expired_goes_though_it_was_asked_for(slab: Slab) -> None:
    stored = filled(slab, "question")
    assert all(has(slab, fingerprint) for fingerprint in stored[:50])
    assert put(slab, b"another", 5_000, now_ms=NOW_MS + HOUR_MS)
    assert slab.counts()["entries"] == 1


def test_what_was_replaced_leaves_its_space(slab: Slab) -> None:
    """A sweep keeps what is led to, though all of it was asked for."""
    for size in range(5_000, 5_300):
        assert put(slab, b"question", size)
        assert has(slab, b"question")
    assert slab.counts() == {"entries": 1, "stored": 300, "evicted": 0, "refused": 0, "bytes": slab.counts()["bytes"]}


def test_a_full_bucket_loses_what_was_asked_for_longest_ago(slab: Slab) -> None:
    """Keys of one bucket: as many as it has slots, then one more."""

    def find(number: int, now_ms: int) -> bool:
        return slab.find(key(number), b"%d" % number, now_ms) is not None

    def key(number: int) -> bytes:
        return struct.pack("=QQ", 7, number << 40)

    def store(number: int, now_ms: int) -> None:
        assert slab.store(
            key(number), b"%d" % number, b"", kind=0, usage=b"", tenant=TENANT, about=b"", now_ms=now_ms, ttl_ms=10**6
        )

    for number in range(SLOTS):
        store(number, 100 + number)
    assert find(0, 200)
    store(SLOTS, 300)
    assert [find(number, 300) for number in range(SLOTS + 1)] == [True, False, *[True] * (SLOTS - 1)]
    assert slab.counts()["evicted"] == 1


def test_segments_of_others_are_left_alone(path: str) -> None:
    """Three processes, two segments: the third stores nothing until one of them is gone."""
    create_slab(path, 2)
    first, second, third = Slab(path), Slab(path), Slab(path)
    assert put(first, b"one")
    assert put(second, b"two")
    assert not put(third, b"three")
    assert has(third, b"one")
    del first
    assert put(third, b"three")
    for fingerprint in (b"one", b"two", b"three"):
        assert has(second, fingerprint)


def test_what_a_dead_owner_left_half_moved_is_forgotten(path: str) -> None:
    """As a kill in a sweep leaves it: the generation is odd."""
    create_slab(path, 1)
    slab = Slab(path)
    stored = filled(slab, "question", 50_000)
    assert put(Slab(path), b"refused") is False
    generation_at = INDEX + BUCKETS * SLOTS * 16
    del slab
    with open(path, "r+b") as file:
        file.seek(generation_at)
        file.write(struct.pack("=Q", 1))
    slab = Slab(path)
    assert not any(has(slab, fingerprint) for fingerprint in stored)
    assert put(slab, b"another")
    assert has(slab, b"another")
    assert not any(has(slab, fingerprint) for fingerprint in stored)
    assert slab.counts()["entries"] == 1


def test_a_segment_in_which_entries_do_not_follow_each_other_is_forgotten(slab: Slab, path: str) -> None:
    stored = filled(slab, "question", 50_000)
    raw = Path(path).read_bytes()
    size_at = raw.index(stored[3], INDEX) - HEAD + 64
    with open(path, "r+b") as file:
        file.seek(size_at)
        file.write(struct.pack("=I", 1 << 30))
    assert put(slab, b"another", 100_000)
    assert has(slab, b"another")
    assert slab.counts()["entries"] == 1


# ---- listing and removing


def test_what_is_removed_is_found_no_more(slab: Slab) -> None:
    assert put(slab, b"question")
    assert slab.remove(slab.hash128(b"question"), b"question")
    assert not slab.remove(slab.hash128(b"question"), b"question")
    assert not has(slab, b"question")
    assert put(slab, b"question")
    assert has(slab, b"question")


def test_entries_are_listed(slab: Slab) -> None:
    assert put(slab, b"question", 301)
    assert put(slab, b"other", 10, ttl_ms=0)
    for now_ms in (NOW_MS + 1, NOW_MS + 2):
        assert has(slab, b"question", now_ms=now_ms)
    listed = {entry.key: entry for entry in slab.scan()}
    assert len(listed) == 2
    entry = listed[slab.hash128(b"question")]
    hit = get(slab, b"question")
    assert hit is not None
    assert (entry.id, entry.tenant, entry.about, entry.usage) == (hit.id, TENANT, b'{"model":"m"}', b"301")
    assert (entry.kind, entry.answer_bytes, entry.size) == (1, 301, HEAD + 8 + 3 + 13 + 301)
    assert (entry.created_ms, entry.expires_ms) == (NOW_MS, NOW_MS + HOUR_MS)
    assert (entry.used_ms, entry.hits) == (NOW_MS + 2, 2)
    other = listed[slab.hash128(b"other")]
    assert (other.used_ms, other.hits) == (NOW_MS, 0)
    assert entry.id in repr(entry)


def test_an_entry_is_removed_by_its_id(slab: Slab) -> None:
    assert put(slab, b"question")
    assert put(slab, b"other")
    hit = get(slab, b"question")
    assert hit is not None
    assert remove_id(slab, hit.id)
    assert not remove_id(slab, hit.id)
    assert put(slab, b"question")
    assert not remove_id(slab, hit.id), "that was another one"
    for wrong in ("", "x", "-", "00-1", f"{hit.id}x", f"{hit.id[:33]}-1", f"{hit.id}{'9' * 30}"):
        assert not remove_id(slab, wrong)
    assert has(slab, b"question")
    assert has(slab, b"other")


# ---- files


@pytest.mark.parametrize("megabytes", [0, -1, 65536])
def test_sizes_that_cannot_be(path: str, megabytes: int) -> None:
    with pytest.raises(ValueError, match="1 to 65535 megabytes"):
        create_slab(path, megabytes)


def test_a_slab_is_allocated_as_a_whole(path: str) -> None:
    create_slab(path, 3)
    assert os.stat(path).st_blocks * 512 >= 3 << 20
    assert not os.path.exists(f"{path}.new")


def test_no_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 2) as disk:
        with pytest.raises(ArenaFull, match="no space"):
            create_slab(str(disk.path / "slab.bin"), 2)
        assert not list(disk.path.iterdir())
        create_slab(str(disk.path / "slab.bin"), 1)


def test_a_new_slab_leaves_those_alone_who_have_the_old(slab: Slab, path: str) -> None:
    assert put(slab, b"question")
    create_slab(path, 1)
    assert has(slab, b"question")
    assert not has(Slab(path), b"question")


@pytest.mark.parametrize(
    ("at", "value", "error", "message"),
    [
        (0, b"\0", CorruptArena, "this is not a slab"),
        (8, struct.pack("=Q", 0), CorruptArena, "layout 0"),
        (8, struct.pack("=Q", 99), NewerArena, "layout 99"),
        (16, struct.pack("=Q", 5), CorruptArena, "cannot be those of"),
        (24, struct.pack("=Q", 2), CorruptArena, "cannot be those of"),
        (24, struct.pack("=Q", 1 << 40), CorruptArena, "cannot be those of"),
        (32, b"x", CorruptArena, "before the machine's last start"),
    ],
)
def test_a_file_that_cannot_be_used(path: str, at: int, value: bytes, error: type[ArenaError], message: str) -> None:
    create_slab(path, 1)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(value)
    with pytest.raises(error, match=message):
        Slab(path)


def test_a_file_that_is_cut_or_not_there(path: str) -> None:
    with pytest.raises(CorruptArena, match="no slab here"):
        Slab(path)
    Path(path).write_bytes(b"x")
    with pytest.raises(CorruptArena, match="1 bytes are too few"):
        Slab(path)
    create_slab(path, 1)
    os.truncate(path, 1 << 20)
    with pytest.raises(CorruptArena, match="1048576 bytes instead of"):
        Slab(path)
