"""From a configuration to what workers read: budgets, prices, names, defaults."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from fastgate._core.price import PriceTable, Usage
from fastgate._core.snapshot import Snapshot
from fastgate.budgets.hierarchy import LEVELS
from fastgate.config import Config, ConfigErrors
from fastgate.config.documents import read_document
from fastgate.config.variables import Variables
from fastgate.control.compile import CompiledSnapshot, compile_snapshot
from fastgate.pricing.catalogue import Catalogue
from fastgate.wire.sealing import Sealer, SealError
from fastgate.wire.snapshot import (
    NO_PRICE,
    KeyRecord,
    OwnerRecord,
    SnapshotHead,
    Unpriced,
    Window,
    credential_owner,
    owner_digest,
)

TEXT = """
server: {max_body_mb: 2, drain_seconds: 1.5}
output_cap: 99
providers:
  openai: {type: openai, keys: [{name: main, value: sk-upstream, models: ["gpt-*"]}]}
  anthropic: {type: anthropic, base_url: "https://proxy.test/claude", keys: [{name: a, value: x}]}
  sim: {type: sim, base_url: "http://127.0.0.1:9000/v1"}
  local:
    type: openai-compatible
    base_url: http://[::1]:9000/v1
    prices: {Tiny-1: {input_usd_per_million: "0.15", output_usd_per_million: "0.60", max_output: 77}}
models:
  smart: {targets: [{provider: anthropic, model: claude-sonnet-4-5, weight: 3}, {provider: local, model: Tiny-1}]}
  odd: {targets: [{provider: local, model: nobody-prices-this}]}
customers:
  - {id: acme, budgets: [{limit_usd: "1000", window: year}]}
  - {id: idle, budgets: [{limit_usd: "1", window: day}]}
teams:
  - {id: platform, customer: acme, environment: prod, budgets: [{limit_usd: "100", window: {every: 3, unit: hour}}]}
keys:
  - id: ide
    team: platform
    secret: sk-fg-ide-secret
    expires: 2027-01-01T00:00:00Z
    models: [smart, "openai/*"]
    budgets: [{limit_usd: "10", window: lifetime, bound: strict}]
    providers: [{provider: anthropic, budgets: [{name: small, limit_usd: "0.5", window: month}]}, {provider: local}]
    tags: {product: ide}
  - {id: free, secret: sk-fg-free-secret, models: ["*"]}
  - id: capped
    secret: sk-fg-capped-secret
    unpriced: {ceiling: {input_usd_per_million: "50", output_usd_per_million: "200"}}
