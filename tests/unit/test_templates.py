"""Budgets of templates: what they are called, what a key's record says of them, and how many there may be."""

from pathlib import Path
from urllib.parse import quote, unquote

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastgate._core.arena import Arena
from fastgate.budgets.hierarchy import templates_of
from fastgate.budgets.limits import is_limit, limit_templates_of
from fastgate.budgets.templates import (
    HASHED,
    LONGEST_OWNER,
    MOST_VALUES,
    called,
    made_of,
    owner_in,
    owner_of,
    said,
    template_owner,
)
from fastgate.config.owners import Budget, Every, Key, Limit, Template
from fastgate.config.templates_check import LONGEST_TAGGED
from fastgate.control.compile import key_record
from fastgate.gateway.attribution import clean
from fastgate.wire.snapshot import KeyRecord, Unpriced

NAMES = ("user", "session", "model", "environment", "tag:project")
LONGEST_ID = 160
MANY = tuple(f"provider/model-{number}" for number in range(9))
DAY = Budget(limit_usd=20 * 10**9, window="day")


def key(*names: str, id_: str = "ide", budget: Budget = DAY) -> Key:
    return Key(id=id_, trusted_identity=True, each={name: Template(budgets=(budget,)) for name in names})


@given(st.sampled_from(NAMES), st.text().map(clean))
@example("user", "")
@example("user", "-")
@example("user", "*")
@example("user", "#0123456789abcdef0123456789abcdef")
@example("user", "..")
@example("user", "a/b%2Fc")
@example("user", "ä" * 64)
def test_a_value_has_one_owner_that_an_address_can_name(name: str, value: str) -> None:
    [template] = templates_of(key(name))[name]
    budget = made_of(template, value)
    assert len(budget.id.encode()) <= LONGEST_ID
    assert budget.owner == owner_of(template.owner, value)
    assert budget.level == name.partition(":")[0]
    assert called([template], budget.id) == budget
    segments = unquote(quote(budget.id)).split("/")
    assert len(segments) == 4
    assert not {"", ".", ".."}.intersection(segments)
    of, which, known = said(budget.owner)
    assert (of, which) == ("ide", name)
    assert known == value or (known is None and len(value.encode()) > 64)


@given(st.lists(st.text().map(clean), unique=True))
def test_no_two_values_share_a_budget(values: list[str]) -> None:
    owners = {owner_of(template_owner("ide", "user"), value) for value in values}
    assert len(owners) == len(values)
    assert template_owner("ide", "user") not in owners


def test_names_are_as_people_write_them() -> None:
    assert owner_of(template_owner("ide", "user"), "alice@example.com") == "user:ide/alice@example.com"
    assert owner_of(template_owner("ide", "tag:project"), "apollo") == "tag:ide/project=apollo"
    assert owner_of(template_owner("ide", "session"), "") == "session:ide/-"
    assert owner_of(template_owner("ide", "model"), "meta/llama") == "model:ide/meta%2Fllama"
    assert owner_of(template_owner("ide", "user"), "x" * 128).startswith("user:ide/#")


@pytest.mark.parametrize("name", NAMES)
def test_the_longest_id_fits_into_a_cell(name: str) -> None:
    budget = Budget(limit_usd=1, window=Every(every=10_000, unit="minute"), name="n" * 32)
    tagged = name.startswith("tag:")
    name = f"tag:{'t' * 32}" if tagged else name
    id_ = "k" * (LONGEST_TAGGED - 32 if tagged else 64)
    [template] = templates_of(key(name, id_=id_, budget=budget))[name]
    assert len(template.owner) - 1 + HASHED <= LONGEST_OWNER
    for value in ("", "v" * 30, "v" * 128, "ü" * 64):
        assert len(made_of(template, value).id.encode()) <= LONGEST_ID


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("models", [(), ("smart", "a/b"), MANY, MANY[:-1]])
def test_a_limit_of_a_template_fits_and_is_found_again(name: str, models: tuple[str, ...]) -> None:
    limit = Limit(output_tokens=1, window=Every(every=10_000, unit="second"), models=models)
    ide = Key(id="ide", trusted_identity=True, each={name: Template(limits=(limit,))})
    [template] = limit_templates_of(ide)[name]
    assert is_limit(template.id)
    for value in ("", "limit", "a/b", "v" * 128, "ü" * 64):
        found = made_of(template, value)
        assert len(found.id.encode()) <= LONGEST_ID
        assert is_limit(found.id)
        assert (found.owner, found.level, found.models) == (owner_of(template.owner, value), template.level, models)
        assert owner_in(found.id) == found.owner
        assert called([template], found.id) == found
        assert called(templates_of(key(name))[name], found.id) is None
    assert called([template], template.id) is None


