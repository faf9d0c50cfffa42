"""For each question its nearest ones among all, whenever they come: a stream then leaves out those that are not there
yet."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST = 200
BLOCK = 1_024


class Near(NamedTuple):
    """Per question, nearest first: numbers of others, and cosines."""

    others: list[list[int]]
    cosines: list[list[float]]


def nearest(vectors: NDArray[np.float32], floor: float) -> Near:
    """All others whose cosine is ``floor`` at least, ``MOST`` at most: exact, by blocks."""
    near = Near([], [])
    for begin in range(0, len(vectors), BLOCK):
        block = vectors[begin : begin + BLOCK] @ vectors.T
        block[np.arange(len(block)), np.arange(begin, begin + len(block))] = -1.0
        rows, columns = np.nonzero(block >= floor)
        cosines = block[rows, columns]
        ends = np.searchsorted(rows, np.arange(len(block) + 1))
        for first, last in pairwise(ends.tolist()):
            order = np.argsort(-cosines[first:last], kind="stable")[:MOST] + first
            near.others.append(columns[order].tolist())
            near.cosines.append(np.minimum(cosines[order], 1.0).tolist())
    return near
