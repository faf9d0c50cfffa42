"""``python -m benchmarks.semantic.fit PAIRS``: the coefficients of ``fastgate/semantic/priors.py``, from the half for
developing.

Every question is asked upstream and becomes an entry; each comparison that the policy wants is kept; then the
logistic regression of the comparisons is fitted by Newton's method, with a weak ridge. What words alone are worth is
left out: it would be the data's vocabulary. The deviations are those that ``WORTH`` comparisons of this kind would
leave, so that traffic of another kind soon outweighs them.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.semantic.encoder import embedded
from benchmarks.semantic.neighbours import nearest
from benchmarks.semantic.pairs import half, questions, read
from benchmarks.semantic.stream import Cache, arrivals
from fastgate.semantic.features import NAMES
from fastgate.semantic.learning import OnlineLogistic
from fastgate.semantic.policy import FLOOR, fresh_model

WORTH = 300.0
RIDGE = 1.0
SEEDS = (101, 102)
NEVER = 1e-9

Matrix = NDArray[np.float64]


class Recorder(OnlineLogistic):
    """Learns, and keeps what it learnt from."""

    def __init__(self) -> None:
        model = fresh_model()
        self.__dict__.update(model.__dict__)
        self.rows: list[list[float]] = []
        self.same: list[bool] = []

    def learn(self, features: list[float], words: list[int], same: bool, haste: float = 1.0) -> None:  # type: ignore[override]
        self.rows.append(features)
        self.same.append(same)
        super().learn(features, words, same)


def fitted(rows: Matrix, same: Matrix) -> tuple[Matrix, Matrix]:
    """Weights by Newton's method, and the mean curvature along each feature."""
    weights = np.zeros(rows.shape[1])
    for _ in range(30):
        expected = 1.0 / (1.0 + np.exp(-(rows @ weights)))
        curve = expected * (1.0 - expected)
        gradient = rows.T @ (same - expected) - RIDGE * weights
        hessian = (rows * curve[:, None]).T @ rows + RIDGE * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return weights, (np.square(rows) * curve[:, None]).mean(axis=0)


def main() -> None:
    """Prints the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(".venv/semantic"))
    chosen = parser.parse_args()
    pairs = read(chosen.pairs)
    whole = questions(pairs)
    vectors = embedded(whole.texts, chosen.cache)
    asked = questions(half(pairs, "develop"))
    place = {text: at for at, text in enumerate(whole.texts)}
    near = nearest(vectors[[place[text] for text in asked.texts]], FLOOR)
    recorder = Recorder()
    for seed in SEEDS:
        cache = Cache(asked, 0.5, seed)
        cache.policy.model = recorder
        cache.policy.budget.max_error = NEVER
        cache.policy.budget.cutoff = 0.0
        for at in arrivals(len(asked.texts), seed):
            cache.ask(at, near.others[at], near.cosines[at])
        assert not cache.hits, "every question has to be asked upstream"
    rows, same = np.array(recorder.rows), np.array(recorder.same, dtype=np.float64)
    weights, curvature = fitted(rows, same)
    print(f"# {len(rows)} comparisons, {same.mean():.3f} of them the same; {len(NAMES)} features")
    print("MEAN:", dict(zip(NAMES, weights.round(2).tolist(), strict=True)))
    print("DEVIATION:", dict(zip(NAMES, (1 / np.sqrt(1 + WORTH * curvature)).round(2).tolist(), strict=True)))


if __name__ == "__main__":
    main()
