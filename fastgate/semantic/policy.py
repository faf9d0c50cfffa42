"""Whether a question that is like an earlier one gets the earlier answer: serve, ask upstream and compare, or miss.

In this order: neighbours below ``FLOOR`` do not count; a veto takes a neighbour out; of those that are left the one
counts that is most probably the same question; it is served if its probability of being wrong is below what the
budget's cut-off allows. A share of what would be served is asked upstream all the same, so that errors are measured
where they are made. Whatever might have been the same question is compared once its answer is there, and all entries
learn from it.

    decision = policy.decide(text, neighbours)
    # "serve": the answer of decision.entry. "explore": ask upstream, compare with decision.entry, then
    policy.learn(text, neighbour, same)       # and append (similarity, same) to the entry's own ``seen``
"""

import random
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from fastgate.semantic.budget import Budget
from fastgate.semantic.features import BUCKETS, NAMES, Frequencies, Surroundings, buckets, denied, features
from fastgate.semantic.learning import Belief, OnlineLogistic, departure
from fastgate.semantic.pairs import pair
from fastgate.semantic.priors import DEVIATION, ENTRY_DEVIATION, MEAN, SLOPE, THRESHOLD, WORD_DEVIATION
from fastgate.semantic.vetoes import veto
from fastgate.semantic.words import profile

FLOOR = 0.7
"""Below this similarity two questions are not looked at."""
WITHIN = 0.08
"""Neighbours that are less similar by more than this than the nearest are not looked at."""
CANDIDATES = 5
"""So many neighbours are looked at."""
CROWD = 0.04
PLAUSIBLE = 0.03
"""Below this probability an answer is not worth a comparison."""
AUDIT_FIRST, AUDIT_LAST, AUDIT_OVER = 0.2, 0.02, 20.0
"""Share of what would be served that is asked upstream all the same: at first, at last, and over how many hits it
falls."""
HASTE = 100.0
"""Times that the model forgets faster while comparisons are worse than expected."""
PENDING = 256
"""Comparisons that are waited for; the longest wait for a provider, some minutes. Older ones teach the model, but not
the budget."""


class Neighbour(NamedTuple):
    """An entry near a question, of the same partition."""

    entry: int  # its number in the store
    text: str
    similarity: float  # cosine
    seen: tuple[tuple[float, bool], ...]  # comparisons made with this entry so far: (similarity, same), newest last
    answer: int = -1  # the same number for entries whose answers were found to be the same; -1: not known


class Decision(NamedTuple):
    """What to do with a question."""

    verdict: Literal["serve", "explore", "miss"]
    entry: int | None
    similarity: float
    error: float  # upper bound of the probability that serving it is wrong
    reason: str  # name of the veto, "" where none
    audit: bool = False  # it would be served, and chance alone has it asked upstream


class Unreadable(ValueError):
    """What was learnt cannot be loaded: damaged, or of another version. Start with the priors."""


class Learnt(msgspec.Struct, array_like=True):
    """What ``dump`` writes."""

    version: int
    names: tuple[str, ...]
    weights: bytes
    covariance: bytes
    word_weights: bytes
    word_variances: bytes
    counts: dict[int, int]
    total: int
    budget: dict[str, float]
    bins: dict[str, bytes]
    max_error: float
    hits: int


class Written(msgspec.Struct, array_like=True):
    """What all versions of it begin with."""

    version: int


VERSION = 2
"""1 had words where this has their hashes."""


