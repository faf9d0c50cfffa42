"""Answers in a form that they are not kept in, as somebody asked for them lately: to make one takes its time."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

Pieces = list[bytes]
MOST_BYTES: Final = 16 << 20
"""Of all that a worker has."""


class Forms:
    """By entry and form, which never change. Those that were not asked for lately give way."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._made: OrderedDict[Hashable, Pieces] = OrderedDict()
        self._room = most

    def of(self, form: Hashable, make: Callable[[], Pieces | None]) -> Pieces | None:
        """The one that is there, else what ``make`` makes; None: there is no such form."""
        found = self._made.get(form)
        if found is not None:
            self._made.move_to_end(form)
            return found
        found = make()
        if found is not None:
            self._made[form] = found
            self._room -= _size(found)
            while self._room < 0:
                _, other = self._made.popitem(last=False)
                self._room += _size(other)
        return found


def _size(pieces: Pieces) -> int:
    return sum(map(len, pieces)) + 100 * len(pieces) + 200
