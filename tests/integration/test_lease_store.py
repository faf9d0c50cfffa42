"""What Redis answers to hosts that lease, message by message."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from fastgate._core.levels import USD
from fastgate.budgets.leases.roll import Roll
from fastgate.budgets.leases.store import LAPSE_MS, QUIET_MS, Forgotten, NameTaken, StoreAway
from tests.support.house import wait_for
from tests.support.lease_lines import ASK, LIMIT, START_MS, Line, two_lines, window_in
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Redis"]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server, server.client() as found:
        yield found


@pytest.fixture
def lines(client: "Redis", request: pytest.FixtureRequest) -> tuple[Line, Line]:
    return two_lines(client, request.node.name)


def test_nothing_is_granted_before_all_that_live_have_had_the_time_to_come(client: "Redis") -> None:
    line = Line(client, "fresh", "here")
    said = line.ask(want=10)
    assert said.learning
    assert said.grants[0].claim == 0
    assert line.claim(want=10, begins_ns=(START_MS + 6000) * 1_000_000) == 10, "of what nobody can have used it is"
    line.later(QUIET_MS)
    assert line.claim(want=10, claim=10) == 20


def test_hosts_get_half_of_their_share_or_what_they_need(lines: tuple[Line, Line]) -> None:
    here, there = lines
    assert here.claim(want=1000) == LIMIT // 2
    assert there.claim(want=1000) == LIMIT // 4
    assert there.claim(claim=25, want=1000, need=25) == 50, "what a request needs is given whole"
    assert here.claim(claim=50, want=1000, need=1) == 50, "there is nothing left"


def test_who_lacks_what_others_do_not_use_has_it_recalled(lines: tuple[Line, Line]) -> None:
    here, there = lines
    assert here.claim(want=100, need=100) == LIMIT
    assert not here.ask(claim=100).grants[0].recalled
    assert there.claim(want=10, need=1) == 0
    assert here.ask(claim=100).grants[0].recalled
    here.ask(claim=20)
    assert there.claim(want=10, need=1) == 10
    here.later(2000)
    assert not here.ask(claim=20).grants[0].recalled, "nobody has lacked for a while"


def test_a_message_that_comes_again_later_changes_nothing(lines: tuple[Line, Line]) -> None:
    here, there = lines
    assert here.claim(want=10) == 10
    assert here.claim(claim=10, want=20) == 30
    with pytest.raises(StoreAway, match="later message"):
        here.store.exchange(here.member, here.sequence - 1, [dataclasses.replace(ASK, claim=0)])
    assert there.claim(want=LIMIT, need=LIMIT - 30) == LIMIT - 30
    assert there.claim(claim=LIMIT - 30, want=LIMIT, need=1) == LIMIT - 30


def test_what_an_answer_granted_that_nobody_heard_returns(lines: tuple[Line, Line]) -> None:
    here, there = lines
    here.ask(want=LIMIT, need=LIMIT)
    assert there.claim(want=10, need=1) == 0
    here.ask(claim=0)
    assert there.claim(want=10, need=1) == 10


def test_a_host_that_joins_again_is_not_heard_as_it_was(lines: tuple[Line, Line]) -> None:
    here, _ = lines
    here.store.join("here", "nonce of here")
    with pytest.raises(StoreAway, match="forgotten"):
        here.ask(want=10)


def test_a_name_belongs_to_one_host_that_lives(lines: tuple[Line, Line]) -> None:
    here, _ = lines
    with pytest.raises(NameTaken):
        here.store.join("here", "another nonce")
    here.later(LAPSE_MS)
    here.store.join("here", "another nonce")


def test_what_a_host_had_before_it_lost_its_counters_stays_taken(lines: tuple[Line, Line]) -> None:
    """Requests may have been open that its ledger does not know, and it may be another host by mistake."""
    here, there = lines
    here.ask(claim=70, used=60)
    here.later(LAPSE_MS)
    there.later(LAPSE_MS)
    here.member, here.sequence = here.store.join("here", "another nonce"), 0
    here.ask(claim=50, used=50)
    assert there.claim(want=31, need=31) == 0
    assert there.claim(want=30, need=30) == 30
    here.ask(claim=40, used=40)
    assert there.claim(claim=30, want=10, need=10) == 40, "from here on it gives back as any other"


def test_it_says_what_others_may_use_and_what_is_stranded(lines: tuple[Line, Line]) -> None:
    here, there = lines
    here.ask(want=60, need=60)
    here.ask(claim=60, used=10, spent=4)
    [told] = there.ask().grants
    assert told.elsewhere == (10, 4, 50, 0)
    here.later(LAPSE_MS)
    there.later(LAPSE_MS)
    here.member, here.sequence = here.store.join("here", "another nonce"), 0
    [told] = here.ask(claim=25, used=25, spent=4).grants
    assert told.elsewhere == (0, 0, 0, 35)
    [told] = there.ask().grants
    assert told.elsewhere == (25, 4, 0, 35)


def test_who_tells_of_a_window_that_was_long_over_disturbs_nobody(client: "Redis", lines: tuple[Line, Line]) -> None:
    """Its clock is hours behind: what was kept of the window it takes for the present one is forgotten."""
    here, there = lines
    [told] = here.ask(want=20, need=20, ends_ns=(START_MS + QUIET_MS) * 1_000_000).grants
    here.later(2 * 3_600_000)
    there.later(2 * 3_600_000)
    there.ask(id="key:k/limit/requests/month")
    [granted] = here.ask(claim=20, want=20, ends_ns=(START_MS + QUIET_MS) * 1_000_000, told=told.told).grants
    assert granted.claim == 20, "no more is granted of it"
    assert not there.ask(id="key:k/limit/requests/month").learning


def test_what_was_spent_is_summed_to_the_nano_dollar(lines: tuple[Line, Line]) -> None:
    here, there = lines
    budget = {"id": "team:t/lifetime/b", "unit": USD, "limit": (1 << 63) - 1}
    most = (1 << 62) + 1
    assert here.ask(**budget, used=most, claim=most, spent=most).grants[0].elsewhere.spent == 0
    [grant] = there.ask(**budget, used=3, claim=3, spent=3).grants
    assert grant.elsewhere.spent == most, "beyond what a floating point number can tell"
    here.ask(**budget, used=1, claim=1, spent=-7)
    assert there.ask(**budget, used=3, claim=3, spent=3).grants[0].elsewhere.spent == -7


def test_what_is_leased_covers_what_is_used_in_whole_quanta(lines: tuple[Line, Line]) -> None:
    here, there = lines
    budget = {"id": "team:t/lifetime/b", "unit": USD, "limit": 10 * 1024 + 1023}
    assert here.claim(**budget, want=1) == 1024
    assert there.claim(**budget, claim=1025, used=1025, want=1 << 20, need=7 * 1024) == 10 * 1024 - 1024
    assert here.claim(**budget, claim=1024, want=1, need=1) == 1024


def test_after_it_forgot_it_waits_for_all_that_others_know(client: "Redis") -> None:
    cluster = "forgetful"
    here, there = (Line(client, cluster, name) for name in ("here", "there"))
    for line in (here, there):
        line.later(QUIET_MS)
        line.ask()
    assert here.claim(want=60, need=60) == 60
    keys = list(client.scan_iter(match=f"fastgate:{{{cluster}}}:*"))
    client.delete(*keys)
    there.join("here", "there")
    there.store.report(there.member)
    there.later(10 * QUIET_MS)
    assert there.ask(want=90, need=90).learning, "the other one has not told yet what it has"
    here.later(10 * QUIET_MS)
    here.join("here", "there")
    here.ask(claim=60)
    here.store.report(here.member)
    assert there.claim(want=90, need=90) == 0
    assert there.claim(want=90, need=30) == 30


@pytest.mark.parametrize("comes_first", ["who knew it", "who did not"])
def test_who_remembers_more_than_is_there_has_all_told_again(client: "Redis", comes_first: str) -> None:
    """Somebody deletes a window: what was granted of it is not granted once more."""
    cluster = f"deleted, {comes_first}"
    here, there = (Line(client, cluster, name) for name in ("here", "there"))
    for line in (here, there):
        line.later(QUIET_MS)
        line.ask()
    [told] = here.ask(want=60, need=60).grants
    [heard] = there.ask(want=10, need=10).grants
    client.delete(window_in(client, cluster))
    if comes_first == "who did not":
        assert there.claim(claim=10) == 10
        with pytest.raises(Forgotten):
            here.ask(claim=60, told=told.told)
    else:
        with pytest.raises(Forgotten):
            there.ask(claim=10, want=40, need=40, told=heard.told)
    for line, has in ((here, told), (there, heard)):
        line.join("here", "there")
        assert line.ask(claim=has.claim, told=has.told, want=40, need=40).learning
        line.store.report(line.member)
    for line in (here, there):
        line.later(3 * QUIET_MS)
    assert there.claim(claim=10, want=40, need=40) == 10, "no more is there than thirty"
    assert there.claim(claim=10, want=30, need=30) == 40


def test_what_hosts_that_are_gone_had_used_is_remembered_by_those_that_saw_it(client: "Redis") -> None:
    cluster = "departed"
    here, there = (Line(client, cluster, name) for name in ("here", "there"))
    for line in (here, there):
        line.later(QUIET_MS)
        line.ask()
    there.ask(claim=70, used=70)
    there.store.leave(there.member)
    [seen] = here.ask().grants
    assert seen.told.seen == 70
    client.delete(*client.scan_iter(match=f"fastgate:{{{cluster}}}:*"))
    here.join("here")
    here.ask(told=seen.told)
    here.store.report(here.member)
    here.later(QUIET_MS)
    assert here.claim(told=seen.told, want=LIMIT, need=1) == 30


@pytest.mark.parametrize(("nonce", "left"), [("nonce of there", 70), ("another", 20)])
def test_nothing_is_gone_where_all_who_claimed_are_back_unless_one_has_lost_its_counters(
    client: "Redis", nonce: str, left: int
) -> None:
    cluster = f"back as {nonce}"
    here, there = (Line(client, cluster, name) for name in ("here", "there"))
    for line in (here, there):
        line.later(QUIET_MS)
        line.ask()
    there.ask(claim=70)
    [seen] = here.ask(claim=10, used=10).grants
    assert seen.told.seen == 80
    there.later(LAPSE_MS)
    forget(client, cluster, here)
    there.member, there.sequence = there.store.join("there", nonce, ["here"]), 0
    there.ask(claim=20, used=20)
    here.ask(claim=10, used=10, told=seen.told)
    for line in (here, there):
        line.store.report(line.member)
        line.later(QUIET_MS)
    assert here.claim(claim=10, used=10, told=seen.told, want=LIMIT, need=left + 1) == 10
    assert here.claim(claim=10, used=10, told=seen.told, want=LIMIT, need=left) == 10 + left


def test_a_server_that_followed_another_one_meanwhile_may_have_forgotten(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    at_once = {"repl-diskless-sync-delay": "0"}
    with ExitStack() as stack:
        one, two = (stack.enter_context(RedisServer(each, more=at_once)) for each in (tmp_path, tmp_path / "other"))
        first, second = (stack.enter_context(server.client()) for server in (one, two))
        line = Line(first, "followers", "here")
        follow(second, one.port)
        second.replicaof("no", "one")
        follow(first, two.port)
        with pytest.raises(StoreAway, match="it is a replica"):
            line.store.join("here", "nonce of here")
        first.replicaof("no", "one")
        before = line.member.epoch
        assert first.exists("fastgate:{followers}:lease:meta"), "what it had before"
        assert line.store.join("here", "nonce of here").epoch != before


def follow(client: "Redis", port: int) -> None:
    """Until it has all that the other one has."""
    client.replicaof("127.0.0.1", port)
    wait_for(lambda: client.info("replication").get("master_link_status") == "up", 20, "it follows")


def forget(client: "Redis", cluster: str, *lines: Line) -> None:
    """All that lies there is gone, and these hosts, who knew each other, join again."""
    client.delete(*client.scan_iter(match=f"fastgate:{{{cluster}}}:*"))
    for line in lines:
        name = line.member.host
        line.member, line.sequence = line.store.join(name, f"nonce of {name}", [each.member.host for each in lines]), 0


def test_the_latest_that_any_of_them_saw_counts_whoever_reports_first(client: "Redis") -> None:
    cluster = "latest"
    here, there, third = (Line(client, cluster, name) for name in ("here", "there", "third"))
    for line in (here, there, third):
        line.later(QUIET_MS)
        line.ask()
    third.ask(claim=30, used=30)
    [old] = here.ask().grants
    third.ask(claim=70, used=70)
    [new] = there.ask().grants
    third.store.leave(third.member)
    forget(client, cluster, here, there)
    for _ in range(5):
        here.ask(told=old.told)
    there.ask(told=new.told)
    for line in (here, there):
        line.store.report(line.member)
        line.later(QUIET_MS)
    assert here.claim(want=LIMIT, need=31) == 0
    assert here.claim(want=LIMIT, need=30) == 30


def test_no_first_use_is_later_than_now_whatever_a_hosts_clock_says(lines: tuple[Line, Line]) -> None:
    here, there = lines
    now_ms = here.store.clock_ms
    assert now_ms is not None
    ahead_ns = (now_ms + 3_600_000) * 1_000_000
    assert here.store.first_uses(["key:k/limit/requests/second"]) == [None]
    assert here.store.first_use(here.member, "key:k/limit/requests/second", ahead_ns) == now_ms * 1_000_000
    assert there.store.first_use(there.member, "key:k/limit/requests/second", ahead_ns + 1) == now_ms * 1_000_000
    there.ask(id="another", first_ns=ahead_ns)  # as of the time when it counted by itself
    assert there.store.first_uses(["key:k/limit/requests/second", "another"]) == [now_ms * 1_000_000, None]


def test_all_count_windows_from_one_first_use_also_after_it_forgot(client: "Redis") -> None:
    cluster, id_ = "first", ASK.id
    here, there = (Line(client, cluster, name) for name in ("here", "there"))
    for line in (here, there):
        line.later(QUIET_MS)
        line.ask(first_ns=0)
    assert here.store.first_use(here.member, id_, 1000) == 1000
    forget(client, cluster, here, there)
    assert there.store.first_use(there.member, id_, 2000) is None, "somebody may count from an earlier one"
    here.ask(first_ns=1000)
    assert there.store.first_use(there.member, id_, 2000) == 1000
    assert there.store.first_use(there.member, "another", 2000) is None
    for line in (here, there):
        line.store.report(line.member)
        line.later(QUIET_MS)
        line.ask()
    assert there.store.first_use(there.member, "another", 2000) == 2000
    client.delete(*client.scan_iter(match=f"fastgate:{{{cluster}}}:*"))
    with pytest.raises(StoreAway, match="forgotten"):
        there.store.first_use(there.member, id_, 3000)


def test_an_operator_can_have_it_wait_no_longer_for_who_is_gone(client: "Redis") -> None:
    cluster = "gone"
    here, there, third = (Line(client, cluster, name) for name in ("here", "there", "third"))
    roll = Roll(lambda: client, cluster)
    forget(client, cluster, here, there, third)
    for line in (here, there):
        line.store.report(line.member)
    here.later(100 * QUIET_MS)
    assert here.ask(want=10).learning
    assert [host.name for host in roll.hosts() if host.awaited] == ["third"]
    roll.forget("there")
    assert here.ask(want=LIMIT).learning, "though as many have reported as were known without the other one"
    roll.forget("third")
    assert here.claim(want=10) == 10
    for name in ("third", "nobody"):
        with pytest.raises(LookupError, match=name):
            roll.forget(name)
