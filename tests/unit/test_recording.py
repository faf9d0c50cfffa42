"""What is kept aside of streams: within a bound for each, and within one for all."""

import pytest

from fastgate._core.events import EventScanner
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.gateway.recording import Recording, Room

EVENT = b'data: {"choices":[]}\n\n'


def recording(most: int, room: Room, told: list[tuple[str, bool]], name: str = "it") -> Recording:
    return Recording(EventScanner(OPENAI_CHAT.table), most, room, lambda crowded: told.append((name, crowded)))


def test_what_passes_is_kept_and_the_room_given_back() -> None:
    room, told = Room(1_000), list[tuple[str, bool]]()
    one = recording(500, room, told)
    assert one.feed(EVENT) + one.feed(EVENT) + one.finish() == EVENT * 2
    assert (one.events(), told) == (EVENT * 2, [])
    assert room.left < 1_000 - 2 * len(EVENT)
    one.close()
    assert room.left == 1_000


def test_what_is_too_long_is_told_once_and_gives_its_room_back_at_once() -> None:
    room, told = Room(), list[tuple[str, bool]]()
    before, one = room.left, recording(2 * len(EVENT), room, told)
    for _ in range(4):
        assert one.feed(EVENT) == EVENT
    assert (one.events(), told, room.left) == (None, [("it", False)], before)
    one.close()
    assert room.left == before


@pytest.mark.parametrize("size", [1, 1_000])
def test_all_together_have_a_bound_however_small_their_pieces_are(size: int) -> None:
    """What has no room is given up; what was begun before and is silent stays."""
    room, told = Room(10_000), list[tuple[str, bool]]()
    first = recording(1 << 20, room, told, "first")
    first.feed(EVENT)
    others = [recording(1 << 20, room, told, "other") for _ in range(10)]
    stream = EVENT * 200
    for at in range(0, len(stream), size):
        for other in others:
            other.feed(stream[at : at + size])
        assert room.left >= 0
    assert set(told) == {("other", True)}
    assert first.events() == EVENT
    for each in (first, *others):
        each.close()
    assert room.left == 10_000
