"""One stream of questions in random order, given to caches that start empty: static thresholds, and the product's
policy.

The answer to a question is its class. A question that is not served goes upstream, and becomes an entry. A policy
learns only where it says "explore": whether the answer that upstream gave is the answer of the entry.
"""

import random
import time
from typing import NamedTuple

from benchmarks.semantic.neighbours import Near
from benchmarks.semantic.pairs import Questions
from fastgate.semantic.policy import Neighbour, Policy

SHOWN = 8
"""Neighbours that a policy is shown."""


class Outcome(NamedTuple):
    """Of one stream: requests, those that were served, those that were served wrongly; asked though not missed; µs
    per decision."""

    requests: int
    hits: int
    errors: int
    explored: int
    microseconds: float
    vetoed: dict[str, int]


def arrivals(count: int, seed: int) -> list[int]:
    """The questions' numbers in the order in which they come."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


def static(questions: Questions, near: Near, order: list[int], threshold: float) -> Outcome:
    """Serves the nearest entry from a similarity on."""
    entry = [False] * len(order)
    hits = errors = 0
    for at in order:
        for other, cosine in zip(near.others[at], near.cosines[at], strict=True):
            if cosine < threshold:
                entry[at] = True
                break
            if entry[other]:
                hits += 1
                errors += questions.classes[other] != questions.classes[at]
                break
        else:
            entry[at] = True
    return Outcome(len(order), hits, errors, 0, 0.0, {})


class Cache:
    """A policy with its entries: what the semantic process keeps around it."""

    def __init__(self, questions: Questions, max_error: float, seed: int) -> None:
        self.policy = Policy(max_error, rng=random.Random(f"{seed}/{max_error}"))
        self._questions = questions
        self._entry = [False] * len(questions.texts)
        self._answer = [-1] * len(questions.texts)  # entries whose answers were found to be the same
        self._seen: dict[int, tuple[tuple[float, bool], ...]] = {}
        self.hits = self.errors = self.explored = 0
        self.seconds = 0.0
        self.vetoed: dict[str, int] = {}

    def ask(self, at: int, others: list[int], cosines: list[float]) -> None:
        """One question comes."""
        texts, classes = self._questions
        shown = []
        for other, cosine in zip(others, cosines, strict=True):
            if self._entry[other]:
                shown.append(Neighbour(other, texts[other], cosine, self._seen.get(other, ()), self._answer[other]))
                if len(shown) == SHOWN:
                    break
        began = time.perf_counter()
        decision = self.policy.decide(texts[at], shown)
        self.seconds += time.perf_counter() - began
        if decision.reason:
            self.vetoed[decision.reason] = self.vetoed.get(decision.reason, 0) + 1
        if decision.verdict == "serve":
            assert decision.entry is not None
            self.hits += 1
            self.errors += classes[decision.entry] != classes[at]
            return
        self._entry[at] = True
        self._answer[at] = at
        if decision.verdict == "explore":
            self._learn(at, next(neighbour for neighbour in shown if neighbour.entry == decision.entry))

    def _learn(self, at: int, neighbour: Neighbour) -> None:
        texts, classes = self._questions
        same = classes[neighbour.entry] == classes[at]
        self.explored += 1
        self.policy.learn(texts[at], neighbour, same)
        self._seen[neighbour.entry] = (*neighbour.seen, (neighbour.similarity, same))[-32:]
        if same:
            self._answer[at] = self._answer[neighbour.entry]

    def outcome(self, requests: int) -> Outcome:
        """What came of it."""
        return Outcome(requests, self.hits, self.errors, self.explored, 1e6 * self.seconds / requests, self.vetoed)


def learning(questions: Questions, near: Near, order: list[int], settings: list[float], seed: int) -> list[Outcome]:
    """The product's policy at several settings, each with a cache of its own, side by side so that texts are read
    once."""
    caches = [Cache(questions, max_error, seed) for max_error in settings]
    for at in order:
        for cache in caches:
            cache.ask(at, near.others[at], near.cosines[at])
    return [cache.outcome(len(order)) for cache in caches]
