"""The ledger that hosts share answers as a host's own does, whatever is asked: here all rows are in both."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastgate.ledger import spend
from fastgate.ledger.attributes import EVENT_ATTRIBUTES, ORIGIN_ATTRIBUTES, Filter, attributes, conditions
from fastgate.ledger.errors import BadQuery
from fastgate.ledger.shared import SharedRequests
from fastgate.ledger.stores import OwnRequests, RequestStore
from tests.support.ledger_rows import CHOICES, START_US, STEP_US, columns
from tests.support.postgres import PostgresServer
from tests.support.shared_ledger import Shipper, place

COUNT = 700
TAGS = ["tag:feature", "tag:job", "tag:x", "tag:absent"]
GROUPABLE = [*ORIGIN_ATTRIBUTES, *EVENT_ATTRIBUTES, *TAGS]
DAY_US = 86_400_000_000

Stores = tuple[RequestStore, RequestStore, list[str]]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Stores]:
    events = columns(COUNT, seed=5)
    for position in range(COUNT):  # over months and years, as far as intervals reach
        events["started_us"][position] += position % 5 * 200 * DAY_US
        events["cost_nano"][position] -= events["cost_nano"][position] % 7 * (position % 3)
        if position % 4 == 0:
            events["cost_nano"][position] = 0
    events["user"][3], events["tags"][5] = "tab\tand \\ back\\slash", 'feature=a "quoted" 100%,x=\\N'
    where = place(postgres, postgres.fresh())
    with Shipper(tmp_path_factory.mktemp("shared") / "ledger.duckdb", where) as shipper:
        shipper.book(events)
        assert shipper.ship() == COUNT
        shared = SharedRequests(where)
        yield OwnRequests(shipper.ledger), shared, events["request_id"]
        shared.close()


def condition() -> st.SearchStrategy[tuple[str, str]]:
    plain = (
        st.sampled_from(sorted(CHOICES))
        .filter(lambda name: name != "tags")
        .flatmap(lambda name: st.tuples(st.just(name), st.sampled_from([*CHOICES[name], "nobody", "100%", "tab\t"])))
    )
    tags = st.tuples(st.sampled_from(TAGS), st.sampled_from(["search", "1", "2", "", "y=z", "earch", "\\N", "?"]))
    status = st.tuples(st.just("status"), st.sampled_from(["200", "402", "502", "0"]))
    return st.one_of(plain, tags, status)


MOMENT = st.none() | st.integers(-5, COUNT + 5).map(lambda at: START_US + at * STEP_US)
WHERE = st.lists(condition(), max_size=3)


def chosen(where: list[tuple[str, str]], since: int | None, until: int | None) -> Filter:
    said = conditions(f"{name}={value}" for name, value in where)
    return Filter(since, until, tuple((name, tuple(values)) for name, values in said))


def both(stores: Stores, question: Callable[[RequestStore], Any]) -> Any:
    own, shared, _ = stores
    found = question(shared)
    assert found == question(own)
    return found


quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    by=st.lists(st.sampled_from(GROUPABLE), max_size=4, unique=True),
    interval=st.sampled_from([None, None, *spend.INTERVALS]),
    where=WHERE,
    since=MOMENT,
    until=MOMENT,
    limit=st.sampled_from([1, 7, 10_000]),
    order=st.sampled_from(["cost", "saved"]),
)
def test_sums_are_the_same_in_the_same_order(
    stores: Stores,
    by: list[str],
    interval: str | None,
    where: list[tuple[str, str]],
    since: int | None,
    until: int | None,
    limit: int,
    order: Any,
) -> None:
    which, grouping = chosen(where, since, until), attributes(",".join(by))
    both(stores, lambda store: store.spend(grouping, interval, which, limit, order=order))


@quick
@given(where=WHERE, since=MOMENT, until=MOMENT, limit=st.sampled_from([1, 50, 1000]))
def test_pages_are_the_same_and_one_goes_on_where_the_other_ended(
    stores: Stores, where: list[tuple[str, str]], since: int | None, until: int | None, limit: int
) -> None:
    which = chosen(where, since, until)
    first = both(stores, lambda store: store.page(which, None, limit))
    if first.next is not None:
        both(stores, lambda store: store.page(which, first.next, limit))


def test_single_requests_are_the_same(stores: Stores) -> None:
    for id_ in stores[2][:8]:
        assert both(stores, lambda store, id_=id_: store.find(id_))["id"] == id_
    assert both(stores, lambda store: store.find("0" * 32)) is None
    for store in stores[:2]:
        with pytest.raises(BadQuery):
            store.find("x")
        with pytest.raises(BadQuery):
            store.page(Filter(), "bad", 1)


def test_sums_beyond_64_bits_are_exact_there_too(tmp_path_factory: Any, postgres: PostgresServer) -> None:
    big = columns(300, seed=8, big=True)
    where = place(postgres, postgres.fresh())
    with Shipper(tmp_path_factory.mktemp("big") / "ledger.duckdb", where) as shipper:
        shipper.book(big)
        shipper.ship()
        shared = SharedRequests(where)
        assert shared.spend(attributes("team")).total["cost"] == sum(big["cost_nano"]) > 2**63
        shared.close()
