"""Pages, filters and single requests; text of callers is never part of a statement."""

from pathlib import Path
from typing import Any

import pytest

from fastgate.ledger import attributes, requests
from fastgate.ledger.attributes import Filter, conditions
from fastgate.ledger.errors import BadQuery
from fastgate.ledger.store import Ledger
from tests.support.ledger_rows import START_US, STEP_US, columns, rows


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ledger = Ledger(tmp_path_factory.mktemp("requests") / "ledger.duckdb")
    ledger.open()
    ledger.inserts.add(columns(1000, seed=1), {"a": 1000})
    yield ledger
    ledger.close()


EVENTS = rows(columns(1000, seed=1))


def listed(ledger: Ledger, which: Filter, limit: int = 1000) -> list[str]:
    with ledger.cursor() as cursor:
        return [row["id"] for row in requests.page(cursor, which, None, limit).rows]


def test_pages_follow_each_other_without_gap_or_repetition(ledger: Ledger) -> None:
    found: list[str] = []
    after = None
    with ledger.cursor() as cursor:
        while True:
            page = requests.page(cursor, Filter(), after, 77)
            found += [row["id"] for row in page.rows]
            after = page.next
            if after is None:
                break
    assert found == [event["request_id"] for event in reversed(EVENTS)]


def test_pages_do_not_move_when_requests_arrive_meanwhile(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.open()
    ledger.inserts.add(columns(100), {"a": 100})
    with ledger.cursor() as cursor:
        first = requests.page(cursor, Filter(), None, 40)
    ledger.inserts.add(columns(100, start=100), {"a": 200})
    with ledger.cursor() as cursor:
        second = requests.page(cursor, Filter(), first.next, 60)
    assert [row["id"] for row in (*first.rows, *second.rows)] == columns(100)["request_id"][::-1]
    assert second.next is None
    ledger.close()


def test_a_page_that_ends_exactly_at_the_end_has_no_next(ledger: Ledger) -> None:
    with ledger.cursor() as cursor:
        assert requests.page(cursor, Filter(), None, 1000).next is None
        assert requests.page(cursor, Filter(), None, 999).next is not None


@pytest.mark.parametrize("cursor_text", ["", "x", "AAAA", "🙂", "A" * 32, "'; DROP TABLE events; --"])
def test_a_foreign_cursor_is_refused(ledger: Ledger, cursor_text: str) -> None:
    with ledger.cursor() as cursor, pytest.raises(BadQuery) as refusal:
        requests.page(cursor, Filter(), cursor_text, 10)
    assert refusal.value.parameter == "cursor"


def test_a_cursor_of_another_filter_is_refused(ledger: Ledger) -> None:
    with ledger.cursor() as cursor:
        after = requests.page(cursor, Filter(), None, 10).next
        with pytest.raises(BadQuery, match="other conditions"):
            requests.page(cursor, Filter(since_us=1), after, 10)


def test_one_request_by_its_id(ledger: Ledger) -> None:
    with ledger.cursor() as cursor:
        for event in EVENTS[::97]:
            row = requests.find(cursor, event["request_id"])
            assert row is not None
            assert {name: row[name] for name in event if name not in {"seq", "request_id"}} == {
                name: value for name, value in event.items() if name not in {"seq", "request_id"}
            }
        assert requests.find(cursor, "0" * 32) is None
        for bad in ("", "0" * 31, "0" * 31 + "g", "A" * 32, "' OR 1=1 --"):
            with pytest.raises(BadQuery):
                requests.find(cursor, bad)


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (["team=platform"], lambda e: e["team"] == "platform"),
        (["team="], lambda e: e["team"] == ""),
        (["team=platform", "team=search"], lambda e: e["team"] in {"platform", "search"}),
        (["team=platform", "user=ann"], lambda e: e["team"] == "platform" and e["user"] == "ann"),
        (["status=402"], lambda e: e["status"] == 402),
        (["cache=exact"], lambda e: e["cache"] == "exact"),
        (["cache=", "cache=miss"], lambda e: e["cache"] in {"", "miss"}),
        (["key=a'; DROP TABLE events; --"], lambda e: e["key"].startswith("a'")),
        (['key=quo"te'], lambda e: e["key"] == 'quo"te'),
        (["user=o'brien"], lambda e: e["user"] == "o'brien"),
        (["model=模型"], lambda e: e["model"] == "模型"),
        (["tag:feature=search"], lambda e: "feature=search" in e["tags"].split(",")),
        (["tag:feature="], lambda e: "feature=" in e["tags"].split(",")),
        (["tag:x=y=z"], lambda e: "x=y=z" in e["tags"].split(",")),
        (["tag:job=1", "tag:job=2"], lambda e: {"job=1", "job=2"} & set(e["tags"].split(","))),
        (["tag:feature=%"], lambda e: False),
        (["tag:feature=.*"], lambda e: False),
        (["team=nobody"], lambda e: False),
    ],
)
def test_conditions_hold_for_exactly_the_rows_that_fit(ledger: Ledger, where: list[str], holds: Any) -> None:
    which = Filter(where=conditions(where))
    assert listed(ledger, which) == [event["request_id"] for event in reversed(EVENTS) if holds(event)]


def test_times_include_the_first_moment_and_not_the_last(ledger: Ledger) -> None:
    since, until = START_US + 10 * STEP_US, START_US + 20 * STEP_US
    assert listed(ledger, Filter(since, until)) == [event["request_id"] for event in reversed(EVENTS[10:20])]


@pytest.mark.parametrize(
    "where",
    [
        "nothing", "=x", "team OR 1=1=x", 'team" = 1 --=x', "cost_nano=1", "tag:=x", "tag:a,b=x", f"tag:{'n' * 33}=x",
        "tag:%=%", "tag:.*=search", "tag:a[]=x",
        "status=ok", "status=", "status=99999", f"team={'x' * 513}", "origin=1", "stream=1",
    ],
)  # fmt: skip
def test_conditions_that_make_no_sense_are_errors(where: str) -> None:
    with pytest.raises(BadQuery) as refusal:
        conditions([where])
    assert refusal.value.parameter == "where"


def test_there_is_a_bound_on_conditions_and_groupings() -> None:
    with pytest.raises(BadQuery):
        conditions([f"team={i}" for i in range(65)])
    with pytest.raises(BadQuery):
        attributes.attributes(",".join(f"tag:{i}" for i in range(9)))
    assert [each.name for each in attributes.attributes("team,key,team")] == ["team", "key"]
    with pytest.raises(BadQuery, match="unknown attribute"):
        attributes.attributes("team; DROP TABLE events")