def test_lists_of_models_that_are_too_long_to_be_written_out_are_told_apart() -> None:
    limits = tuple(Limit(requests=1, window="day", models=models) for models in (MANY, MANY[:-1], MANY[1:]))
    ide = Key(id="ide", trusted_identity=True, each={"user": Template(limits=limits)})
    assert len({template.id for template in limit_templates_of(ide)["user"]}) == 3


def test_a_keys_record_has_its_templates_narrowest_first() -> None:
    record = msgspec.msgpack.decode(key_record(key("model", "user", "tag:b", "session", "tag:a")), type=KeyRecord)
    assert list(record.each) == ["session", "user", "tag:b", "tag:a", "model"]
    [budget] = record.each["user"]
    assert (budget.owner, budget.id, budget.limit) == ("user:ide/*", "user:ide/*/day/default", 20 * 10**9)


def test_a_record_of_before_there_were_templates_is_read() -> None:
    old = msgspec.msgpack.encode(["ide", "platform", 0, [], None, [], {}, int(Unpriced.DEFAULT), "", []])
    record = msgspec.msgpack.decode(old, type=KeyRecord)
    assert (record.each, record.each_limits) == ({}, {})


def test_members_are_counted_once_and_bounded(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    group = arena.cell("user:ide/*/day/default")
    made = [arena.member(f"user:ide/{number}/day/default", group, 3) for number in (1, 2, 1, 3, 4, 2)]
    assert made[0] == made[2]
    assert made[1] == made[5]
    assert made[4] is None
    assert arena.members(group) == 3
    assert arena.find("user:ide/4/day/default") is None
    assert arena.member("user:ide/4/day/default", group, 4) is not None
    with pytest.raises(ValueError, match="160 bytes"):
        arena.member("x" * 161, group, 10)
    assert arena.members(group) == 4
    assert MOST_VALUES == 1_048_576


def test_a_scan_finds_each_cell_once_in_pages(tmp_path: Path) -> None:
    arena = Arena(str(tmp_path / "arena.bin"), True)
    plain = [f"key:k-{number}/day/default" for number in range(10)]
    for id_ in plain:
        arena.cell(id_)
    group = arena.cell("user:ide/*/day/default")
    members = [f"user:{'ide' if number % 2 else 'other'}/{number}/day/default" for number in range(9000)]
    for id_ in members:
        arena.member(id_, group, 10_000)
    assert scanned(arena, 7) == [*plain, "user:ide/*/day/default"]
    assert scanned(arena, 1000, "key:k-3/") == plain[3:4]
    assert scanned(arena, 999, kind=1) == members
    assert scanned(arena, 333, "user:ide/", kind=1) == members[1::2]
    assert scanned(arena, 10, "team:", kind=1) == []
    assert arena.scan(1 << 40, 10) == ([], 0)


def scanned(arena: Arena, most: int, prefix: str = "", *, kind: int = 0) -> list[str]:
    found, place = [], 0
    while True:
        cells, place = arena.scan(place, most, prefix, kind)
        found += [id_ for _, id_ in cells]
        assert all(arena.find(id_) == cell for cell, id_ in cells)
        if not place:
            return found
