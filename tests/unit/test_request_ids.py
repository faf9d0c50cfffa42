"""Ids of requests: the time first, then a count, which turns over where it ends."""

from fastgate._core.ids import RequestIds

NOW = 1_790_000_000_000_000_000


def test_ids_sort_by_their_time_and_differ_within_it() -> None:
    ids = RequestIds(2**64 - 2)
    made = [ids.next(NOW), ids.next(NOW), ids.next(NOW), ids.next(NOW + 1)]
    assert [int.from_bytes(each[:8], "big") for each in made] == [NOW, NOW, NOW, NOW + 1]
    assert [int.from_bytes(each[8:], "big") for each in made] == [2**64 - 1, 0, 1, 2]
    assert ids.made == 4
    assert made[-1] == max(made)
