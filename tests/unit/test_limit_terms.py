"""What limits are called, in which order they are held, and how their standing is said."""

import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from fastgate._core.arena import Arena
from fastgate.budgets.leases.messages import Elsewhere
from fastgate.budgets.levels import rules_of
from fastgate.budgets.limits import is_limit, limit_id, limit_record
from fastgate.config.owners import Every, Limit
from fastgate.dialects.anthropic import ANTHROPIC
from fastgate.dialects.base import duration
from fastgate.dialects.openai_chat import OPENAI_CHAT
from fastgate.gateway.binding import Binding
from fastgate.gateway.limits import caps_output, gauges_of, is_per_request, over_limit
from fastgate.wire.failure import Failure, instant
from fastgate.wire.leasing import Withheld
from fastgate.wire.snapshot import BudgetRecord, Counted, KeyRecord, LimitRecord, OwnerRecord, Window

MILLISECOND = 1_000_000
BUDGET = BudgetRecord(5, Window.DAY, 1, "key", "key:ide", "key:ide/day/default")
NOW = 1_790_000_000 * 1000 * MILLISECOND
LONG = tuple(f"provider/model-number-{number}" for number in range(9))


@pytest.mark.parametrize(
    ("owner", "limit", "id_"),
    [
        ("key:ide", Limit(requests=1, window="second"), "key:ide/limit/requests/second"),
        ("key:ide", Limit(requests=9, window=Every(every=1, unit="second")), "key:ide/limit/requests/second"),
        ("team:a", Limit(input_tokens=1, window=Every(every=3, unit="hour")), "team:a/limit/input_tokens/3-hour"),
        ("team:a", Limit(concurrent=1), "team:a/limit/concurrent"),
        ("team:a", Limit(concurrent=1, models=("gpt-*", "a/b")), "team:a/limit/concurrent/a/b gpt-*"),
        ("team:a", Limit(tokens=1, window="day", models=("x", "*")), "team:a/limit/tokens/day"),
        ("provider:ide/limit", Limit(tokens=1, window="day"), "provider:ide/limit/limit/tokens/day"),
        ("user:ide/*", Limit(requests=1, window="day", models=("a/b",)), "user:ide/*/limit/requests/day/a/b"),
        ("tag:limit/p=*", Limit(concurrent=1), "tag:limit/p=*/limit/concurrent"),
    ],
)
def test_a_limit_is_known_by_all_but_its_number(owner: str, limit: Limit, id_: str) -> None:
    assert limit_id(owner, limit) == id_
    assert is_limit(id_)


def test_an_id_that_would_be_too_long_has_a_digest_of_the_models() -> None:
    owner = f"provider:{'k' * 64}/{'p' * 32}"
    ids = {
        limit_id(owner, Limit(output_tokens=1, window=Every(every=10_000, unit="second"), models=LONG[:n]))
        for n in (8, 9)
    }
    assert len(ids) == 2
    assert all(len(id_) <= 160 and is_limit(id_) for id_ in ids)


@pytest.mark.parametrize(
    "id_",
    [
        "key:limit/day/limit",
        "provider:ide/limit/month/default",
        "user:ide/limit/day/limit",
        "team:a/month/default",
        "learned/sim/limit",
    ],
)
def test_other_counters_are_no_limits(id_: str) -> None:
    assert not is_limit(id_)


def record(counted: Counted, limit: int = 5, window: Window = Window.MINUTE) -> LimitRecord:
    return LimitRecord(limit, counted, window, 1, "key", "key:ide", f"key:ide/limit/{counted.name.lower()}/minute")


def test_limits_on_requests_come_first_since_they_bind_what_is_free(tmp_path: Path) -> None:
    limits = [
        record(counted) for counted in (Counted.TOKENS, Counted.REQUESTS, Counted.INPUT_TOKENS, Counted.CONCURRENT)
    ]
    arena = Arena(str(tmp_path / "arena.bin"), True)
    binding = Binding.of(arena, rules_of(arena, [BUDGET, *limits]))
    assert binding.records == (limits[1], limits[3], limits[0], limits[2], BUDGET)
    assert (len(binding.levels), len(binding.free_levels), len(binding.hit_levels)) == (5, 2, 1)
    assert [is_per_request(each) for each in binding.records] == [True, True, False, False, False]
    assert binding.gauges == (("requests", (0,)), ("tokens", (2, 3)), ("input-tokens", (3,)))
    assert gauges_of([record(Counted.CONCURRENT), BUDGET]) == ()
    assert [caps_output(each) for each in binding.records] == [False, False, True, False, True]
    assert not caps_output(replace(BUDGET, soft=True))


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"), (1, "1ms"), (12 * MILLISECOND, "12ms"), (12 * MILLISECOND + 1, "13ms"),
        (999 * MILLISECOND + 1, "1s"), (1234 * MILLISECOND, "1.234s"), (1200 * MILLISECOND, "1.2s"),
        (60_000 * MILLISECOND, "1m0s"), (86_400_000 * MILLISECOND, "24h0m0s"), (3_600_005 * MILLISECOND, "1h0m0.005s"),
    ],
)  # fmt: skip
def test_durations_read_as_openai_s(ns: int, text: str) -> None:
    assert duration(ns) == text


