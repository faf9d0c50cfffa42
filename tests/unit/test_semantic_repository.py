"""Entries, vectors and decisions together, with vectors that the test chooses and a decision that is plain."""

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastgate.semantic import administration, policies, tenants
from fastgate.semantic.administration import UnknownName, inspected, listed, matching, reported
from fastgate.semantic.counts import load, wilson
from fastgate.semantic.policy import Decision, Neighbour
from fastgate.semantic.repository import Repository
from fastgate.semantic.settings import EmbedderSettings, Settings
from fastgate.semantic.store import FILE
from fastgate.wire.semantic import Decided, Delete, Entries, Inspect, Inspected
from fastgate.wire.semantic_entries import Wanted
from tests.support.semantic import HOUR, ONE, OTHER, STRANGER, TENANT, find, keep

NOW = 1_800_000_000_000


class Plain:
    """Serves what is as near as a test puts it, explores the rest, and counts what it is taught."""

    def __init__(self, max_error: float, *, rng: random.Random) -> None:
        self.learned = 0
        self.words = 400

    def decide(self, text: str, neighbours: Sequence[Neighbour]) -> Decision:
        if not neighbours:
            return Decision("miss", None, 0.0, 1.0, "no_neighbour")
        near = neighbours[0]
        if text.startswith("audit"):
            return Decision("explore", near.entry, near.similarity, 0.01, "", audit=True)
        if near.similarity > 0.95:
            return Decision("serve", near.entry, near.similarity, 0.01, "")
        return Decision("explore", near.entry, near.similarity, 0.5, "")

    def learn(self, text: str, neighbour: Neighbour, same: bool) -> None:
        self.learned += 1

    def dump(self) -> bytes:
        return b"%d" % self.learned

    @classmethod
    def load(cls, data: bytes, max_error: float, *, rng: random.Random) -> "Plain":
        policy = cls(max_error, rng=rng)
        policy.learned = int(data)
        return policy


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "Policy", Plain)


def vector(angle: float) -> NDArray[np.float32]:
    """In a plane of four dimensions, so that a cosine is one of angles."""
    return np.array([np.cos(angle), np.sin(angle), 0, 0], dtype=np.float32)


def opened(folder: Path, **settings: Any) -> Repository:
    made = Settings(embedder=EmbedderSettings(model="none"), **settings)
    return Repository(folder, "test", made, random.Random(1))


