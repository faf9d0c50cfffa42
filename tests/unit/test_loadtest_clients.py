"""The prompts of ``make bench-compare``."""

import json
from itertools import islice

import pytest

from loadtest.clients import prompts


@pytest.mark.parametrize("size", [1024, 200 * 1024])
def test_prompts_have_their_size_and_no_two_are_alike(size: int) -> None:
    found = [*islice(prompts(size), 20), *islice(prompts(size), 20)]
    bodies = [request.partition(b"\r\n\r\n")[2] for request in found]
    assert len(set(bodies)) == 40
    for request, body in zip(found, bodies, strict=True):
        assert len(body) == size
        assert f"\r\nContent-Length: {size}\r\n".encode() in request
        assert json.loads(body)["messages"][0]["content"]