"""


def config_of(text: str = TEXT) -> Config:
    return read_document(text, "fastgate.yaml", Variables({}, Path())).config


@pytest.fixture(scope="module")
def compiled() -> CompiledSnapshot:
    return compile_snapshot(config_of(), 42)


@pytest.fixture
def snapshot(compiled: CompiledSnapshot, tmp_path: Path) -> Snapshot:
    assert compiled.write(tmp_path / "snapshot.bin") == 6
    return Snapshot(tmp_path / "snapshot.bin")


def key(snapshot: Snapshot, secret: str) -> KeyRecord:
    blob = snapshot.find(hashlib.sha256(secret.encode()).digest())
    assert blob is not None
    return msgspec.msgpack.decode(blob, type=KeyRecord)


def owner(snapshot: Snapshot, name: str) -> OwnerRecord:
    blob = snapshot.find(owner_digest(name))
    assert blob is not None
    return msgspec.msgpack.decode(blob, type=OwnerRecord)


def head(snapshot: Snapshot) -> SnapshotHead:
    return msgspec.msgpack.decode(snapshot.head, type=SnapshotHead)


def test_settings_come_in_the_units_of_the_workers(snapshot: Snapshot) -> None:
    found = head(snapshot)
    assert (found.generation, snapshot.generation) == (42, 42)
    assert (found.max_body, found.output_cap, found.drain_ms, found.disconnect_ms) == (2 << 20, 99, 1500, 30_000)


def test_every_record_carries_its_own_budgets(snapshot: Snapshot) -> None:
    record, team, customer = (
        key(snapshot, "sk-fg-ide-secret"),
        owner(snapshot, "team:platform"),
        owner(snapshot, "customer:acme"),
    )
    budgets = record.budgets + team.budgets + customer.budgets
    assert [budget.id for budget in budgets] == [
        "key:ide/lifetime/default", "team:platform/3-hour/default", "customer:acme/year/default",
    ]  # fmt: skip
    assert [budget.level for budget in budgets] == list(LEVELS[1:])
    assert [(budget.window, budget.every) for budget in budgets] == [(0, 1), (Window.HOUR, 3), (Window.YEAR, 1)]
    assert [budget.limit for budget in budgets] == [10 * 10**9, 100 * 10**9, 1000 * 10**9]
    assert [budget.strict for budget in budgets] == [True, False, False]
    assert [budget.owner for budget in budgets] == ["key:ide", "team:platform", "customer:acme"]
    assert record.providers is not None
    assert [(budget.id, budget.level, budget.limit) for budget in record.providers["anthropic"]] == [
        ("provider:ide/anthropic/month/small", "provider", 500_000_000)
    ]
    assert record.providers["local"] == ()


def test_a_key_carries_all_that_is_said_of_it(snapshot: Snapshot) -> None:
    record, team = key(snapshot, "sk-fg-ide-secret"), owner(snapshot, "team:platform")
    assert (record.id, record.team, team.customer, team.environment) == ("ide", "platform", "acme", "prod")
    assert record.expires_ns == 1_798_761_600 * 10**9
    assert (record.models, record.tags) == (("smart", "openai/*"), {"product": "ide"})
    free = key(snapshot, "sk-fg-free-secret")
    assert (free.team, free.expires_ns, free.models, free.providers, free.budgets) == ("", 0, (), None, ())


def test_unpriced_is_resolved(snapshot: Snapshot) -> None:
    assert key(snapshot, "sk-fg-ide-secret").unpriced == Unpriced.DEFAULT
    capped = key(snapshot, "sk-fg-capped-secret")
    assert capped.unpriced == Unpriced.CEILING
    cost = PriceTable(snapshot.prices).cost(head(snapshot).ceilings[capped.ceiling], Usage(input=10, output=10), 0)
    assert cost == 10 * 50_000 + 10 * 200_000


def test_all_budgets_are_listed_even_those_that_no_key_reaches(compiled: CompiledSnapshot) -> None:
    assert "customer:idle/day/default" in compiled.budgets
    assert len(compiled.budgets) == 5
    assert all(id_ == budget.id for id_, budget in compiled.budgets.items())


def test_addresses_and_dialects(snapshot: Snapshot) -> None:
    openai, anthropic, sim, local = head(snapshot).providers
    assert (openai.scheme, openai.host, openai.port, openai.bases) == (
        "https", "api.openai.com", 443, {"openai-chat": "/v1", "openai-embeddings": "/v1"},
    )  # fmt: skip
    assert (anthropic.host, anthropic.bases) == ("proxy.test", {"anthropic": "/claude/v1"})
    assert (sim.port, sim.bases) == (
        9000, {"openai-chat": "/v1", "openai-embeddings": "/v1", "anthropic": "/v1"},
    )  # fmt: skip
    assert (local.scheme, local.host, local.keys) == ("http", "::1", ())
    assert [(one.name, one.value, one.models) for one in openai.keys] == [("main", b"", ("gpt-*",))]
    assert (openai.timeouts.connect, openai.timeouts.total) == (5_000, 600_000)


def test_credentials_are_sealed_for_their_key_alone(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path, {})
    providers = compile_snapshot(config_of(), 1, seal=sealer.seal).head.providers
    [key] = next(provider.keys for provider in providers if provider.name == "openai")
    assert b"sk-upstream" not in key.value
    assert sealer.open(key.value, credential_owner("openai", "main")) == "sk-upstream"
    with pytest.raises(SealError, match="do not open"):
        sealer.open(key.value, credential_owner("openai", "other"))


def test_prices_of_targets_and_of_any_model_of_a_provider(snapshot: Snapshot) -> None:
    found, table = head(snapshot), PriceTable(snapshot.prices)
    claude, tiny = found.models["smart"].targets
    usage = Usage(input=1_000_000, output=1_000_000)
    assert table.cost(claude.price, usage, 1_790_000_000 * 10**9) > 10 * 10**9
    assert table.cost(tiny.price, usage, 0) == 750_000_000
    assert found.prices[tiny.price].max_output == 77
    assert found.models["odd"].targets[0].price == NO_PRICE
    assert found.providers[3].price_of("Tiny-1") == tiny.price
    assert found.providers[2].price_of("sim-small") != NO_PRICE
    assert len(found.prices) == len(table)


def test_a_name_that_the_catalogue_matches_by_a_rule_has_its_price_at_run_time(snapshot: Snapshot) -> None:
    """Every name that a worker may meet is priced as the catalogue prices it."""
    found, table, catalogue = head(snapshot), PriceTable(snapshot.prices), Catalogue()
    usage = Usage(input=1_000_000, output=1_000_000, cache_read=1000)
    names = {
        "openai": ["gpt-4o", "GPT-4o", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-6.1-terra-2026-09-01",
                   "o3-mini", "gpt-5.6-luna-2026-01-01", "omni-moderation-latest", "gpt-99", "",
                   "ft:gpt-4o-2024-08-06:acme", "whisper-1", "tts-1-hd"],
        "anthropic": ["claude-sonnet-4-5-20250929", "claude-opus-5@20260101", "claude-sonnet-5-5-20260901",
                      "claude-v2", "claude-3-5-haiku-latest", "claude-99"],
    }  # fmt: skip
    priced = 0
    for number, provider in enumerate(("openai", "anthropic")):
        for name in names[provider]:
            index = found.providers[number].price_of(name)
            expected = catalogue.find(provider, name)
            # What is served counts tokens: a model that is billed by the length of audio or text is as one unpriced.
            assert (index == NO_PRICE) == (expected is None or not expected.by_token), name
            if expected is not None and expected.by_token:
                record = found.prices[index]
                assert (record.context_window, record.max_output) == (expected.context_window, expected.max_output), (
                    name
                )
                assert table.cost(index, usage, 1_790_000_000 * 10**9) > 0
                priced += 1
    assert priced >= 10


def test_prices_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ConfigErrors, match="request_usd: '9001' is more than 9000"):
        config_of(TEXT.replace('"0.15"', '"0.15", request_usd: "9001"'))
    compile_snapshot(config_of(TEXT.replace('"0.15"', '"0.15", request_usd: "9000"')), 1)


def test_an_edit_of_a_limit_keeps_the_identity() -> None:
    before = compile_snapshot(config_of(), 1).budgets
    after = compile_snapshot(config_of(TEXT.replace('"1000"', '"2000"')), 2).budgets
    assert before.keys() == after.keys()
    assert before["customer:acme/year/default"].limit * 2 == after["customer:acme/year/default"].limit


def test_one_of_a_unit_is_the_plain_window() -> None:
    config = config_of(TEXT.replace("window: year", "window: {every: 1, unit: year}"))
    assert "customer:acme/year/default" in compile_snapshot(config, 1).budgets
