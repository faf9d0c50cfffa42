"""The exact cache's settings from file to worker: identities that come again, records of before, what `check` tells."""

from pathlib import Path

import msgspec
import pytest

from fastgate.config.documents import read_document
from fastgate.config.owners_check import digest_of
from fastgate.config.variables import Variables
from fastgate.control.check import check, notes, warnings
from fastgate.control.compile import compile_snapshot, key_record
from fastgate.gateway.cache_plan import CachePlan, Member, cache_of
from fastgate.wire.caching import CacheRecord, tenant_of
from fastgate.wire.snapshot import KeyRecord, ModelRecord, OwnerRecord, SnapshotHead, Unpriced

PROVIDERS = "providers: {sim: {type: sim, base_url: 'http://127.0.0.1:9'}}\n"
NOBODY = OwnerRecord()


def member_of(text: str) -> Member:
    """The one key of a file."""
    [key] = read_document(PROVIDERS + text, "fastgate.yaml", Variables({}, Path())).config.keys
    return Member(digest_of(key), msgspec.msgpack.decode(key_record(key), type=KeyRecord), NOBODY, NOBODY)


def test_a_key_of_the_file_is_who_has_its_secret() -> None:
    first = member_of("keys: [{id: ide, secret: sk-fg-first-secret}]")
    again = member_of("keys: [{id: ide, secret: sk-fg-first-secret, tags: {a: b}}]")
    other = member_of("keys: [{id: ide, secret: sk-fg-other-secret}]")
    assert first.tenant("key") == again.tenant("key") != other.tenant("key")


def test_a_key_of_the_api_is_who_was_created_then_whatever_its_secrets() -> None:
    made = KeyRecord("ide", born=1_790_000_000_000_000)
    rotated, anew = made, msgspec.structs.replace(made, born=made.born + 1)
    tenants = [
        Member(bytes([digest]) * 32, key, NOBODY, NOBODY).tenant("key")
        for digest, key in enumerate((made, rotated, anew))
    ]
    assert tenants[0] == tenants[1] != tenants[2]


def test_a_team_that_goes_over_to_another_customer_leaves_its_answers_behind() -> None:
    key = KeyRecord("ide", "platform")
    before, after = (
        Member(bytes(32), key, OwnerRecord(customer=customer), NOBODY).tenant("team") for customer in ("acme", "other")
    )
    assert before != after


def test_identities_do_not_run_into_each_other() -> None:
    assert len({tenant_of("team", "ab", "c"), tenant_of("team", "a", "bc"), tenant_of("teama", "b", "c")}) == 3
    assert tenant_of("key", "a", 1) != tenant_of("key", "a", "1") != tenant_of("key", "a", b"1")


def test_a_tenant_is_the_same_in_every_process_and_version() -> None:
    assert tenant_of("team", "platform", 7, "acme", 0).hex() == "598b00b2393457872c30dcf2771f7e7a"


def test_records_of_before_there_was_a_cache_are_read() -> None:
    key = msgspec.msgpack.encode(["ide", "", 0, [], None, [], {}, int(Unpriced.DEFAULT), "", [], [], {}, {}, {}])
    record = msgspec.msgpack.decode(key, type=KeyRecord)
    assert (record.cache, record.born) == (None, 0)
    owner = msgspec.msgpack.decode(msgspec.msgpack.encode([[], "acme", "prod", []]), type=OwnerRecord)
    assert (owner.cache, owner.born) == (None, 0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(["smart", []]), type=ModelRecord).cache is None
    head = msgspec.msgpack.decode(msgspec.msgpack.encode([7, 1, 2, 3, 4, 5, [], {}, []]), type=SnapshotHead)
    assert cache_of(head, "smart", Member(bytes(32), KeyRecord("ide", cache=CacheRecord(True)), NOBODY, NOBODY)) is None


EMBEDDER = "embedder: {type: onnx, model: ./embedder}"


def plan_of(file: str, model: str = "sim/sim-small") -> CachePlan | None:
    """Of the one key of a file, which has no team."""
    config = read_document(PROVIDERS + file, "fastgate.yaml", Variables({}, Path())).config
    return cache_of(compile_snapshot(config, 1).head, model, member_of(file))


