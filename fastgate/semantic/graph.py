"""Many vectors in a hierarchical navigable small world graph (hnswlib): a few of them are compared with what is asked.

What is removed is only marked in the graph, and goes when it is built anew.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from fastgate.semantic.brute import Hits, Vector
from fastgate.semantic.embedder import Vectors

LINKS: Final = 16
BUILD_WIDTH: Final = 100
"""How many candidates an insertion looks at; more of them find a little more, and take longer."""
SEARCH_WIDTH: Final = 100


@cache
def available() -> bool:
    """Whether hnswlib is installed."""
    try:
        import hnswlib  # noqa: F401
    except ImportError:
        return False
    return True


class Graph:
    """``ids`` are those that can be found; ``removed`` counts those that are only marked."""

    def __init__(self, dimensions: int, capacity: int) -> None:
        self.ids: set[int] = set()
        self.removed = 0
        self._index = _index(dimensions)
        self._index.init_index(max(capacity, 1), ef_construction=BUILD_WIDTH, M=LINKS)
        self._index.set_ef(SEARCH_WIDTH)

    @classmethod
    def load(cls, path: Path, dimensions: int, living: Iterable[int]) -> Self:
        """The graph in a file, of which only ``living`` ids stay. Raises RuntimeError where it is none.

        The file has to be one that :meth:`save` wrote: the library does not defend itself against others.
        """
        graph = cls.__new__(cls)
        graph._index = _index(dimensions)
        graph._index.load_index(str(path))
        graph._index.set_ef(SEARCH_WIDTH)
        found = set(graph._index.get_ids_list())
        graph.ids = found & set(living)
        graph.removed = 0
        for id_ in found - graph.ids:
            graph._mark(id_)
        return graph

    def __len__(self) -> int:
        return len(self.ids)

    def save(self, path: Path) -> None:
        """Raises RuntimeError where it cannot be written."""
        self._index.save_index(str(path))

    def add(self, ids: Sequence[int], vectors: Vectors, *, threads: int = 1) -> None:
        """An id comes once."""
        needed = len(self.ids) + self.removed + len(ids)
        if needed > self._index.get_max_elements():
            self._index.resize_index(2 * needed)
        self._index.add_items(vectors, np.asarray(ids, dtype=np.uint64), num_threads=threads)
        self.ids.update(ids)

    def remove(self, id_: int) -> bool:
        """Whether it was there."""
        if id_ not in self.ids:
            return False
        self.ids.discard(id_)
        self._mark(id_)
        return True

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """Of ids that are there."""
        return np.asarray(self._index.get_items(list(ids)), dtype=np.float32)

    def search(self, vector: Vector, count: int) -> Hits:
        """About the nearest ``count``; fewer where the graph hides some behind what was removed."""
        count = min(count, len(self.ids))
        while count:
            try:
                labels, distances = self._index.knn_query(vector, k=count, num_threads=1)
            except RuntimeError:  # fewer than asked for could be reached
                count //= 2
                continue
            return [(int(label), 1.0 - float(away)) for label, away in zip(labels[0], distances[0], strict=True)]
        return []

    def _mark(self, id_: int) -> None:
        self.removed += 1
        try:
            self._index.mark_deleted(id_)
        except RuntimeError:  # it was marked when the file was written
            return


def _index(dimensions: int) -> Any:
    import hnswlib

    return hnswlib.Index(space="ip", dim=dimensions)
