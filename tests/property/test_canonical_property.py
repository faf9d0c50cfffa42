"""One spelling for all that means the same, another for all that may not."""

import json
import random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from fastgate._core.canonical import canonical
from tests.support.json_text import Written

NAMES = st.sampled_from(["model", "messages", "stream", "a", "b"]) | st.text(max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6)


class Respelt(Written):
    """Any form of strings and any space; numbers and members further inside as they are."""

    def number(self, value: float) -> str:
        return json.dumps(value)

    def value(self, value: Any) -> str:
        if isinstance(value, dict):
            return self.members([(name, self.value(each)) for name, each in value.items()])
        return super().value(value)


def written(body: dict[str, Any], seed: int) -> bytes:
    """The document's members in any order."""
    writer = Respelt(random.Random(seed))
    members = [(name, writer.value(each)) for name, each in body.items()]
    writer.rng.shuffle(members)
    return (writer.gap() + writer.members(members) + writer.gap()).encode()


@given(BODIES, st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_same_is_spelt_the_same(body: dict[str, Any], one: int, other: int) -> None:
    spelt = canonical(written(body, one))
    assert spelt is not None
    assert spelt == canonical(written(body, other))
    assert json.loads(spelt) == body


@given(BODIES, BODIES, st.integers(0, 2**32))
def test_what_differs_is_spelt_otherwise(body: dict[str, Any], other: dict[str, Any], seed: int) -> None:
    assume(json.dumps(body, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert canonical(written(body, seed)) != canonical(written(other, seed))


@given(BODIES, st.data())
def test_any_member_counts(body: dict[str, Any], data: st.DataObject) -> None:
    """One value another, one member more, one fewer."""
    spelt = canonical(json.dumps(body).encode())
    name = data.draw(NAMES)
    value = data.draw(VALUES)
    assume(name not in body or json.dumps(body[name]) != json.dumps(value))
    assert canonical(json.dumps({**body, name: value}).encode()) != spelt
    if body:
        gone = data.draw(st.sampled_from(sorted(body)))
        left = {name: each for name, each in body.items() if name != gone}
        assert canonical(json.dumps(left).encode()) != spelt


@given(BODIES, st.lists(NAMES, max_size=3), st.integers(0, 2**32))
def test_what_is_left_out_does_not_count(body: dict[str, Any], names: list[str], seed: int) -> None:
    plain = tuple(name for name in names if json.dumps(name, ensure_ascii=False) == f'"{name}"')
    left = {name: each for name, each in body.items() if name not in plain}
    assert canonical(written(body, seed), plain) == canonical(written(left, seed))