def test_the_semantic_cache_is_for_whom_it_is_wanted_with_the_exact_one_or_without() -> None:
    key = "keys: [{id: ide, secret: sk-fg-12345678, cache: %s}]"
    everybody = f"cache: {{semantic: {{enabled: true, scope: global, {EMBEDDER}, deadline_ms: 7}}}}\n"
    plan = plan_of(everybody + key % "null")
    assert plan is not None
    assert (plan.exact, plan.meaning, plan.deadline_ms) == (False, tenant_of("global"), 7)
    assert plan.sharers == "global"
    assert plan_of(everybody + key % "{semantic: false}") is None
    both = plan_of(everybody + key % "{exact: true, scope: key}")
    assert both is not None
    assert both.exact
    assert both.meaning == both.tenant != tenant_of("global")
    only = plan_of(everybody + key % "{exact: true, semantic: false}")
    assert only is not None
    assert (only.exact, only.meaning) == (True, None)
    wanted = f"cache: {{semantic: {{{EMBEDDER}}}}}\n"
    assert plan_of(wanted + key % "null") is None
    own = plan_of(wanted + key % "{semantic: true}")
    assert own is not None
    assert own.meaning == own.tenant
    assert own.sharers == "key:ide"


@pytest.mark.parametrize(
    ("scope", "team", "customer", "name"),
    [
        ("key", "blue", "acme", "key:ide"), ("team", "blue", "", "team:blue"), ("team", "", "", "key:ide"),
        ("customer", "blue", "acme", "customer:acme"), ("customer", "blue", "", "team:blue"),
        ("customer", "", "", "key:ide"), ("global", "blue", "acme", "global"),
    ],
)  # fmt: skip
def test_who_shares_is_named_as_narrow_as_it_is(scope: str, team: str, customer: str, name: str) -> None:
    member = Member(bytes(32), KeyRecord("ide", team), OwnerRecord(customer=customer), OwnerRecord())
    assert member.sharers(scope) == name
    others = [Member(bytes(32), KeyRecord(id_, team), member.team, NOBODY) for id_ in ("ide", "other")]
    shared = others[0].tenant(scope) == others[1].tenant(scope)
    assert shared == (others[0].sharers(scope) == others[1].sharers(scope))


def test_what_is_no_question_has_nothing_to_do_with_the_semantic_cache() -> None:
    everybody = f"cache: {{exact: {{max_mb: 8}}, semantic: {{enabled: true, {EMBEDDER}}}}}\n"
    for wish, exact in (("{exact: true, semantic: true}", True), ("{semantic: true}", False)):
        file = f"{everybody}keys: [{{id: ide, secret: sk-fg-12345678, cache: {wish}}}]"
        config = read_document(PROVIDERS + file, "fastgate.yaml", Variables({}, Path())).config
        head, member = compile_snapshot(config, 1).head, member_of(file)
        plan = cache_of(head, "sim/sim-embedding", member, means=False)
        assert (plan is not None) == exact
        assert plan is None or (plan.exact, plan.meaning) == (True, None)
        asked = cache_of(head, "sim/sim-small", member)
        assert asked is not None
        assert asked.meaning is not None


def test_what_holds_for_everybody_is_whole() -> None:
    config = read_document(
        PROVIDERS + "cache: {exact: {enabled: true, max_mb: 8, ttl_seconds: 60, max_temperature: 0.5}}",
        "fastgate.yaml",
        Variables({}, Path()),
    ).config
    head = compile_snapshot(config, 1).head
    member = Member(bytes(32), KeyRecord("ide"), NOBODY, NOBODY)
    assert head.cache_mb == 8
    assert cache_of(head, "sim/sim-small", member) == CachePlan(
        tenant=member.tenant("key"),
        ttl_ms=60_000,
        max_temperature=0.5,
        tools=True,
        client_control=True,
        replay_ms=0,
        single_flight=False,
    )
    assert compile_snapshot(config, 1).head.cache == head.cache


def test_objects_beside_the_file_make_room_too() -> None:
    config = read_document(PROVIDERS, "fastgate.yaml", Variables({}, Path())).config
    assert [compile_snapshot(config, 1, cached=cached).head.cache_mb for cached in (False, True)] == [0, 256]


