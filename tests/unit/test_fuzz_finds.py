"""Every seed of the fuzzer, some mutations of them, and every input that it ever found, as ordinary tests."""

import random
from pathlib import Path

import pytest

from tests.fuzz.engine import FINDS
from tests.fuzz.mutation import mutate, split
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_first_mutations(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)
    chance = random.Random(1)
    for data in (*target.seeds, *(mutate(target.seeds, chance) for _ in range(60))):
        target.run(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_was_found_once_is_not_found_again(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)
    for find in sorted(FINDS.glob(f"{name}-*.bin")):
        target.run(find.read_bytes())


def test_splitting_loses_nothing() -> None:
    data = bytes(range(256)) * 9
    assert b"".join(split(data, random.Random(2))) == data
