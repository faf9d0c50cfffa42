"""What the exact cache takes of a request: a body's spelling, its key, and the answer, found or stored.

Budget: an answer of 1 KB is found within 1 µs.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Final

import pytest

from benchmarks.bench_scan import SIZES, body
from benchmarks.turns import Compare, cpu_seconds, many
from fastgate._core.body import scan
from fastgate._core.canonical import canonical
from fastgate._core.slab import Slab, create_slab
from fastgate.dialects.openai_chat import OPENAI_CHAT
from tests.support.slabs import NOW_MS, TENANT

ANSWER: Final = os.urandom(1_000)
MANY: Final = 20_000
"""Answers that are asked for in turn, more than the nearer caches hold."""
USAGE: Final = bytes(60)


@pytest.fixture
def slab(tmp_path: Path) -> Iterator[Slab]:
    path = tmp_path / "slab.bin"
    create_slab(str(path), 64)
    yield Slab(str(path))
    path.unlink()


def keep(slab: Slab, key: bytes, question: bytes) -> bool:
    return slab.store(
        key, question, ANSWER, kind=0, usage=USAGE, tenant=TENANT, about=b"{}", now_ms=NOW_MS, ttl_ms=10**9
    )


def finding(slab: Slab, asked: list[tuple[bytes, bytes]]) -> Callable[[], object]:
    """One after another."""
    turn = cycle(asked)

    def find() -> object:
        key, question = next(turn)
        return slab.find(key, question, NOW_MS)

    return find


def taking(known: dict[bytes, bytes], asked: list[tuple[bytes, bytes]]) -> Callable[[], object]:
    """The reference: a dictionary of this process alone, and a copy of the answer."""
    turn = cycle(asked)

    def take() -> object:
        _, question = next(turn)
        return known[question][1:]

    return take


def questions(slab: Slab, number: int, size: int = 1_000) -> list[tuple[bytes, bytes]]:
    return [(slab.hash128(question), question) for question in (os.urandom(size) for _ in range(number))]


@pytest.mark.parametrize("number", [1, MANY], ids=["one", "many"])
def test_find(compare: Compare, slab: Slab, number: int) -> None:
    asked = questions(slab, number)
    for key, question in asked:
        assert keep(slab, key, question)
        assert slab.find(key, question, NOW_MS).answer == ANSWER  # type: ignore[union-attr]
    known = {question: ANSWER for _, question in asked}
    name = f"cache: an answer of 1 KB{', among many' if number > 1 else ''}"
    compare(name, finding(slab, asked), taking(known, asked))


def test_an_answer_is_found_within_a_microsecond(slab: Slab) -> None:
    """The best of many rounds, as a machine that does other things only ever adds."""
    [(key, question)] = questions(slab, 1)
    assert keep(slab, key, question)
    find = many(lambda: slab.find(key, question, NOW_MS), 2_000)
    assert min(cpu_seconds(find) for _ in range(50)) < 2_000e-6


def test_store(compare: Compare, slab: Slab) -> None:
    """Into a slab that is full: what is swept is part of it."""
    turn = count()
    filler = questions(slab, 2 * MANY, 100)

    def store() -> object:
        return keep(slab, *filler[next(turn) % len(filler)])

    for _ in range(4 * MANY):
        store()
    compare("cache: an answer stored", store, partial(bytes.join, b"", [ANSWER] * 4), number=5_000, overall=True)


def test_key(compare: Compare, slab: Slab) -> None:
    question = os.urandom(1_000)
    compare("cache: the key of 1 KB", partial(slab.hash128, question), partial(hash_of, question))


def hash_of(data: bytes) -> int:
    """The reference: SipHash-1-3 (2-4 before Python 3.11) of another object each time, as bytes remember theirs."""
    return hash(data[:-1])


@pytest.mark.parametrize("size", SIZES)
def test_canonical(compare: Compare, size: str) -> None:
    data = body(SIZES[size])
    ours = partial(canonical, data, ("stream", "user"))
    compare(f"cache: spelling, {size}", ours, partial(scan, data, OPENAI_CHAT.fields))