class Policy:
    """One per scope: what one tenant's traffic teaches must not decide for another. ``rng`` decides what is explored.

    80 KB, some 1 KB more for each comparison that is waited for, some 90 bytes for each word of its traffic: 5 MB at
    most. Not for several threads.
    """

    def __init__(self, max_error: float, *, rng: random.Random, prior: OnlineLogistic | None = None) -> None:
        self.budget = Budget(max_error)
        self.model = prior if prior is not None else fresh_model()
        self.frequencies = Frequencies()
        self.hits = 0
        self._rng = rng
        self._pending: OrderedDict[tuple[int, int], tuple[array[float], array[int], float]] = OrderedDict()

    def decide(self, text: str, neighbours: Sequence[Neighbour]) -> Decision:
        """``neighbours``: nearest first, of one partition. Each call counts as one request; a fraction of a
        millisecond."""
        best, reason = self._best(text, neighbours)
        self.frequencies.add(profile(text))
        if best is None:
            self.budget.request(None)
            nearest = neighbours[0].similarity if neighbours else 0.0
            return Decision("miss", None, nearest, 1.0, reason)
        neighbour, belief, vector, words = best
        wrong = 1.0 - belief.probability
        self.budget.request(wrong)
        error = self.budget.bound(wrong)
        would_be_hit = wrong <= self.budget.cutoff
        if would_be_hit and self._rng.random() >= self._audited():
            self.hits += 1
            self.budget.serve(wrong)
            return Decision("serve", neighbour.entry, neighbour.similarity, error, "")
        if belief.probability < PLAUSIBLE:
            return Decision("miss", None, neighbour.similarity, error, "")
        self._pending[hash(text), neighbour.entry] = (array("d", vector), array("H", words), wrong)
        if len(self._pending) > PENDING:
            self._pending.popitem(last=False)
        return Decision("explore", neighbour.entry, neighbour.similarity, error, "", would_be_hit)

    def learn(self, text: str, neighbour: Neighbour, same: bool) -> None:
        """Takes in whether upstream's answer to ``text`` was the one of ``neighbour``; the caller adds to the entry's
        ``seen``."""
        pending = self._pending.pop((hash(text), neighbour.entry), None)
        if pending is not None:
            vector, words, wrong = pending[0].tolist(), pending[1].tolist(), pending[2]
            self.budget.compare(wrong, same)
        else:
            both = pair(text, neighbour.text)
            vector, words = (
                features(both, neighbour.similarity, surroundings(neighbour, ()), self.frequencies),
                buckets(both),
            )
        self.model.learn(vector, words, same, HASTE if self.budget.surprise() > 1.0 else 1.0)

    def _best(
        self, text: str, neighbours: Sequence[Neighbour]
    ) -> tuple[tuple[Neighbour, Belief, list[float], list[int]] | None, str]:
        """The neighbour that is most probably the same question, of those that no veto takes out; else the nearest
        one's veto."""
        best: tuple[Neighbour, Belief, list[float], list[int]] | None = None
        reason = ""
        for neighbour in neighbours[:CANDIDATES]:
            if neighbour.similarity < max(FLOOR, neighbours[0].similarity - WITHIN):
                break
            against = veto(text, neighbour.text)
            if against:
                reason = reason or against
                continue
            both = pair(text, neighbour.text)
            vector = features(both, neighbour.similarity, surroundings(neighbour, neighbours), self.frequencies)
            words = buckets(both)
            belief = self.model.believe(vector, words)
            if best is None or belief.probability > best[1].probability:
                best = neighbour, belief, vector, words
        return best, reason if best is None else ""

    @property
    def words(self) -> int:
        """How many it has counted: what it takes grows with them."""
        return len(self.frequencies.counts)

    def _audited(self) -> float:
        return max(AUDIT_LAST, AUDIT_FIRST * AUDIT_OVER / (AUDIT_OVER + self.hits))

    def dump(self) -> bytes:
        """What was learnt, for ``load``."""
        model, budget = self.model, self.budget
        return msgspec.msgpack.encode(
            Learnt(
                VERSION, NAMES, model.weights.tobytes(), model.covariance.tobytes(), model.word_weights.tobytes(),
                model.word_variances.tobytes(), self.frequencies.counts, self.frequencies.total,
                {name: getattr(budget, name) for name in SCALARS},
                {name: getattr(budget, name).tobytes() for name in VECTORS},
                budget.max_error, self.hits,
            )
        )  # fmt: skip

    @classmethod
    def load(cls, data: bytes, max_error: float, *, rng: random.Random) -> "Policy":
        """A policy that goes on where ``dump`` was called; another ``max_error`` than then is taken up. Raises
        ``Unreadable``."""
        try:
            version = msgspec.msgpack.decode(data, type=Written).version
            if version != VERSION:
                raise Unreadable(f"what the semantic cache learnt is of version {version}")
            learnt = msgspec.msgpack.decode(data, type=Learnt)
        except msgspec.MsgspecError as error:
            raise Unreadable(f"what the semantic cache learnt is damaged: {error}") from error
        if learnt.names != NAMES:
            raise Unreadable("what the semantic cache learnt goes by other features")
        policy = cls(max_error, rng=rng)
        for name in ("weights", "covariance", "word_weights", "word_variances"):
            setattr(policy.model, name, restored(getattr(learnt, name), getattr(policy.model, name)))
        policy.frequencies = Frequencies(learnt.counts, learnt.total)
        policy.hits = learnt.hits
        if learnt.max_error == max_error:
            for name in SCALARS:
                setattr(policy.budget, name, learnt.budget[name])
            for name in VECTORS:
                setattr(policy.budget, name, restored(learnt.bins[name], getattr(policy.budget, name)))
        else:  # what was measured holds; what may be spent begins anew
            policy.budget.compared, policy.budget.wrong = (
                restored(learnt.bins[name], policy.budget.compared) for name in ("compared", "wrong")
            )
        return policy


SCALARS = ("requests", "extra", "found", "expected", "recent", "cutoff")
VECTORS = ("served", "compared", "wrong", "candidates")


def restored(
    data: bytes, like: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """An array of the shape of ``like`` from its bytes; raises ``Unreadable`` where they are not that, or not
    finite."""
    if len(data) != like.nbytes:
        raise Unreadable("what the semantic cache learnt has another size")
    found = np.frombuffer(data, dtype=np.float64).reshape(like.shape).copy()
    if not np.isfinite(found).all():
        raise Unreadable("what the semantic cache learnt is not finite")
    return found


def fresh_model() -> OnlineLogistic:
    """The shipped prior."""
    return OnlineLogistic([MEAN[name] for name in NAMES], [DEVIATION[name] for name in NAMES], BUCKETS, WORD_DEVIATION)


def surroundings(neighbour: Neighbour, neighbours: Sequence[Neighbour]) -> Surroundings:
    """Where a neighbour stands among all that were found."""
    gap, crowd, votes = 1.0, 0, 0
    for other in neighbours:
        if other.entry == neighbour.entry:
            continue
        if neighbour.answer >= 0 and other.answer == neighbour.answer:
            votes += 1
            continue
        gap = min(gap, neighbour.similarity - other.similarity)
        crowd += other.similarity > neighbour.similarity - CROWD
    return Surroundings(
        gap, crowd, votes, departure(neighbour.seen, THRESHOLD, SLOPE, ENTRY_DEVIATION),
        denied(neighbour.similarity, neighbour.seen),
    )  # fmt: skip