def test_each_dialect_says_what_its_clients_know() -> None:
    reset = NOW + 1234 * MILLISECOND + 1
    assert OPENAI_CHAT.limit_headers("requests", 5, 2, reset, NOW) == [
        ("x-ratelimit-limit-requests", "5"), ("x-ratelimit-remaining-requests", "2"),
        ("x-ratelimit-reset-requests", "1.235s"),
    ]  # fmt: skip
    assert OPENAI_CHAT.limit_headers("input-tokens", 5, 2, reset, NOW) == []
    assert ANTHROPIC.limit_headers("input-tokens", 5, 2, reset, NOW) == [
        ("anthropic-ratelimit-input-tokens-limit", "5"), ("anthropic-ratelimit-input-tokens-remaining", "2"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-09-21T14:13:21.235Z"),
    ]  # fmt: skip


def test_what_can_never_pass_is_not_tried_again() -> None:
    never = over_limit(record(Counted.TOKENS), (5, 0, NOW), 6)
    assert (never.transient, never.retry_after, never.retry_after_ms) == (False, None, None)
    later = over_limit(record(Counted.TOKENS), (5, 3, NOW), 5)
    assert (later.transient, later.retry_after, later.retry_after_ms) == (True, 1, 1), "it has reset meanwhile"
    busy = over_limit(record(Counted.CONCURRENT, window=Window.LIFETIME), (5, 5, 0), 1)
    assert (busy.retry_after, busy.retry_after_ms) == (1, 1000)
    assert busy.message.endswith(
        "allows 5 concurrent requests, of which 5 are taken: it has room again when one of them has ended."
    )


def test_what_other_hosts_have_may_soon_be_there_unless_they_are_gone_for_good() -> None:
    soon = over_limit(record(Counted.TOKENS), (5, 3, NOW), 2, Withheld.LEASED)
    assert (soon.transient, soon.retry_after_ms) == (True, 1000)
    resets_at = time.time_ns() + 30_000 * MILLISECOND
    stranded = over_limit(record(Counted.TOKENS), (5, 3, resets_at), 2, Withheld.STRANDED)
    assert stranded.retry_after == 30, "until then nobody has it"
    assert f"it counts as used. It resets at {instant(resets_at)}." in stranded.message


@pytest.mark.parametrize(
    ("spent", "need", "strands"), [(40, 30, False), (40, 31, True), (60, 10, False), (60, 11, True), (91, 10, False)]
)
def test_what_is_stranded_is_in_the_way_of_what_fits_otherwise(spent: int, need: int, strands: bool) -> None:
    assert Elsewhere(used=9, spent=0, leased=0, stranded=30).strands(100 - spent, need) is strands


@pytest.mark.parametrize(("ms", "seconds", "told"), [(1, 1, 1), (1000, 1, 1000), (1001, 2, 1001), (10**9, 60, 60_000)])
def test_the_wait_is_told_twice_and_never_above_a_minute(ms: int, seconds: int, told: int) -> None:
    failure = Failure.rate_limited(
        level="key", limit="l", allowed="1 request", used=1, need=1, resets_at_ns=NOW, retry_after_ms=ms
    )
    assert (failure.retry_after, failure.retry_after_ms) == (seconds, told)
    _, headers, _ = OPENAI_CHAT.error(failure, "id")
    assert {("retry-after", str(seconds)), ("retry-after-ms", str(told))} <= set(headers)


def test_records_that_were_kept_before_there_were_limits_are_read() -> None:
    key = msgspec.msgpack.decode(msgspec.msgpack.encode(["k", "t", 0, [], None, [], {}, 3, "", []]), type=KeyRecord)
    owner = msgspec.msgpack.decode(msgspec.msgpack.encode([[], "acme", "prod"]), type=OwnerRecord)
    assert (key.limits, key.provider_limits, owner.limits) == ((), {}, ())


def test_a_record_has_what_workers_need() -> None:
    found = limit_record("team:a", Limit(output_tokens=7, window="week", models=("smart",)))
    assert found == LimitRecord(
        7, Counted.OUTPUT_TOKENS, Window.WEEK, 1, "team", "team:a", "team:a/limit/output_tokens/week/smart", ("smart",)
    )