@pytest.mark.parametrize(
    ("exact", "more", "told"),
    [
        ("{enabled: true}", "", []),
        ("{scope: team}", "", []),
        ("{enabled: true, scope: global}", "", []),
        ("{enabled: true, scope: team}", "", ["team alone"]),
        ("{enabled: true, scope: customer}", "", ["customer alone, within"]),
        ("{scope: customer}", ", cache: {exact: true}", ["customer within"]),
        ("{enabled: true, scope: customer}", ", cache: {exact: false}", ["customer alone"]),
        ("{enabled: true, scope: customer}", ", cache: {scope: team}", ["customer alone"]),
    ],
)
def test_check_tells_which_keys_share_with_fewer(tmp_path: Path, exact: str, more: str, told: list[str]) -> None:
    path = tmp_path / "fastgate.yaml"
    path.write_text(
        f"{PROVIDERS}cache: {{exact: {exact}}}\ncustomers: [{{id: acme}}]\n"
        f"teams: [{{id: free{more}}}, {{id: bound, customer: acme}}]\n"
        "keys:\n"
        "  - {id: alone, secret: sk-fg-12345678}\n"
        "  - {id: within, team: free, secret: sk-fg-23456789}\n"
        "  - {id: whole, team: bound, secret: sk-fg-34567890}\n"
    )
    assert check(path, {}) == []
    said = [line.removeprefix("cache: the scope is ") for line in warnings(path, {})]
    assert [line.partition(": answers")[0].replace(", and there is none for", "") for line in said] == told


def test_many_keys_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    keys = "".join(f"  - {{id: k{number}, secret: sk-fg-1234567{number}}}\n" for number in range(8))
    path.write_text(f"{PROVIDERS}cache: {{exact: {{enabled: true, scope: team}}}}\nkeys:\n{keys}")
    [line] = warnings(path, {})
    assert "k0, k1, k2, k3, k4 and 3 more:" in line


