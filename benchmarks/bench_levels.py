"""What is asked of budgets and limits beside holding: what is left, how one stands, those of a user met anew.

The reference does the same over Python objects: the least of four sums, one sum, one counter put beside four others.
"""

import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest

from benchmarks.bench_budget import LIMIT, Budgets, Counter, InPython
from benchmarks.served import SHARED, Pool, Served
from benchmarks.turns import Compare

USERS: Final = 50_000


@pytest.fixture
def budgets(tmp_path: Path) -> Iterator[Budgets]:
    made = Budgets(tmp_path)
    made.pairs(made.levels)
    yield made
    made.journal.close()
    made.owner.release()


def test_what_is_left(compare: Compare, budgets: Budgets) -> None:
    """Of the tightest of four budgets, as every answer says it."""
    counters = InPython().counters
    least = lambda: min(LIMIT - counter.spent - counter.held for counter in counters)  # noqa: E731
    compare("levels: what is left", partial(budgets.levels.left, time.time_ns()), least)


def test_how_a_limit_stands(compare: Compare, budgets: Budgets) -> None:
    [counter] = InPython(1).counters
    standing = lambda: (LIMIT, counter.spent + counter.held, counter.window)  # noqa: E731
    compare("levels: how one stands", partial(budgets.levels.standing, 0, time.time_ns()), standing)


def test_a_user_among_many(compare: Compare, tmp_path: Path) -> None:
    """Whose counters are there already, as after a worker's start; the worker knows only so many by heart."""
    served = Served(tmp_path, Pool())
    now_ns = time.time_ns()
    templates = served.worker.state.grant(SHARED, now_ns).leg("openai-chat", "sim/sim-small").templates
    assert templates is not None
    users = [(f"user-{number}",) for number in range(USERS)]
    for user in users:
        templates.bound(user, now_ns)
    shared, own = InPython().counters, {user: Counter() for user in users}
    turn, other = cycle(users), cycle(users)
    bound = lambda: templates.bound(next(turn), now_ns)  # noqa: E731
    compare("levels: a user among 50,000", bound, lambda: [*shared, own[next(other)]])
    served.close()
