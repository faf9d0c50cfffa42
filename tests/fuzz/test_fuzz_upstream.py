"""The fuzz target of the upstream client, briefly and by property."""

import random

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.fuzz_upstream import Case, Pools, Promise, check, make_case, run, with_upstream


@settings(max_examples=200, deadline=None)
@given(st.integers(min_value=0, max_value=2**62))
def test_random_answers_give_their_exact_body_or_an_error(seed: int):
    rng = random.Random(seed)

    async def work(pools: Pools) -> None:
        for number in range(3):  # one after the other: what one leaves behind must not touch the next
            await check(rng, pools, number, make_case(rng))

    uvloop.run(with_upstream(work))


def test_short_run():
    assert run(0.5, 7) > 100


@pytest.mark.parametrize(
    ("promise", "pieces"),
    [
        (Promise.EXACT, [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabX"]),
        (Promise.EXACT, [b"HTTP/1.1 201 OK\r\ncontent-length: 3\r\n\r\nabc"]),
        (Promise.EXACT, [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc"]),
        (Promise.PREFIX, [b"HTTP/1.1 200 OK\r\n\r\nb"]),
        (Promise.ERROR, [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"]),
    ],
)
def test_broken_promises_are_noticed(promise: Promise, pieces: list[bytes]):
    case = Case(pieces, 200, b"abc", promise, closes=True)

    async def work(pools: Pools) -> None:
        await check(random.Random(1), pools, 1, case)

    with pytest.raises(AssertionError):
        uvloop.run(with_upstream(work))
