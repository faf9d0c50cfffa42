"""The indexes of all partitions, and their graphs on disk.

A graph is saved when it was built and at the end, as ``graph-<partition>.bin`` in the folder of the store, which has
its hash: a file that is not the one that was saved is not read. What came after it was saved is in the store.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from xxhash import xxh3_128

from fastgate.semantic.brute import Hits, Vector
from fastgate.semantic.entries import Entry
from fastgate.semantic.graph import Graph, available
from fastgate.semantic.index import Index
from fastgate.semantic.store import Store

_GRAPHS: Final = "graph-*.bin"

log = logging.getLogger("fastgate.semantic")


class Partitions:
    """An index per partition that has an entry."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._indexes: dict[bytes, Index] = {}
        self._working: dict[bytes, None] = {}
        """Partitions whose index has work to do, in the order in which it came to be."""
        self._saved: dict[bytes, int] = {}
        """Revisions of graphs on disk."""

    def __len__(self) -> int:
        return len(self._indexes)

    def load(self, entries: Iterable[Entry]) -> None:
        """Take up the graphs that are saved, and the vectors that they lack."""
        by_partition: dict[bytes, list[int]] = {}
        for entry in entries:
            by_partition.setdefault(entry.partition, []).append(entry.id)
        for partition, ids in by_partition.items():
            dimensions = next((len(vector) for _, vector in self._store.vectors(ids[:1])), 0)
            if not dimensions:
                continue
            index = self._indexes[partition] = Index(dimensions)
            graph = self._read(partition, dimensions, ids)
            if graph is not None:
                index.take_up(graph)
            for id_, vector in self._store.vectors([id_ for id_ in ids if graph is None or id_ not in graph.ids]):
                index.add(id_, vector)
            self._note(partition, index)
        for path in self._folder.glob(_GRAPHS):
            if path not in {self._path(partition) for partition in self._saved}:
                path.unlink(missing_ok=True)

    def search(self, partition: bytes, vector: Vector, count: int) -> Hits:
        """The nearest entries in a partition."""
        index = self._indexes.get(partition)
        return index.search(vector, count) if index is not None else []

    def add(self, entry: Entry, vector: Vector) -> None:
        """See Index."""
        index = self._indexes.get(entry.partition)
        if index is None:
            index = self._indexes[entry.partition] = Index(len(vector))
        index.add(entry.id, vector)
        self._note(entry.partition, index)

    def remove(self, entry: Entry) -> None:
        """See Index; one that is empty goes."""
        index = self._indexes.get(entry.partition)
        if index is None:
            return
        index.remove(entry.id)
        if not len(index):
            del self._indexes[entry.partition]
            self._forget(entry.partition)
        else:
            self._note(entry.partition, index)

    def step(self) -> bool:
        """A little of the work that is due in some index; False: there is none."""
        while self._working:
            partition = next(iter(self._working))
            index = self._indexes.get(partition)
            if index is None or not index.waits():
                del self._working[partition]
                continue
            before = index.revision
            index.step()
            if index.revision != before:
                self._write(partition, index)
            return True
        return False

    def save(self) -> None:
        """Write every graph that there is."""
        for partition, index in self._indexes.items():
            self._write(partition, index)

    def _note(self, partition: bytes, index: Index) -> None:
        if index.waits():
            self._working[partition] = None

    def _path(self, partition: bytes) -> Path:
        return self._folder / f"graph-{partition.hex()}.bin"

    def _read(self, partition: bytes, dimensions: int, ids: list[int]) -> Graph | None:
        path, noted = self._path(partition), self._store.value(f"graph {partition.hex()}")
        if noted is None or not available() or not path.exists():
            return None
        try:
            graph = Graph.load(path, dimensions, ids) if _digest(path) == noted else None
        except (RuntimeError, OSError) as error:
            log.warning("%s is not used (%s): its graph is built anew", path, error)
            return None
        if graph is None:
            log.warning("%s is not what was saved: its graph is built anew", path)
            return None
        self._saved[partition] = 0
        return graph

    def _write(self, partition: bytes, index: Index) -> None:
        """A graph that cannot be written is built anew at the next start."""
        if index.graph is None:
            return
        path = self._path(partition)
        beside = path.with_suffix(".tmp")
        try:
            index.graph.save(beside)
            digest = _digest(beside)
            beside.rename(path)
        except (RuntimeError, OSError) as error:
            log.warning("%s cannot be written: %s", path, error)
            beside.unlink(missing_ok=True)
            return
        self._store.put(f"graph {partition.hex()}", digest)
        self._saved[partition] = index.revision

    def _forget(self, partition: bytes) -> None:
        if self._saved.pop(partition, None) is not None:
            self._path(partition).unlink(missing_ok=True)


def _digest(path: Path) -> bytes:
    """Of a file, which may be larger than what should be in memory at once."""
    state = xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    return state.digest()
