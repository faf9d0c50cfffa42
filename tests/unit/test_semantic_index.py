"""The index of a partition: what is nearest is found, what is removed never, however it got where it is."""

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgate.semantic import index as index_module
from fastgate.semantic.brute import Brute
from fastgate.semantic.graph import Graph
from fastgate.semantic.index import Index

DIMENSIONS = 32


def vectors(count: int, seed: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    # Around a few centres, as texts are, and not evenly in all directions.
    centres = rng.normal(size=(20, DIMENSIONS))
    rows = centres[rng.integers(0, 20, count)] + 0.5 * rng.normal(size=(count, DIMENSIONS))
    found: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def nearest(rows: NDArray[np.float32], ids: list[int], asked: NDArray[np.float32], count: int) -> list[int]:
    scores = rows @ asked
    return [ids[each] for each in np.argsort(-scores)[:count]]


def test_a_few_are_compared_with_all() -> None:
    rows = vectors(100)
    brute = Brute(DIMENSIONS)
    for number, row in enumerate(rows):
        brute.add(1_000 + number, row)
    for asked in vectors(20, seed=2):
        hits = brute.search(asked, 8)
        assert [id_ for id_, _ in hits] == nearest(rows, list(range(1_000, 1_100)), asked, 8)
        assert all(similarity == pytest.approx(float(rows[id_ - 1_000] @ asked), abs=1e-6) for id_, similarity in hits)


def test_what_is_removed_is_not_found_and_its_place_is_used_again() -> None:
    rows = vectors(50)
    brute = Brute(DIMENSIONS)
    for number, row in enumerate(rows):
        brute.add(number, row)
    assert brute.remove(7)
    assert not brute.remove(7)
    assert 7 not in [id_ for id_, _ in brute.search(rows[7], 50)]
    brute.add(99, rows[7])
    assert brute.search(rows[7], 1)[0][0] == 99
    taken, their_rows = brute.take(3)
    assert len(brute) == 47
    assert brute.search(their_rows[0], 47)[0][0] not in taken


def filled(count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Index, NDArray[np.float32]]:
    """An index that has a graph, all of whose work is done."""
    monkeypatch.setattr(index_module, "BRUTE_MOST", 100)
    monkeypatch.setattr(index_module, "TAIL_MOST", 20)
    rows = vectors(count)
    index = Index(DIMENSIONS)
    for number, row in enumerate(rows):
        index.add(number, row)
    work(index)
    return index, rows


def work(index: Index) -> int:
    steps = 0
    while index.waits():
        index.step()
        steps += 1
    return steps


def test_many_move_into_a_graph_step_by_step_and_are_found_all_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "BRUTE_MOST", 100)
    monkeypatch.setattr(index_module, "TAIL_MOST", 20)
    rows = vectors(400)
    index = Index(DIMENSIONS)
    for number, row in enumerate(rows):
        index.add(number, row)
    assert index.graph is None
    asked = 0
    while index.waits():
        index.step()
        assert len(index) == 400
        found = index.search(rows[asked], 1)[0]
        assert found == (asked, pytest.approx(1, abs=1e-5))
        asked += 1
    assert index.graph is not None
    assert len(index.graph) >= 380
    assert index.revision == 1


def test_the_graph_finds_nearly_all_of_what_comparing_with_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    index, rows = filled(3_000, monkeypatch)
    ids = list(range(3_000))
    recalled = first = 0
    for asked in vectors(200, seed=3):
        found, all_ = [id_ for id_, _ in index.search(asked, 8)], nearest(rows, ids, asked, 8)
        recalled += len(set(found) & set(all_))
        first += found[0] == all_[0]
    assert recalled / (200 * 8) > 0.95
    assert first / 200 > 0.97


def test_what_is_removed_from_a_graph_is_never_found_and_much_of_it_builds_it_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, rows = filled(1_000, monkeypatch)
    rng = random.Random(4)
    gone = set(rng.sample(range(1_000), 600))
    graph = index.graph
    for id_ in gone:
        index.remove(id_)
        if rng.random() < 0.3 and index.waits():
            index.step()  # so that some are removed while the next graph is half built
        assert id_ not in [found for found, _ in index.search(rows[id_], 50)]
    work(index)
    assert index.graph is not graph
    assert index.graph is not None
    assert index.graph.removed <= 0.25 * 1_000
    assert len(index) == 400
    for id_ in set(range(1_000)) - gone:
        assert index.search(rows[id_], 1)[0][0] == id_


def test_all_may_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    index, rows = filled(300, monkeypatch)
    for id_ in range(300):
        index.remove(id_)
    work(index)
    assert len(index) == 0
    assert index.search(rows[0], 8) == []
    index.add(1_000, rows[0])
    assert index.search(rows[0], 8)[0][0] == 1_000


def test_a_saved_graph_is_taken_up_with_those_alone_that_still_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, rows = filled(500, monkeypatch)
    assert index.graph is not None
    index.remove(3)
    index.graph.save(tmp_path / "graph.bin")
    living = [id_ for id_ in range(500) if id_ not in {3, 4, 5}]
    graph = Graph.load(tmp_path / "graph.bin", DIMENSIONS, living)
    assert len(graph) == len(index.graph.ids - {3, 4, 5})
    for id_ in (3, 4, 5):
        assert id_ not in [found for found, _ in graph.search(rows[id_], 20)]
    again = Index(DIMENSIONS)
    again.take_up(graph)
    for id_ in set(living) - graph.ids:
        again.add(id_, rows[id_])
    assert len(again) == 497
    again.add(9_999, rows[4])
    assert again.search(rows[4], 1)[0][0] == 9_999


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.bin").write_bytes(b"nothing")
    with pytest.raises(RuntimeError):
        Graph.load(tmp_path / "graph.bin", DIMENSIONS, [])