def test_check_tells_what_the_cache_will_do_for_whom(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    keys = (
        "keys:\n"
        "  - {id: own, secret: sk-fg-12345678, cache: {exact: true, ttl_seconds: 60}}\n"
        "  - {id: a, team: kept, secret: sk-fg-23456789}\n"
        "  - {id: b, team: kept, secret: sk-fg-34567890}\n"
        "  - {id: out, team: kept, secret: sk-fg-45678901, cache: {exact: false}}\n"
        "  - {id: mute, secret: sk-fg-56789012, cache: {ttl_seconds: 5}}\n"
    )
    teams = "teams: [{id: kept, cache: {exact: true, scope: team}}]\n"
    path.write_text(f"{PROVIDERS}{teams}{keys}cache: {{exact: {{max_mb: 32}}}}\n")
    assert [line.removeprefix("cache: ") for line in notes(path, {})] == [
        "answers to own are kept for 60 s, scope key",
        "answers to a, b are kept for 3600 s, scope team",
        "32 MB of memory, and 3 % on top, are taken for all answers together",
    ]
    path.write_text(f"{PROVIDERS}{keys.replace('team: kept, ', '')}cache: {{exact: {{enabled: true}}}}\n")
    said = list(notes(path, {}))
    assert "cache: answers to a, b are kept for 3600 s, scope key" in said
    assert "cache: answers to mute are kept for 5 s, scope key" in said
    assert any("keys of the admin API" in line for line in said)
    path.write_text(f"{PROVIDERS}keys: [{{id: none, secret: sk-fg-12345678, cache: {{ttl_seconds: 5}}}}]\n")
    assert list(notes(path, {})) == []


def said_of(tmp_path: Path, file: str, *, noted: bool = False) -> list[str]:
    path = tmp_path / "fastgate.yaml"
    path.write_text(PROVIDERS + file)
    assert check(path, {}) == []
    said = list((notes if noted else warnings)(path, {}))
    return [line for line in said if not line.startswith("cache.semantic.embedder:")]  # its files are not here


SEMANTIC = f"cache: {{semantic: {{{EMBEDDER}}}}}\n"
NOTHING_WANTED = "does nothing: no cache is wanted for them (exact: true, or semantic: true)"
FLIGHT = "does nothing: it is of the exact cache (exact: true)"


@pytest.mark.parametrize(
    ("everybody", "wish", "told"),
    [
        ("", "{ttl_seconds: 5, single_flight: true}", f"keys: cache of ide {NOTHING_WANTED}"),
        ("", "{exact: false, ttl_seconds: 5}", f"keys: cache of ide {NOTHING_WANTED}"),
        ("", "{exact: false}", ""),
        ("", "{exact: true, ttl_seconds: 5, single_flight: true}", ""),
        ("cache: {exact: {enabled: true}}\n", "{ttl_seconds: 5, single_flight: true}", ""),
        ("teams: [{id: t, cache: {exact: true}}]\n", "{ttl_seconds: 5}", ""),
        ("models: {m: {targets: [{provider: sim, model: a}], cache: {exact: true}}}\n", "{ttl_seconds: 5}", ""),
        (SEMANTIC, "{ttl_seconds: 5}", f"keys: cache of ide {NOTHING_WANTED}"),
        (SEMANTIC, "{semantic: true, ttl_seconds: 5}", ""),
        (SEMANTIC, "{semantic: true, single_flight: true}", f"keys: cache.single_flight of ide {FLIGHT}"),
        (SEMANTIC, "{exact: true, semantic: true, single_flight: true}", ""),
    ],
)
def test_check_warns_of_wishes_that_do_nothing(tmp_path: Path, everybody: str, wish: str, told: str) -> None:
    team = "team: t, " if "teams" in everybody else ""
    key = f"keys: [{{id: ide, {team}secret: sk-fg-12345678, unpriced: allow, cache: {wish}}}]\n"
    said = [line for line in said_of(tmp_path, everybody + key) if "nothing prices" not in line]
    assert said == ([told] if told else [])


def test_check_warns_of_wishes_of_teams_and_models_that_do_nothing(tmp_path: Path) -> None:
    things = (
        "models: {m: {targets: [{provider: sim, model: sim-small}], cache: {ttl_seconds: 5}}}\n"
        "teams: [{id: t, cache: {single_flight: true}}]\n"
    )
    assert said_of(tmp_path, things) == [
        "teams, models: cache of t, m does nothing: nobody wants a cache (exact: true, or semantic: true)"
    ]
    key = "keys: [{id: ide, secret: sk-fg-12345678, cache: {%s: true}}]\n"
    assert said_of(tmp_path, things + key % "exact") == []
    assert said_of(tmp_path, things + SEMANTIC + key % "semantic") == [
        "cache: single_flight of t does nothing: nobody wants the exact cache (exact: true)"
    ]


def test_check_warns_of_a_store_with_less_than_workers_fill(tmp_path: Path) -> None:
    sized = "server: {workers: 2}\ncache: {exact: {enabled: %s, max_mb: %d}}\n"
    for size in (1, 2):
        [line] = said_of(tmp_path, sized % ("true", size))
        assert line.startswith(f"cache.exact.max_mb: each worker fills one MiB at a time, and {size} for 2 workers are")
    assert said_of(tmp_path, sized % ("true", 3)) == said_of(tmp_path, sized % ("false", 1)) == []


def test_check_tells_what_the_semantic_cache_will_do_for_whom(tmp_path: Path) -> None:
    file = (
        "models: {m: {targets: [{provider: sim, model: sim-small}], cache: {semantic: true}}}\n"
        "teams: [{id: t, cache: {semantic: true, scope: team}}]\n"
        "keys:\n"
        "  - {id: own, secret: sk-fg-12345678, cache: {semantic: true, ttl_seconds: 60}}\n"
        "  - {id: a, team: t, secret: sk-fg-23456789}\n"
        "  - {id: out, team: t, secret: sk-fg-34567890, cache: {semantic: false}}\n"
    )
    given = "given to questions that mean the same, too"
    assert said_of(tmp_path, file + SEMANTIC, noted=True) == [
        f"cache.semantic: answers to own are {given}, for 60 s, scope key",
        f"cache.semantic: answers to a are {given}, for 3600 s, scope team",
        f"cache.semantic: answers of m are {given}, where neither key nor team says otherwise",
    ]
    everybody = f"cache: {{semantic: {{{EMBEDDER}, enabled: true, shadow: true, scope: global}}}}\n"
    said = said_of(tmp_path, file + everybody, noted=True)
    assert said[2].startswith("cache.semantic: answers to keys of the admin API are compared with those to questions")
    assert said[2].endswith("and not given (shadow), for 3600 s, scope global, where they say nothing else")
    key = "keys: [{id: alone, secret: sk-fg-12345678}]\n"
    [warning] = said_of(tmp_path, key + everybody.replace("global", "team"))
    assert warning.startswith("cache: the scope is team, and there is none for alone:")


def test_check_tells_who_judges_and_who_pays(tmp_path: Path) -> None:
    path = tmp_path / "fastgate.yaml"
    keys = "keys: [{id: ide, secret: sk-fg-12345678}, {id: judge, secret: sk-fg-23456789}]\n"
    judge = "judge: {base_url: 'http://127.0.0.1:8080/v1', model: sim/sim-small, key: %s}"
    for secret, paid in (("sk-fg-23456789", "; its calls are those of the key judge"), ("sk-fg-of-another", "")):
        path.write_text(f"{PROVIDERS}{keys}cache: {{semantic: {{{EMBEDDER}, {judge % secret}}}}}\n")
        (line,) = notes(path, {})
        assert line.endswith(f" are sent to sim/sim-small at http://127.0.0.1:8080/v1{paid}")
        assert secret not in line
