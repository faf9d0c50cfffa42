"""Few vectors, each of which is compared with what is asked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgate.semantic.embedder import Vectors

Vector = NDArray[np.float32]
"""Of length 1, so that a product is a cosine."""
Hits = list[tuple[int, float]]
"""Ids with their similarities, the nearest first."""


class Brute:
    """One matrix, a row per id. Grows by doubling, from a single row: most partitions have one."""

    def __init__(self, dimensions: int) -> None:
        self.ids: list[int] = []
        self._rows = np.empty((1, dimensions), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, id_: int, vector: Vector) -> None:
        """An id comes once."""
        count = len(self.ids)
        if count == len(self._rows):
            grown = np.empty((2 * count, self._rows.shape[1]), dtype=np.float32)
            grown[:count] = self._rows
            self._rows = grown
        self._rows[count] = vector
        self.ids.append(id_)

    def remove(self, id_: int) -> bool:
        """Whether it was there; the last row takes its place."""
        try:
            place = self.ids.index(id_)
        except ValueError:
            return False
        last = len(self.ids) - 1
        self._rows[place] = self._rows[last]
        self.ids[place] = self.ids[last]
        self.ids.pop()
        return True

    def take(self, count: int) -> tuple[list[int], Vectors]:
        """Removes the last ``count`` and returns them."""
        start = max(0, len(self.ids) - count)
        taken = self.ids[start:], self._rows[start : len(self.ids)].copy()
        del self.ids[start:]
        return taken

    def search(self, vector: Vector, count: int) -> Hits:
        """The nearest ``count``."""
        scores = self._rows[: len(self.ids)] @ vector
        few = len(scores) <= count
        best: Sequence[int] = range(len(scores)) if few else np.argpartition(scores, -count)[-count:].tolist()
        return sorted(((self.ids[each], float(scores[each])) for each in best), key=lambda hit: -hit[1])
