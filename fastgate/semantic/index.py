"""The vectors of one partition: all compared while they are few, in a graph beside when they are many.

What comes is compared with all at first, and moves into the graph in small steps between questions, so that no question
waits for an insertion. A graph of which much was removed is built anew in the same steps, while the old one serves.
"""

from typing import Final

from fastgate.semantic.brute import Brute, Hits, Vector
from fastgate.semantic.graph import Graph, available

BRUTE_MOST: Final = 2_048
"""Vectors that need no graph."""
TAIL_MOST: Final = 256
"""Vectors beside a graph that may wait for their step."""
STEP: Final = 4
"""Insertions between two looks at what is asked."""
REMOVED_SHARE: Final = 0.25
"""Of a graph: beyond it, it is built anew."""


class Index:
    """``revision`` counts graphs that were finished: one that has a new one is worth saving."""

    def __init__(self, dimensions: int) -> None:
        self.revision = 0
        self._dimensions = dimensions
        self._near = Brute(dimensions)
        self.graph: Graph | None = None
        self._next: Graph | None = None
        self._left: list[int] = []
        """Ids of the old graph that the next one does not have yet."""
        self._filling = False

    def __len__(self) -> int:
        return len(self._near) + (len(self.graph) if self.graph is not None else 0)

    def take_up(self, graph: Graph) -> None:
        """Begin with a graph that was saved; what it lacks is added as usual."""
        self.graph = graph

    def add(self, id_: int, vector: Vector) -> None:
        """An id comes once, and never again after it was removed."""
        self._near.add(id_, vector)

    def remove(self, id_: int) -> None:
        """Nothing happens where it is not there."""
        if self._near.remove(id_) or self.graph is None:
            return
        self.graph.remove(id_)
        if self._next is not None:
            self._next.remove(id_)

    def search(self, vector: Vector, count: int) -> Hits:
        """The nearest ``count``, the nearest first."""
        near = self._near.search(vector, count)
        if self.graph is None:
            return near
        return sorted([*near, *self.graph.search(vector, count)], key=lambda hit: -hit[1])[:count]

    def waits(self) -> bool:
        """Whether a step of work is due."""
        if self.graph is None:
            return len(self._near) > BRUTE_MOST and available()
        return self._next is not None or len(self._near) > TAIL_MOST or self._is_worn(self.graph)

    def step(self) -> None:
        """A little of the work that is due."""
        if self.graph is None:
            self.graph = Graph(self._dimensions, 2 * len(self._near))
            self._filling = True
        if self._next is not None:
            self._copy(self.graph, self._next)
        elif len(self._near) > TAIL_MOST:
            ids, vectors = self._near.take(STEP)
            self.graph.add(ids, vectors)
            if self._filling and len(self._near) <= TAIL_MOST:
                self._filling = False
                self.revision += 1
        elif self._is_worn(self.graph):
            self._left = list(self.graph.ids)
            self._next = Graph(self._dimensions, len(self._left) + len(self._left) // 2)

    def _is_worn(self, graph: Graph) -> bool:
        return graph.removed > REMOVED_SHARE * (len(graph) + graph.removed)

    def _copy(self, old: Graph, new: Graph) -> None:
        """Some more of the old graph's vectors; the last of them puts the new one in its place."""
        some = [id_ for id_ in self._left[-STEP:] if id_ in old.ids]
        del self._left[-STEP:]
        if some:
            new.add(some, old.vectors(some))
        if self._left:
            return
        self._next = None
        self.graph = new if len(new) else None
        self.revision += 1