def test_an_answer_is_found_by_a_question_that_is_near(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    assert repository.find(find("What?"), vector(0), NOW).verdict == "miss"
    entry = repository.add(keep("What?", said="that"), vector(0), NOW)
    found = repository.find(find("What then?"), vector(0.1), NOW + 5)
    assert (found.verdict, found.entry, found.answer) == ("serve", entry.id, b'{"said": "that"}')
    assert found.created_ms == NOW
    assert found.similarity == pytest.approx(np.cos(0.1), abs=1e-5)
    assert repository.counts.saved_nano == 1_000
    assert repository.find(find("Else?"), vector(0.5), NOW).verdict == "explore"
    repository.close()


def test_nothing_crosses_a_partition_or_a_tenant(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    repository.add(keep("What?"), vector(0), NOW)
    assert repository.find(find("What?", partition=OTHER), vector(0), NOW).verdict == "miss"
    # Not even where two partitions have one hash.
    assert repository.find(find("What?", tenant=STRANGER), vector(0), NOW).verdict == "miss"
    assert repository.to_compare(keep("What?", decided=Decided("explore", 1, 0.9))) is None
    repository.close()


def test_what_is_over_is_not_found_and_goes(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    repository.add(keep("What?", ttl_ms=1_000), vector(0), NOW)
    assert repository.find(find("What?"), vector(0), NOW + 999).verdict == "serve"
    assert repository.find(find("What?"), vector(0), NOW + 1_000).verdict == "miss"
    assert repository.tidy(NOW + 1_000)
    assert not repository.tidy(NOW + 1_000)
    assert len(repository) == repository.partitions == 0
    repository.close()


def test_the_least_lately_used_goes_first(tmp_path: Path) -> None:
    repository = opened(tmp_path, max_entries=2)
    first = repository.add(keep("One?"), vector(0), NOW)
    second = repository.add(keep("Two?"), vector(1), NOW)
    repository.find(find("One?"), vector(0), NOW + 1)
    repository.add(keep("Three?"), vector(2), NOW)
    while repository.tidy(NOW):
        pass
    assert repository.entries.get(first.id) is not None
    assert repository.entries.get(second.id) is None
    assert repository.counts.events["evicted"] == 1
    repository.close()


def test_the_same_question_kept_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    repository.add(keep("What?", said="old"), vector(0), NOW)
    repository.add(keep("What?", said="new"), vector(0), NOW)
    assert len(repository) == 1
    assert repository.find(find("What?"), vector(0), NOW).answer == b'{"said": "new"}'
    repository.close()


def test_a_comparison_is_learned_and_confirms(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", said="that"), vector(0), NOW)
    found = repository.find(find("Why?"), vector(0.5), NOW)
    asked = keep("Why?", said="that", decided=found.decided())
    compared = repository.to_compare(asked)
    assert compared is not None
    assert compared.said == "that"
    repository.learn(asked, compared.entry, True, NOW + 500)
    assert entry.expires_ms == NOW + 500 + HOUR
    repository.learn(asked, compared.entry, False, NOW + 600)
    assert [same for _, same in entry.seen] == [True, False]
    assert repository.counts.events["compared"] == 2
    repository.close()
    again = opened(tmp_path)
    kept = again.entries.get(entry.id)
    assert kept is not None
    assert [same for _, same in kept.seen] == [True, False]
    again.close()


@pytest.mark.parametrize("same", [True, False])
def test_a_judge_speaks_after_the_answer_was_kept(tmp_path: Path, same: bool) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", said="that"), vector(0), NOW)
    asked = keep("Why?", said="that one", decided=repository.find(find("Why?"), vector(0.5), NOW).decided())
    added = repository.add(asked, vector(0.5), NOW + 10)
    repository.judged(asked, entry, added, same, NOW + 10)
    assert [same for _, same in entry.seen] == [same]
    assert entry.expires_ms == NOW + HOUR + (10 if same else 0)
    repository.close()
    again = opened(tmp_path)
    first, second = (again.entries.get(each.id) for each in (entry, added))
    assert first is not None
    assert second is not None
    assert (first.answer == second.answer) == same
    assert [same for _, same in first.seen] == [same]
    again.close()


def test_a_judge_that_speaks_late_undoes_nothing(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", said="that"), vector(0), NOW)
    asked = keep("Why?", said="that one", decided=Decided("explore", entry.id, 0.9))
    added = repository.add(asked, vector(0.5), NOW + 10)
    repository.learn(asked, entry, True, NOW + 500)  # confirmed by a later answer meanwhile
    repository.judged(asked, entry, added, True, NOW + 10)
    assert (entry.created_ms, entry.expires_ms) == (NOW + 500, NOW + 500 + HOUR)
    repository.remove([entry.id, added.id])
    repository.judged(asked, entry, added, True, NOW + 600)
    assert len(repository) == 0
    assert repository.counts.events["compared"] == 3
    repository.close()
    assert len(opened(tmp_path)) == 0


def test_what_a_judge_says_of_the_very_same_question_is_remembered(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", said="that"), vector(0), NOW)
    asked = keep("What?", said="that one", decided=Decided("explore", entry.id, 1.0))
    added = repository.add(asked, vector(0), NOW + 10)
    repository.judged(asked, entry, added, False, NOW + 10)
    repository.close()
    again = opened(tmp_path)
    (kept,) = again.entries
    assert (kept.id, kept.seen) == (added.id, [(1.0, False)])
    again.close()


@pytest.mark.parametrize("same", [True, False])
def test_an_entry_that_goes_while_answers_are_compared_takes_no_new_answer_with_it(tmp_path: Path, same: bool) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", said="that"), vector(0), NOW)
    asked = keep("Why?", said="that", decided=repository.find(find("Why?"), vector(0.5), NOW).decided())
    compared = repository.to_compare(asked)
    assert compared is not None
    assert repository.remove([entry.id]) == 1
    repository.learn(asked, compared.entry, same, NOW + 500)
    kept = repository.add(asked, vector(0.5), NOW + 500, compared.entry if same else None)
    assert repository.counts.events["compared"] == 1
    repository.close()
    again = opened(tmp_path)
    assert [each.id for each in again.entries] == [kept.id]
    again.close()


@pytest.mark.parametrize(("bound", "most"), [("MOST", 2), ("MOST_WORDS", 1_000)])
def test_what_one_tenant_teaches_is_not_anothers_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(policies, bound, most)
    repository = opened(tmp_path)
    tenants = [bytes([number]) * 16 for number in range(5)]
    for times, tenant in enumerate(tenants):
        entry = repository.add(keep("What?", tenant=tenant, partition=tenant), vector(0), NOW)
        for _ in range(times):
            asked = keep("Why?", tenant=tenant, partition=tenant, decided=Decided("explore", entry.id, 0.9))
            repository.learn(asked, entry, True, NOW)
        repository.save()
        assert len(repository._policies._policies) <= 2  # the others are in the store
    repository.close()
    again = opened(tmp_path)
    assert [again._policies.of(tenant).dump() for tenant in tenants] == [b"%d" % times for times in range(5)]
    again.close()


def test_in_shadow_nothing_is_served_and_all_that_would_be_is_measured(tmp_path: Path) -> None:
    repository = opened(tmp_path, shadow=True)
    entry = repository.add(keep("What?"), vector(0), NOW)
    for number in range(10):
        found = repository.find(find("What now?"), vector(0.1), NOW)
        assert (found.verdict, found.entry, found.answer) == ("shadow", entry.id, b"")
        repository.learn(keep("What now?", decided=found.decided()), entry, number < 9, NOW)
    repository.find(find("Unlike?"), vector(2), NOW)
    report = reported(repository, Settings(embedder=EmbedderSettings(model="none"), shadow=True), 7, 5)
    assert (report.compared, report.wrong, report.saved_nano, report.would_save_nano) == (10, 1, 0, 10_000)
    assert report.error_per_hit == wilson(1, 10)
    assert report.error_per_request[0] == pytest.approx(0.1 * 10 / 11)
    assert report.expected_error == pytest.approx(0.01)
    assert report.counts["find"] == 11
    [of_tenant] = report.tenants
    assert (of_tenant.tenant, of_tenant.sharers, of_tenant.would_save_nano) == (TENANT, "key:k", 10_000)
    assert (of_tenant.error_per_hit, of_tenant.error_per_request) == (report.error_per_hit, report.error_per_request)
    assert 0 < of_tenant.since_ms == report.since_ms
    repository.close()
    again = opened(tmp_path, shadow=True)
    assert again.counts.compared == 10
    assert reported(again, Settings(embedder=EmbedderSettings(model="none")), 7, 5).tenants == report.tenants
    again.close()


def test_what_chance_sends_to_the_provider_measures_what_is_served(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?"), vector(0), NOW)
    repository.find(find("What now?"), vector(0.1), NOW)
    for number in range(10):
        found = repository.find(find("audit: what now?"), vector(0.1), NOW)
        assert (found.verdict, found.entry, found.answer) == ("audit", entry.id, b"")
        asked = keep("audit: what now?", decided=found.decided())
        assert repository.to_compare(asked) is not None
        repository.learn(asked, entry, number < 8, NOW)
    explored = repository.find(find("Else?"), vector(0.5), NOW)
    repository.learn(keep("Else?", decided=explored.decided()), entry, False, NOW)
    report = reported(repository, Settings(embedder=EmbedderSettings(model="none")), 7)
    assert (report.compared, report.wrong, report.saved_nano, report.would_save_nano) == (10, 2, 1_000, 0)
    assert report.error_per_hit == wilson(2, 10)
    assert report.error_per_request[0] == pytest.approx(0.2 * 1 / 12)  # of what was served alone
    assert (report.counts["audit"], report.counts["explore"], report.counts["compared"]) == (10, 1, 11)
    assert report.tenants == ()
    repository.close()


def test_tenants_are_told_apart_and_who_asked_least_lately_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants, "MOST", 3)
    repository = opened(tmp_path)
    settings = Settings(embedder=EmbedderSettings(model="none"))
    names = [bytes([number]) * 16 for number in range(5)]
    for times, tenant in enumerate(names, 1):
        repository.add(keep("What?", tenant=tenant, partition=tenant, sharers=f"key:{times}"), vector(0), NOW)
        for _ in range(times):
            repository.find(find("What?", tenant=tenant, partition=tenant), vector(0), NOW)
    repository.save()
    report = reported(repository, settings, 1, 2)
    assert [(each.sharers, each.counts["serve"], each.saved_nano) for each in report.tenants] == [
        ("key:5", 5, 5_000), ("key:4", 4, 4_000),
    ]  # fmt: skip
    assert report.more_tenants
    assert report.counts["tenants forgotten"] == 2
    assert report.counts["serve"] == 15
    repository.close()
    again = opened(tmp_path)
    report = reported(again, settings, 1, 3)
    assert ([each.sharers for each in report.tenants], report.more_tenants) == (["key:5", "key:4", "key:3"], False)
    again.close()


def delete(repository: Repository, asked: Delete) -> int:
    """As the server does it."""
    count = repository.remove(matching(repository, asked))
    repository.store.flush()
    return count


def said(**wanted: str) -> Wanted:
    return Wanted(tuple((name, (value,)) for name, value in wanted.items()))


TAGGED = Wanted((("tag:job", ("7",)),))


def test_entries_are_listed_and_deleted_by_what_is_known_of_them(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    ids = [repository.add(keep(f"Question {each}?"), vector(each), NOW + each).id for each in range(5)]
    other = repository.add(keep("Mine?", tenant=STRANGER, partition=OTHER, about=b'{"key": "x"}'), vector(0), NOW + 9)
    page = listed(repository, Entries(1, limit=2))
    assert ([each.id for each in page.entries], page.following) == (ids[:2], ids[1])
    page = listed(repository, Entries(1, ids[1], 100, Wanted(tenant=TENANT)))
    assert ([each.id for each in page.entries], page.following) == (ids[2:], None)
    page = listed(repository, Entries(1, wanted=said(key="x", team="")))
    assert [(each.id, each.cost_nano, each.hits) for each in page.entries] == [(other.id, 1_000, 0)]
    assert listed(repository, Entries(1, wanted=said(key="x", team="t"))).entries == ()
    page = listed(repository, Entries(1, wanted=Wanted((("key", ("x", "k")),), NOW + 3, NOW + 9)))
    assert [each.id for each in page.entries] == ids[3:]
    assert delete(repository, Delete(2, wanted=Wanted((("key", ("k",)),), until_ms=NOW + 2))) == 2
    assert delete(repository, Delete(2, (ids[2],), Wanted(tenant=STRANGER))) == 0
    assert delete(repository, Delete(2, (ids[2], 1, ids[2]), TAGGED)) == 1
    assert delete(repository, Delete(2, wanted=Wanted((("tag:job", ("8", "9")),)))) == 0
    assert delete(repository, Delete(2, wanted=Wanted((*TAGGED.said, *said(model="m", team="t").said)))) == 2
    assert [entry.id for entry in repository.entries] == [other.id]
    assert repository.find(find("Question 4?"), vector(4), NOW).verdict == "miss"
    repository.close()
    again = opened(tmp_path)
    assert [entry.id for entry in again.entries] == [other.id]
    assert delete(again, Delete(1, everything=True)) == 1
    again.close()


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_go_on_where_nothing_matches_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(administration, "STRETCH", 4)
    monkeypatch.setattr(administration, "PAGE_SECONDS", 0)
    repository = opened(tmp_path)
    abouts = [b'{"key": "x"}' if each in {0, 11, 12, 22} else b'{"key": "y"}' for each in range(23)]
    ids = [repository.add(keep(f"{each}?", about=about), vector(each), NOW).id for each, about in enumerate(abouts)]
    found: list[int] = []
    pages, after = 0, 0
    while True:
        page = listed(repository, Entries(1, after, limit, said(key="x")))
        found += [each.id for each in page.entries]
        pages += 1
        if page.following is None:
            break
        after = page.following
    assert found == [ids[each] for each in (0, 11, 12, 22)]
    assert pages >= 6
    repository.close()


def test_what_has_expired_is_neither_listed_nor_shown(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", ttl_ms=1_000), vector(0), 1_000_000)  # in 1970
    assert listed(repository, Entries(1)).entries == ()
    assert inspected(repository, Inspect(1, entry.id)) == Inspected(1, None)
    assert delete(repository, Delete(1, (entry.id,))) == 0
    repository.close()


def test_one_is_shown_whole(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    entry = repository.add(keep("What?", said="that " * 100_000), vector(0), NOW)
    repository.learn(keep("Why?", decided=Decided("explore", entry.id, 0.5)), entry, False, NOW)
    repository.find(find("What now?"), vector(0.1), NOW + 7)
    shown = inspected(repository, Inspect(3, entry.id))
    assert shown.entry is not None
    assert (shown.entry.text, shown.entry.hits, shown.entry.used_ms, shown.entry.kind) == ("What?", 1, NOW + 7, 0)
    assert shown.comparisons == ((0.5, False),)
    assert 0 < len(shown.said.encode()) <= 256 << 10
    assert inspected(repository, Inspect(4, entry.id + 1)) == Inspected(4, None)
    repository.close()


def test_a_deletion_that_the_disk_does_not_take_is_not_told_as_done(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    repository.add(keep("What?"), vector(0), NOW)
    repository.store.flush()
    with sqlite3.connect(tmp_path / FILE, timeout=30, isolation_level=None) as other:
        other.execute("CREATE TRIGGER full BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        assert delete(repository, Delete(1, wanted=said(key="k"))) == 1
        assert repository.store.owed
        assert repository.find(find("What?"), vector(0), NOW).verdict == "miss"
        assert delete(repository, Delete(2, wanted=said(key="k"))) == 0
        assert repository.store.owed
        other.execute("DROP TRIGGER full")
    other.close()
    assert delete(repository, Delete(3, wanted=said(key="k"))) == 0
    assert not repository.store.owed
    repository.close()
    again = opened(tmp_path)
    assert len(again) == 0
    again.close()


def test_what_is_said_of_an_entry_and_is_no_json_does_no_harm(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    repository.add(keep("What?", about=b"\xff{nothing"), vector(0), NOW)
    assert delete(repository, Delete(1, wanted=said(key="k"))) == 0
    assert delete(repository, Delete(1, wanted=TAGGED)) == 0
    assert delete(repository, Delete(1, wanted=said(key=""))) == 1
    repository.close()


@pytest.mark.parametrize("name", ["text", "tags", "key') OR (1=1", ""])
def test_a_name_that_nothing_is_said_under_is_refused(tmp_path: Path, name: str) -> None:
    repository = opened(tmp_path)
    for ask in (
        lambda w: listed(repository, Entries(1, wanted=w)),
        lambda w: matching(repository, Delete(1, wanted=w)),
    ):
        with pytest.raises(UnknownName):
            ask(Wanted(((name, ("k",)),)))
    repository.close()


def test_who_waits_for_a_disk_that_nobody_writes_to_any_more_waits_no_longer(tmp_path: Path) -> None:
    repository = opened(tmp_path)
    repository.close()
    repository.store.flush()


def test_the_index_is_there_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastgate.semantic.index.BRUTE_MOST", 50)
    monkeypatch.setattr("fastgate.semantic.index.TAIL_MOST", 10)
    repository = opened(tmp_path)
    for number in range(200):
        repository.add(keep(f"Question {number}?"), vector(number / 40), NOW)
    while repository.tidy(NOW):
        pass
    repository.add(keep("Late?"), vector(5.9), NOW)
    repository.close()
    assert len(list(tmp_path.glob("graph-*.bin"))) == 1
    for damaged in (False, True):
        if damaged:
            (path,) = tmp_path.glob("graph-*.bin")
            path.write_bytes(path.read_bytes()[:-100])
        again = opened(tmp_path)
        assert len(again) == 201
        for number in range(0, 200, 7):
            found = again.find(find("?"), vector(number / 40), NOW)
            assert found.similarity == pytest.approx(1, abs=1e-4)
        assert again.find(find("?"), vector(5.9), NOW).similarity == pytest.approx(1, abs=1e-4)
        again.close()


@pytest.mark.parametrize(
    ("hits", "trials", "lower", "upper"),
    [(0, 0, 0, 1), (0, 100, 0, 0.0370), (5, 100, 0.0215, 0.1118), (50, 50, 0.9287, 1)],
)
def test_intervals_are_those_of_the_textbook(hits: int, trials: int, lower: float, upper: float) -> None:
    share, low, high = wilson(hits, trials)
    assert share == (hits / trials if trials else 0)
    assert (low, high) == (pytest.approx(lower, abs=5e-4), pytest.approx(upper, abs=5e-4))


def test_counters_that_cannot_be_read_count_for_nothing() -> None:
    assert load(b"\xc1").events == {}
    assert load(None).compared == 0
    assert ONE != OTHER
