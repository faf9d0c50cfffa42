"""What the settings of the exact cache come to, wherever they stand, and who shares answers in which scope."""

import hashlib
from dataclasses import astuple
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastgate.config.documents import read_document
from fastgate.config.variables import Variables
from fastgate.control.compile import compile_snapshot
from fastgate.gateway.cache_plan import Member, cache_of
from fastgate.wire.snapshot import KeyRecord, OwnerRecord, SnapshotHead, owner_digest

DEFAULTS = {
    "exact": False, "ttl_seconds": 3600, "scope": "key", "max_temperature": None, "tools": True, "client_control": True,
    "replay_ms": 0, "single_flight": False,
}  # fmt: skip
SCOPES = ("key", "team", "customer", "global")
WISH = st.fixed_dictionaries(
    {},
    optional={
        "exact": st.booleans(),
        "ttl_seconds": st.integers(1, 2_592_000),
        "scope": st.sampled_from(SCOPES),
        "max_temperature": st.floats(0, 2, width=16),
        "tools": st.booleans(),
        "client_control": st.booleans(),
        "replay_ms": st.integers(0, 1000),
        "single_flight": st.booleans(),
    },
)
Wish = dict[str, Any]
SECRET = "sk-fg-12345678"
DIGEST = hashlib.sha256(SECRET.encode()).digest()


def read_by_workers(everybody: Wish, model: Wish, team: Wish, key: Wish) -> tuple[SnapshotHead, Member]:
    """What a worker has of a file with these wishes: its snapshot's head, and the key with its owners."""
    document = {
        "providers": {"sim": {"type": "sim", "base_url": "http://127.0.0.1:9"}},
        "models": {"smart": {"targets": [{"provider": "sim", "model": "sim-small"}], "cache": model}},
        "cache": {"exact": {"enabled" if name == "exact" else name: value for name, value in everybody.items()}},
        "customers": [{"id": "acme"}],
        "teams": [{"id": "platform", "customer": "acme", "cache": team}],
        "keys": [{"id": "ide", "team": "platform", "secret": SECRET, "cache": key}],
    }
    config = read_document(yaml.safe_dump(document), "fastgate.yaml", Variables({}, Path())).config
    compiled = compile_snapshot(config, 1)
    records = dict(compiled.records())
    team_record, customer = (
        msgspec.msgpack.decode(records[owner_digest(name)], type=OwnerRecord)
        for name in ("team:platform", "customer:acme")
    )
    key_record = msgspec.msgpack.decode(records[DIGEST], type=KeyRecord)
    head = msgspec.msgpack.decode(msgspec.msgpack.encode(compiled.head), type=SnapshotHead)
    return head, Member(DIGEST, key_record, team_record, customer)


@settings(max_examples=80, deadline=None)
@given(WISH, WISH, WISH, WISH)
@example({}, {}, {}, {})
@example({"exact": True}, {}, {}, {})
@example({"exact": True}, {"exact": True}, {"exact": True}, {"exact": False})
@example({"max_temperature": 0.0}, {"max_temperature": 1.0}, {"tools": False}, {"exact": True, "max_temperature": 2.0})
def test_each_setting_is_of_the_narrowest_that_says_it(everybody: Wish, model: Wish, team: Wish, key: Wish) -> None:
    head, member = read_by_workers(everybody, model, team, key)
    somebody = any(each.get("exact") for each in (everybody, model, team, key))
    assert head.cache_mb == (256 if somebody else 0)
    for name, wishes in (("smart", (everybody, model, team, key)), ("sim/sim-small", (everybody, team, key))):
        said = dict(DEFAULTS)
        for wish in wishes:
            said.update(wish)
        plan = cache_of(head, name, member)
        assert (plan is not None) == said["exact"]
        if plan is not None:
            _, ttl_ms, *rest = astuple(plan)
            assert ttl_ms == said["ttl_seconds"] * 1000
            names = ("max_temperature", "tools", "client_control", "replay_ms", "single_flight")
            assert rest == [*(said[name] for name in names), True, None, 0, ""]
            assert plan.tenant == member.tenant(said["scope"])


BIRTHS = st.integers(0, 2)
OWNERS = st.builds(lambda born: OwnerRecord(born=born), BIRTHS)
KEYS = st.builds(
    lambda id_, team, born: KeyRecord(id_, team, born=born),
    st.sampled_from("ab"),
    st.sampled_from(["", "a", "b"]),
    BIRTHS,
)
TEAMS = st.builds(
    lambda customer, born: OwnerRecord(customer=customer, born=born), st.sampled_from(["", "a", "b"]), BIRTHS
)
NOBODY = OwnerRecord()


@st.composite
def members(draw: st.DrawFn) -> Member:
    """A key whose team and customer are records only where it has them, as in a worker."""
    key = draw(KEYS)
    team = draw(TEAMS) if key.team else NOBODY
    customer = draw(OWNERS) if team.customer else NOBODY
    return Member(draw(st.sampled_from([b"1" * 32, b"2" * 32])), key, team, customer)


def sharers(member: Member, scope: str) -> tuple[object, ...]:
    """Who shares with it, in other words than the code's."""
    key, team, customer = member.key, member.team, member.customer
    groups = {
        "global": ("global",),
        "customer": ("customer", team.customer, customer.born) if team.customer else None,
        "team": ("team", key.team, team.born, team.customer, customer.born) if key.team else None,
        "key": ("key", key.id, key.born, b"" if key.born else member.digest),
    }
    narrowing = {"global": ["global"], "customer": ["customer", "team", "key"], "team": ["team", "key"], "key": ["key"]}
    return next(group for name in narrowing[scope] if (group := groups[name]) is not None)


@settings(max_examples=1000)
@given(members(), members(), st.sampled_from(SCOPES), st.sampled_from(SCOPES))
def test_two_share_answers_only_as_members_of_the_same_group(
    one: Member, other: Member, scope: str, another: str
) -> None:
    same = sharers(one, scope) == sharers(other, another)
    assert (one.tenant(scope) == other.tenant(another)) == same
    assert len(one.tenant(scope)) == 16


@given(members())
def test_nobody_shares_with_more_than_the_scope_says(member: Member) -> None:
    stranger = Member(b"3" * 32, KeyRecord("stranger", "c"), OwnerRecord(customer="c"), NOBODY)
    for scope in ("key", "team", "customer"):
        assert stranger.tenant(scope) not in {member.tenant(each) for each in SCOPES}
