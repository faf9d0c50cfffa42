"""The decision about a question and its neighbours.

To be replaced: this one serves nothing. It asks the provider about each neighbour and counts what comparing found.
"""

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple, Self


class Neighbour(NamedTuple):
    """An entry near a question; ``seen``: similarity and outcome of each comparison made with it so far.

    ``answer``: the same number for entries whose answers were found to be the same.
    """

    entry: int
    text: str
    similarity: float
    seen: tuple[tuple[float, bool], ...]
    answer: int = -1


class Decision(NamedTuple):
    """``error``: how likely the entry's answer is the wrong one."""

    verdict: Literal["serve", "explore", "miss"]
    entry: int | None
    similarity: float
    error: float
    reason: str


class Policy:
    """Decides for one process; not for several threads at once."""

    def __init__(self, max_error: float, *, rng: random.Random) -> None:
        self.max_error = max_error
        self.learned = 0
        self._rng = rng

    def decide(self, text: str, neighbours: Sequence[Neighbour]) -> Decision:
        """``neighbours``: the nearest first."""
        if not neighbours:
            return Decision("miss", None, 0.0, 1.0, "no_neighbour")
        near = neighbours[0]
        return Decision("explore", near.entry, near.similarity, 1.0, "not_learned")

    def learn(self, text: str, neighbour: Neighbour, same: bool) -> None:
        """The provider's answer to ``text`` says the same as the neighbour's, or does not."""
        self.learned += 1

    def dump(self) -> bytes:
        """What was learned, for :meth:`load`."""
        return b"%d" % self.learned

    @classmethod
    def load(cls, data: bytes, max_error: float, *, rng: random.Random) -> Self:
        """The policy that :meth:`dump` described. Raises ValueError where ``data`` is not of it."""
        policy = cls(max_error, rng=rng)
        policy.learned = int(data)
        return policy
