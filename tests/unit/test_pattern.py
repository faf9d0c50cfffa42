"""Copies of a pattern: slots as they are by then, nobody's reference lost, and no class that is more than its slots."""

import gc
import sys
from typing import Any, cast

import pytest

from fastgate._core.pattern import Pattern


class Point:
    __slots__ = ("at", "name", "unset")

    at: int
    name: object
    unset: object


class Loose:
    pass


class Below(Point):
    __slots__ = ("further",)


class Referred:
    __slots__ = ("__weakref__", "at")


def point(name: object) -> Point:
    one = Point()
    one.at, one.name = 1, name
    return one


def test_a_copy_begins_as_its_pattern_is_and_goes_its_own_way() -> None:
    one = point("p")
    pattern = Pattern(one)
    first = pattern.copy()
    first.at = 2
    one.at = 3
    second = pattern.copy()
    assert (type(first), first.at, first.name, second.at) == (Point, 2, "p", 3)
    assert one.at == 3
    with pytest.raises(AttributeError):
        _ = second.unset


def test_references_are_counted_and_circles_are_found() -> None:
    name = object()
    pattern = Pattern(point(name))
    before = sys.getrefcount(name)
    copies = [pattern.copy() for _ in range(100)]
    assert sys.getrefcount(name) == before + 100
    for each in copies:
        each.unset = each
    del copies, each
    gc.collect()
    assert sys.getrefcount(name) == before


@pytest.mark.parametrize("one", [Loose(), Below(), Referred(), [], (), 1, None])
def test_what_is_more_than_its_slots_is_refused(one: object) -> None:
    with pytest.raises(TypeError):
        Pattern(cast(Any, one))
