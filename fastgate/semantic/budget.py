"""How much error may be spent, and where it buys most hits.

``max_error`` is a share of all requests. What a request would cost is the probability that serving it is wrong, so
the most hits for a budget are had by serving those that cost least, up to a cut-off (the fractional knapsack). The
cut-off is where the cost of what lies below it, per request, is what may be spent. Both are measured, not believed:

* the model's probabilities fall into bins; in each, explored comparisons say how often serving would have been wrong.
  Within a bin it is chance alone what is explored of that which would be served, so the share found wrong there needs
  no weights, and the bins weighed by what was served in them give the error that was spent (post-stratification,
  which is importance weighting with the weights known). A bin with little evidence is drawn towards the model's own
  word, as ``TRUST`` comparisons.
* what is spent is taken with an upper bound: of the estimate, and of chance in what was served.
* where the last comparisons were wrong more often than the bins say, by more than chance explains, all rates are taken
  as so many times higher at once: traffic has changed, and what lies below the cut-off is seldom compared itself.

What was saved, while the cache was empty, may be spent later, within ``HORIZON`` requests: at most at ``FASTEST``
times the rate.
"""

import math

import numpy as np
from numpy.typing import NDArray

LOWEST, STEP, BINS = -7.0, 0.25, 40
"""Bins of the log-odds of being wrong: from 0.1 % to 95 %."""
TRUST = 12.0
MEMORY = 40_000
"""Requests after which what was measured counts for a third: traffic changes."""
RECENT = 4_000
"""The same for how many requests fall into each bin."""
ASSUMED = 400
HORIZON = 6_000
FASTEST = 2.0
SURE = 2.0
"""Standard deviations between an estimate and its bound: 97.7 % one-sided."""
WORST = 0.2
"""Nothing is served of which more than one in five is wrong, whatever may be spent."""
LATELY = 60.0
"""Comparisons that a change of the traffic is looked for in."""
SURPRISING = 2.5
"""Standard deviations by which they have to be worse than expected."""
EVERY = 32
"""Requests between two looks at the cut-off."""

Bins = NDArray[np.float64]
CENTRES: Bins = 1.0 / (1.0 + np.exp(-(LOWEST + STEP * (np.arange(BINS) + 0.5))))


def bin_of(wrong: float) -> int:
    """The bin of a probability of being wrong."""
    wrong = min(max(wrong, 1e-6), 1.0 - 1e-6)
    return min(max(int((math.log(wrong / (1.0 - wrong)) - LOWEST) / STEP), 0), BINS - 1)


class Budget:
    """Counts what may be spent, what was, and says from it how likely wrong a request may be that is served."""

    def __init__(self, max_error: float) -> None:
        if not 0.0 < max_error < 1.0:
            raise ValueError(f"max_error must be above 0 and below 1, not {max_error}")
        self.max_error = max_error
        self.requests = 0.0  # these count as long as MEMORY
        self.served: Bins = np.zeros(BINS)
        self.compared: Bins = np.zeros(BINS)
        self.wrong: Bins = np.zeros(BINS)
        self.extra = 0.0  # what was spent in times of surprise beyond what the bins say
        self.found = self.expected = 0.0  # wrong ones among the last comparisons
        # These count as long as RECENT. At first it is as if every request had a candidate, as good or bad as any.
        self.recent = float(ASSUMED)
        self.candidates: Bins = np.full(BINS, ASSUMED / BINS)
        self._until = EVERY
        self.cutoff = self._cut()

    def rates(self) -> Bins:
        """For each bin, the share of comparisons that would have been wrong, drawn towards what the model says."""
        found: Bins = (self.wrong + TRUST * CENTRES) / (self.compared + TRUST)
        return found

    def request(self, wrong: float | None) -> None:
        """One request came; ``wrong``: the probability for its best candidate, where it has one."""
        self.requests += 1.0
        self.recent += 1.0
        if wrong is not None:
            self.candidates[bin_of(wrong)] += 1.0
        self._until -= 1
        if self._until < 0:
            self._until = EVERY
            self._age()
            self.cutoff = self._cut()

    def serve(self, wrong: float) -> None:
        """One request is served whose probability was this."""
        at = bin_of(wrong)
        self.served[at] += 1.0
        self.extra += float(self.rates()[at]) * (self.surprise() - 1.0)

    def compare(self, wrong: float, same: bool) -> None:
        """A request of this probability was asked upstream, and its answer compared."""
        at = bin_of(wrong)
        if wrong <= 0.5:
            kept = 1.0 - 1.0 / LATELY
            self.expected = self.expected * kept + float(self.rates()[at])
            self.found = self.found * kept + (not same)
        self.compared[at] += 1.0
        self.wrong[at] += not same

    def surprise(self) -> float:
        """How many times worse than expected the last comparisons surely were; 1 where chance may explain it."""
        return max(1.0, (self.found - SURPRISING * math.sqrt(self.found)) / (self.expected + 0.5))

    def spent(self) -> tuple[float, float]:
        """Requests served wrongly, as long as it is remembered: estimate, and its upper bound."""
        rates = self.rates()
        estimate = float(self.served @ rates) + self.extra
        doubt = float(np.square(self.served) @ (rates * (1.0 - rates) / (self.compared + TRUST)))
        return estimate, estimate + SURE * math.sqrt(estimate + doubt)

    def bound(self, wrong: float) -> float:
        """Upper bound of the probability that serving a request is wrong of which the model says this."""
        at = bin_of(wrong)
        evidence = float(self.compared[at]) + TRUST
        rate = min(1.0, self.surprise() * (float(self.wrong[at]) + TRUST * max(wrong, 0.0)) / evidence)
        return min(1.0, rate + SURE * math.sqrt(rate * (1.0 - rate) / evidence))

    def _age(self) -> None:
        long, short = math.exp(-EVERY / MEMORY), math.exp(-EVERY / RECENT)
        self.requests *= long
        self.extra *= long
        self.served *= long
        self.compared *= long
        self.wrong *= long
        self.recent *= short
        self.candidates *= short

    def allowed(self) -> float:
        """Errors per request that may be spent now, so that the bound of what was spent comes to the setting."""
        left = self.max_error * self.requests - self.spent()[1]
        return min(max(self.max_error + left / HORIZON, 0.0), FASTEST * self.max_error)

    def _cut(self) -> float:
        """The largest probability up to which all that lately came costs no more than is allowed."""
        rates = np.minimum(self.rates() * self.surprise(), 1.0)
        costs = self.candidates * rates
        doubts = np.square(self.candidates) * rates * (1.0 - rates) / (self.compared + TRUST)
        total = (np.cumsum(costs) + np.sqrt(np.cumsum(doubts))) / self.recent
        allowed = self.allowed()
        over = np.flatnonzero(total > allowed)
        if not len(over):
            return WORST
        at = int(over[0])
        before = float(total[at - 1]) if at else 0.0
        part = (allowed - before) / (float(total[at]) - before)
        score = LOWEST + STEP * (at + min(max(part, 0.0), 1.0))
        return min(1.0 / (1.0 + math.exp(-score)), WORST)
