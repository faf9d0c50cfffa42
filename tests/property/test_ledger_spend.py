"""Spend, for any grouping and filter, is what adding up the rows one by one gives: to the nano-dollar."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastgate.ledger import spend
from fastgate.ledger.attributes import EVENT_ATTRIBUTES, ORIGIN_ATTRIBUTES, Filter, attributes, conditions
from fastgate.ledger.schema import EVENT_NUMBERS
from fastgate.ledger.store import Ledger
from tests.support.ledger_rows import CHOICES, START_US, STEP_US, columns, rows

COUNT = 700
DATA = columns(COUNT, seed=5)
EVENTS = rows(DATA)
TAGS = ["tag:feature", "tag:job", "tag:x", "tag:absent"]
GROUPABLE = [*ORIGIN_ATTRIBUTES, *EVENT_ATTRIBUTES, *TAGS]
SUMMED = {
    "requests": lambda e: 1,
    "estimated_requests": lambda e: e["settlement"] == "estimated",
    "unsettled_requests": lambda e: e["settlement"] == "unsettled",
    "cost": lambda e: e["cost_nano"],
    "saved": lambda e: e["saved_nano"],
    "overrun": lambda e: e["overrun_nano"],
    "estimated": lambda e: e["cost_nano"] if e["settlement"] == "estimated" else 0,
    "unsettled": lambda e: e["cost_nano"] if e["settlement"] == "unsettled" else 0,
    **{name: lambda e, name=name: e[name] for name in spend.TOKENS},
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ledger = Ledger(tmp_path_factory.mktemp("spend") / "ledger.duckdb")
    ledger.open()
    half = COUNT // 2
    for part in (slice(0, half), slice(half, None)):
        ledger.inserts.add({name: values[part] for name, values in DATA.items()}, {"a": 1})
    yield ledger
    ledger.close()


def value_of(event: dict[str, Any], name: str) -> Any:
    """The oracle's own reading of tags."""
    if not name.startswith("tag:"):
        return event[name]
    for part in event["tags"].split(","):
        if part.startswith(f"{name[4:]}="):
            return part[len(name) - 3 :]
    return None


def bucket_of(event: dict[str, Any], interval: str) -> str:
    at = datetime.fromtimestamp(event["started_us"] // 1_000_000, UTC)
    if interval == "week":
        at -= timedelta(days=at.weekday())
    keep = {"minute": 5, "hour": 4, "day": 3, "week": 3, "month": 2, "year": 1}[interval]
    parts = at.timetuple()[:keep] + (1, 1)[keep - 1 :] if keep < 3 else at.timetuple()[:keep]
    return datetime(*parts, tzinfo=UTC).isoformat().replace("+00:00", "Z")


def add_up(events: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(int(measure(event)) for event in events) for name, measure in SUMMED.items()}


def condition() -> st.SearchStrategy[tuple[str, str]]:
    plain = (
        st.sampled_from(sorted(CHOICES))
        .filter(lambda name: name != "tags")
        .flatmap(lambda name: st.tuples(st.just(name), st.sampled_from([*CHOICES[name], "nobody"])))
    )
    tags = st.tuples(st.sampled_from(TAGS), st.sampled_from(["search", "chat", "1", "2", "", "y=z", "earch"]))
    status = st.tuples(st.just("status"), st.sampled_from(["200", "402", "502", "0"]))
    return st.one_of(plain, tags, status)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    by=st.lists(st.sampled_from(GROUPABLE), max_size=4, unique=True),
    interval=st.sampled_from([None, None, *spend.INTERVALS]),
    where=st.lists(condition(), max_size=3),
    window=st.tuples(st.none() | st.integers(-5, COUNT + 5), st.none() | st.integers(-5, COUNT + 5)),
)
def test_sums_equal_an_independent_sum(
    ledger: Ledger,
    by: list[str],
    interval: str | None,
    where: list[tuple[str, str]],
    window: tuple[int | None, int | None],
) -> None:
    since, until = (None if at is None else START_US + at * STEP_US for at in window)
    wanted: dict[str, set[str]] = defaultdict(set)
    for name, value in where:
        wanted[name].add(value)
    chosen = [
        event
        for event in EVENTS
        if (since is None or event["started_us"] >= since)
        and (until is None or event["started_us"] < until)
        and all(
            str(value_of(event, name)) in values and value_of(event, name) is not None
            for name, values in wanted.items()
        )
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    if by or interval:
        for event in chosen:
            time = (bucket_of(event, interval),) if interval else ()
            groups[(*time, *(value_of(event, name) for name in by))].append(event)
    which = Filter(since, until, conditions(f"{name}={value}" for name, value in where))
    with ledger.cursor() as cursor:
        found = spend.spend(cursor, attributes(",".join(by)), interval, which)
    assert dict(found.total) == add_up(chosen)
    assert {tuple(group.labels.values()): dict(group.sums) for group in found.groups} == {
        key: add_up(events) for key, events in groups.items()
    }
    for group in found.groups:
        assert list(group.labels) == [*(["time"] if interval else []), *by]
    costs = [group.sums["cost"] for group in found.groups]
    assert interval is not None or costs == sorted(costs, reverse=True)


def test_sums_beyond_64_bits_are_exact(tmp_path_factory: pytest.TempPathFactory) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("big") / "ledger.duckdb")
    ledger.open()
    big = columns(300, seed=8, big=True)
    ledger.inserts.add(big, {"a": 300})
    with ledger.cursor() as cursor:
        found = spend.spend(cursor, attributes("team"))
    assert found.total["cost"] == sum(big["cost_nano"]) > 2**63
    assert found.total["saved"] == sum(big["saved_nano"]) > 2**63
    ledger.close()


def test_too_many_groups_are_cut_visibly_and_the_total_is_of_all(ledger: Ledger) -> None:
    with ledger.cursor() as cursor:
        found = spend.spend(cursor, attributes("key,model,user,session"), limit=5)
        whole = spend.spend(cursor, attributes("key,model,user,session"))
    assert found.truncated
    assert not whole.truncated
    assert [group.labels for group in found.groups] == [group.labels for group in whole.groups][:5]
    assert found.total == whole.total == add_up(EVENTS)


def test_every_number_of_the_journal_is_summed_or_known_not_to_be() -> None:
    unsummed = {"started_us", "duration_us", "upstream_us", "ttft_us", "overhead_us", "attempts", "hold_nano"}
    unsummed |= {"similarity_e4", "cache_age_s"}
    units = ("tokens", "searches", "audio_us", "characters")
    assert {name for name in EVENT_NUMBERS if name.endswith(units)} == set(spend.TOKENS)
    assert set(EVENT_NUMBERS) - unsummed - set(spend.TOKENS) == {"cost_nano", "saved_nano", "overrun_nano"}
