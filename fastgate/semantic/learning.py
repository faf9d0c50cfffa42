"""Logistic regression that learns from each comparison as it comes, and knows how sure it is.

Shared by all entries: one Gaussian over the weights, updated by assumed-density filtering (one Newton step per
observation on the Laplace approximation; Bishop, Pattern Recognition and Machine Learning, 4.5). Per entry: the
log-odds by which it departs from what its similarities promise, under a prior shared between entries. The paper
behind it (Schroeder et al., vCache, arXiv 2502.03771) fits a threshold t and a slope gamma per entry by maximum
likelihood. Entries are seldom compared more than a few times, which is too little for two numbers each: here the
slope is shared, and the threshold's shift is what an entry learns.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Belief(NamedTuple):
    """What is believed of one pair. ``probability`` is of its being the same question, uncertainty of the weights
    included."""

    probability: float
    score: float  # log-odds at the most likely weights
    variance: float  # of the score


def logistic(score: float) -> float:
    """1 / (1 + e^-score), without overflow."""
    if score >= 0:
        return 1.0 / (1.0 + math.exp(-min(score, 700.0)))
    power = math.exp(max(score, -700.0))
    return power / (1.0 + power)


class OnlineLogistic:
    """Dense features with a full covariance, sparse ones (words) with variances of their own. A few µs per call."""

    DRIFT = 2e-5
    """Share of the prior's variance that comes back with each observation, so that what is learnt can change."""

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], words: int, word_deviation: float) -> None:
        self.weights: Vector = np.array(mean, dtype=np.float64)
        self._prior: Vector = np.square(np.array(deviation, dtype=np.float64))
        self.covariance: Vector = np.diag(self._prior)
        self.word_weights: Vector = np.zeros(words)
        self.word_variances: Vector = np.full(words, word_deviation**2)

    def believe(self, features: Sequence[float], words: list[int]) -> Belief:
        """The probability by MacKay's approximation: the score shrinks with its variance."""
        x = np.array(features)
        score = float(self.weights @ x)
        variance = float(x @ self.covariance @ x)
        if words:
            score += float(self.word_weights[words].sum())
            variance += float(self.word_variances[words].sum())
        return Belief(logistic(score / math.sqrt(1.0 + math.pi * variance / 8.0)), score, variance)

    def learn(self, features: Sequence[float], words: list[int], same: bool, haste: float = 1.0) -> None:
        """Takes one comparison in. ``haste``: how many times faster than usually what was learnt may give way."""
        x = np.array(features)
        belief = self.believe(features, words)
        expected = logistic(belief.score)
        curvature = max(expected * (1.0 - expected), 1e-4)
        gain = 1.0 / (1.0 + curvature * belief.variance)
        error = (float(same) - expected) * gain
        spread = self.covariance @ x
        self.weights += spread * error
        self.covariance -= np.outer(spread, spread) * (curvature * gain)
        self.covariance[np.diag_indices_from(self.covariance)] += self._prior * (self.DRIFT * haste)
        if words:
            variances = self.word_variances[words]
            self.word_weights[words] += variances * error
            self.word_variances[words] = variances - np.square(variances) * (curvature * gain)


def departure(
    seen: Sequence[tuple[float, bool]], threshold: float, slope: float, deviation: float, most: int = 32
) -> float:
    """The log-odds by which an entry departs from ``slope * (similarity - threshold)``: most likely, given its
    comparisons.

    ``deviation`` is the prior's: with no comparison the answer is 0, with many it is the entry's own maximum
    likelihood.
    """
    if not seen:
        return 0.0
    recent = [(slope * (similarity - threshold), same) for similarity, same in seen[-most:]]
    precision = 1.0 / deviation**2
    shift = 0.0
    for _ in range(8):
        slope_at, curve = -shift * precision, precision
        for score, same in recent:
            expected = logistic(score + shift)
            slope_at += float(same) - expected
            curve += expected * (1.0 - expected)
        step = slope_at / curve
        shift += max(-2.0, min(2.0, step))
        if abs(step) < 1e-3:
            break
    return shift
