"""Questions that are being asked, as all workers of a host see them."""

from pathlib import Path

import pytest

from fastgate._core.flights import Flights
from fastgate._core.slab import Slab, create_slab
from tests.support.slabs import get, put

NOW = 1_000_000
SOON = NOW + 2_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "slab.bin")
    create_slab(path, 1)
    return path


@pytest.fixture
def one(path: str) -> Flights:
    return Flights(Slab(path))


@pytest.fixture
def other(path: str) -> Flights:
    """Of another process, as far as it can tell."""
    return Flights(Slab(path))


def key(place: int, tag: int = 0) -> bytes:
    return place.to_bytes(8, "little") + (tag << 33).to_bytes(8, "little")


def test_who_asks_first_asks_alone_until_it_is_done(one: Flights, other: Flights) -> None:
    assert not other.is_asked(key(7), NOW)
    assert one.claim(key(7), NOW, SOON)
    assert other.is_asked(key(7), NOW)
    assert not other.claim(key(7), NOW, SOON)
    assert not one.claim(key(7), NOW, SOON)
    one.release(key(7))
    assert not other.is_asked(key(7), NOW)
    assert other.claim(key(7), NOW, SOON)


def test_who_is_not_heard_of_any_more_is_not_waited_for(one: Flights, other: Flights) -> None:
    assert one.claim(key(7), NOW, SOON)
    one.extend(key(7), SOON + 1_000)
    assert other.is_asked(key(7), SOON + 999)
    assert not other.is_asked(key(7), SOON + 1_000)
    assert other.claim(key(7), SOON + 1_000, SOON + 3_000)


def test_another_question_of_the_same_place_is_asked_unseen(one: Flights, other: Flights) -> None:
    first, second = key(7, 1), key(7 + 4096, 2)
    assert one.claim(first, NOW, SOON)
    assert other.claim(second, NOW, SOON)
    assert not other.is_asked(second, NOW)
    other.extend(second, SOON + 9_000)
    other.release(second)
    assert one.is_asked(first, SOON - 1)
    assert not one.is_asked(first, SOON)


def test_questions_of_other_places_do_not_know_of_each_other(one: Flights) -> None:
    assert all(one.claim(key(place), NOW, SOON) for place in range(4096))
    assert not any(one.claim(key(place), NOW, SOON) for place in range(4096))


@pytest.mark.parametrize("bits", [31, 32, 33])
def test_moments_may_be_any_number_of_weeks_after_the_start(one: Flights, bits: int) -> None:
    turn = 1 << bits
    assert one.claim(key(7), turn - 1_000, turn + 1_000)
    assert one.is_asked(key(7), turn - 1)
    assert one.is_asked(key(7), turn + 999)
    assert not one.is_asked(key(7), turn + 1_000)


def test_what_is_kept_is_not_touched(one: Flights, path: str) -> None:
    slab = Slab(path)
    fingerprints = [b"question %d" % number for number in range(200)]
    assert all(put(slab, fingerprint) for fingerprint in fingerprints)
    for place in range(4096):
        one.claim(key(place, 3), NOW, SOON)
    assert all(get(slab, fingerprint) is not None for fingerprint in fingerprints)
    for fingerprint in fingerprints:
        put(slab, fingerprint, 5_000)
    assert not any(one.claim(key(place, 3), NOW, SOON) for place in range(4096))


def test_a_key_has_sixteen_bytes(one: Flights) -> None:
    with pytest.raises(ValueError, match="a key has 16 bytes, not 3"):
        one.claim(b"abc", NOW, SOON)
