"""The fuzz target of the HTTP/1.1 server, briefly and by property."""

import random

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.fuzz_server import Case, check, make_case, run, with_server


@settings(max_examples=200, deadline=None)
@given(st.integers(min_value=0, max_value=2**62))
def test_random_requests_get_their_answers_and_all_else_an_end(seed: int):
    rng = random.Random(seed)

    async def work(port: int) -> None:
        for _ in range(3):
            await check(port, make_case(rng))

    uvloop.run(with_server(work))


def test_short_run():
    assert run(0.5, 7) > 50


def test_broken_promises_are_noticed():
    async def work(port: int) -> None:
        await check(port, Case([b"GET /a HTTP/1.1\r\n\r\n"], [b"GET /b "]))

    with pytest.raises(AssertionError):
        uvloop.run(with_server(work))
