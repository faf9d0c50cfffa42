"""Configuration to snapshot: budgets get their cells, models their prices, names their numbers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from fastgate.budgets.hierarchy import Hierarchy, KeyBudgets
from fastgate.config.addresses import parse_base_url
from fastgate.config.owners import Ceiling, Key
from fastgate.config.owners_check import digest_of
from fastgate.config.problems import ConfigErrors, Finding, Problem, dotted
from fastgate.config.root import Config
from fastgate.config.upstreams import DEFAULT_URLS, Provider, PublicModel
from fastgate.control.price_index import PriceIndex
from fastgate.pricing.overlay import geo_of
from fastgate.pricing.table import build_table
from fastgate.wire.snapshot import (
    NO_PRICE,
    BudgetRecord,
    KeyRecord,
    ModelRecord,
    ProviderKeyRecord,
    ProviderRecord,
    SnapshotHead,
    TargetRecord,
    TimeoutsRecord,
    Unpriced,
)
from fastgate.wire.snapshot_file import write_snapshot

OPENAI_CHAT: Final = "openai-chat"
ANTHROPIC: Final = "anthropic"
_MEBIBYTE: Final = 1 << 20


class Cells(Protocol):
    """What compiling needs of the arena."""

    def cell(self, id: str, /) -> int:
        """The index of the cell with this id, made where there is none."""
        ...


@dataclass(frozen=True)
class CompiledSnapshot:
    """What the snapshot file of one generation holds; keys are compiled one by one while it is written."""

    config: Config
    head: SnapshotHead
    prices: bytes
    budgets: dict[str, BudgetRecord]
    """Every configured budget by its id."""
    _hierarchy: Hierarchy
    _ceilings: dict[str, int]

    def keys(self) -> Iterator[tuple[bytes, KeyRecord]]:
        """(SHA-256 digest of the secret, record) of every key."""
        numbers = {provider.name: index for index, provider in enumerate(self.head.providers)}
        for key in self.config.keys:
            budgets = self._hierarchy.of_key(key)
            ceiling = self._ceilings.get(key.id, NO_PRICE)
            yield digest_of(key), _key_record(key, budgets, self._hierarchy, numbers, ceiling)

    def write(self, path: Path) -> int:
        """Writes the file that workers map (0600, by rename); returns the number of keys."""
        return write_snapshot(path, self.head, self.keys(), self.prices)


def compile_snapshot(config: Config, arena: Cells, generation: int, folder: Path = Path()) -> CompiledSnapshot:
    """Resolves a configuration. ``folder`` is the configuration file's own, where relative paths in it start.

    Raises :class:`ConfigErrors`, without lines, for prices that cannot be kept exactly; ``fastgate.control.check``
    finds the same with lines.
    """
    index = PriceIndex(config)
    providers = tuple(_provider_record(name, provider, index, folder) for name, provider in config.providers.items())
    numbers = {provider.name: number for number, provider in enumerate(providers)}
    models = {name: _model_record(name, model, providers, numbers) for name, model in config.models.items()}
    ceilings = {
        key.id: index.of_ceiling(key.unpriced.ceiling) for key in config.keys if isinstance(key.unpriced, Ceiling)
    }
    if index.findings:
        raise ConfigErrors([_placeless(finding) for finding in index.findings])
    hierarchy = Hierarchy(config, arena.cell)
    head = SnapshotHead(
        generation=generation,
        compiled_at_ns=time.time_ns(),
        max_body=config.server.max_body_mb * _MEBIBYTE,
        output_cap=config.output_cap,
        disconnect_ms=_milliseconds(config.disconnect.read_seconds),
        drain_ms=_milliseconds(config.server.drain_seconds),
        providers=providers,
        models=models,
        prices=index.records(),
    )
    budgets = hierarchy.all(config.keys)
    return CompiledSnapshot(config, head, build_table(index.models), budgets, hierarchy, ceilings)


def policy_for_unpriced(key: Key, budgets: KeyBudgets) -> Unpriced:
    """What a key wants done with models without a price: refused by default where any budget applies."""
    if isinstance(key.unpriced, Ceiling):
        return Unpriced.CEILING
    if key.unpriced is None:
        return Unpriced.REJECT if any(budgets) else Unpriced.ALLOW
    return Unpriced.REJECT if key.unpriced == "reject" else Unpriced.ALLOW


def _placeless(finding: Finding) -> Problem:
    return Problem("configuration", 1, 1, f"{dotted(finding.path)}: {finding.message}", finding.hint)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _provider_record(name: str, provider: Provider, index: PriceIndex, folder: Path) -> ProviderRecord:
    address = parse_base_url(provider.base_url or DEFAULT_URLS[provider.type])
    prices, rules = index.names_of(name, provider)
    seconds = provider.timeout_seconds
    return ProviderRecord(
        name=name,
        type=provider.type,
        scheme=address.scheme,
        host=address.host,
        port=address.port,
        bases=_bases(provider.type, address.path),
        keys=tuple(
            ProviderKeyRecord(key.name, key.value.reveal(), key.weight, () if "*" in key.models else key.models)
            for key in provider.keys
        ),
        timeouts=TimeoutsRecord(
            _milliseconds(seconds.connect),
            _milliseconds(seconds.first_byte),
            _milliseconds(seconds.idle),
            _milliseconds(seconds.total),
        ),
        ca_file=str((folder / provider.ca_file).resolve()) if provider.ca_file else "",
        prices=prices,
        rules=rules,
        geo=geo_of(provider.type, provider.base_url),
    )


def _bases(provider_type: str, path: str) -> dict[str, str]:
    """Dialects to the paths before their operations; the simulator speaks both at one address.

    OpenAI's base URLs end with their version, Anthropic's come without it.
    """
    if provider_type == "sim":
        version = f"{path.removesuffix('/v1')}/v1"
        return {OPENAI_CHAT: version, ANTHROPIC: version}
    return {ANTHROPIC: f"{path}/v1"} if provider_type == "anthropic" else {OPENAI_CHAT: path}


def _model_record(
    name: str, model: PublicModel, providers: tuple[ProviderRecord, ...], numbers: dict[str, int]
) -> ModelRecord:
    targets = tuple(
        TargetRecord(
            provider=numbers[target.provider],
            model=target.model,
            price=providers[numbers[target.provider]].price_of(target.model),
            weight=target.weight,
        )
        for target in model.targets
    )
    return ModelRecord(name, targets)


def _key_record(
    key: Key, budgets: KeyBudgets, hierarchy: Hierarchy, numbers: dict[str, int], ceiling: int
) -> KeyRecord:
    providers = budgets.providers
    return KeyRecord(
        id=key.id,
        team=key.team or "",
        customer=hierarchy.customer_of(key),
        environment=hierarchy.environment_of(key),
        expires_ns=key.expires or 0,
        models=() if "*" in key.models else key.models,
        providers=None if providers is None else {numbers[name]: records for name, records in providers.items()},
        budgets=budgets.shared,
        tags=key.tags,
        unpriced=policy_for_unpriced(key, budgets),
        ceiling=ceiling,
    )
