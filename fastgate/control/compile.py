"""Configuration to snapshot: models get their prices, names their numbers, things their records."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from fastgate.budgets.hierarchy import budget_records, owner_name, records_of, templates_of
from fastgate.budgets.limits import limit_records, limit_templates_of, limits_of, provider_limits
from fastgate.config.addresses import parse_base_url
from fastgate.config.certificates import tls_files
from fastgate.config.owners import Ceiling, Customer, Key, Team
from fastgate.config.owners_check import digest_of
from fastgate.config.problems import ConfigErrors, Finding, Problem, dotted
from fastgate.config.proxies import proxy_of
from fastgate.config.root import Config
from fastgate.config.upstreams import DEFAULT_URLS, Provider, PublicModel
from fastgate.control.cache_records import cache_of_file, cache_record, is_cached, semantic_record, shared_record
from fastgate.control.price_index import PriceIndex
from fastgate.pricing.overlay import geo_of
from fastgate.pricing.table import build_table
from fastgate.wire.snapshot import (
    BudgetRecord,
    KeyRecord,
    LeasesRecord,
    LimitRecord,
    ModelRecord,
    OwnerRecord,
    ProviderKeyRecord,
    ProviderRecord,
    ProxyRecord,
    SnapshotHead,
    TargetRecord,
    TimeoutsRecord,
    Unpriced,
    ceiling_name,
    certificate_digest,
    credential_owner,
    owner_digest,
    parts_of_ceiling,
    proxy_owner,
)
from fastgate.wire.snapshot_file import write_snapshot

_OPENAI: Final = ("openai-chat", "openai-embeddings")
ANTHROPIC: Final = "anthropic"
_MEBIBYTE: Final = 1 << 20

Record = tuple[bytes, bytes]
"""The digest under which a worker looks for it, and the encoded record."""

Seal = Callable[[str, str], bytes]
"""Text and owner to what :class:`fastgate.wire.sealing.Sealer` opens again."""

_encode: Final = msgspec.msgpack.Encoder().encode


def _leave_out(_text: str, _owner: str) -> bytes:
    return b""


@dataclass(frozen=True)
class CompiledSnapshot:
    """What the snapshot file of one generation holds; records are made one by one while it is written."""

    config: Config
    head: SnapshotHead
    prices: bytes

    @cached_property
    def budgets(self) -> dict[str, BudgetRecord]:
        """Every budget of the file by its id, those that no key reaches included."""
        return {
            record.id: record
            for things in (self.config.keys, self.config.teams, self.config.customers)
            for thing in things
            for record in records_of(thing)
        }

    @cached_property
    def templates(self) -> dict[str, tuple[BudgetRecord, ...]]:
        """The budgets of the templates of the file's keys, by key; keys without templates are left out."""
        return {key.id: tuple(chain.from_iterable(templates_of(key).values())) for key in self.config.keys if key.each}

    @cached_property
    def limit_templates(self) -> dict[str, tuple[LimitRecord, ...]]:
        """Their limits, likewise."""
        each = ((key.id, limit_templates_of(key)) for key in self.config.keys if key.each)
        return {id_: tuple(chain.from_iterable(limits.values())) for id_, limits in each}

    @cached_property
    def limits(self) -> tuple[LimitRecord, ...]:
        """Every limit of the file, in the order of their ids."""
        things = (self.config.keys, self.config.teams, self.config.customers)
        found = (record for some in things for thing in some for record in limits_of(thing))
        return tuple(sorted(found, key=attrgetter("id")))

    def records(self) -> Iterator[Record]:
        """Of every key, team and customer."""
        for key in self.config.keys:
            yield digest_of(key), key_record(key)
        yield from map(owner_record, self.config.teams)
        yield from map(owner_record, self.config.customers)

    def write(self, path: Path, more: Iterable[Record] = ()) -> int:
        """Writes the file that workers map (0600, by rename), with ``more`` records; returns their number."""
        return write_snapshot(
            path, self.head, (record for some in (self.records(), more) for record in some), self.prices
        )


def compile_snapshot(
    config: Config,
    generation: int,
    folder: Path = Path(),
    ceilings: Iterable[str] = (),
    *,
    cached: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
    seal: Seal = _leave_out,
) -> CompiledSnapshot:
    """Resolves a configuration. ``folder`` is the configuration file's own, where relative paths in it start.

    ``ceilings``: names (:func:`ceiling_name`) of those that keys beside the file's have; ``cached``: whether any of
    these, or of the teams beside the file's, wants answers kept. ``environment`` may name proxies. ``seal`` keeps
    credentials for the workers; by default there are none in what nobody will serve.

    Raises :class:`ConfigErrors`, without lines, for prices that cannot be kept exactly; ``fastgate.control.check``
    finds the same with lines.
    """
    index = PriceIndex(config)
    providers = tuple(
        _provider_record(name, provider, index, folder, seal, proxy=_proxy_record(name, provider, environment, seal))
        for name, provider in config.providers.items()
    )
    numbers = {provider.name: number for number, provider in enumerate(providers)}
    models = {name: _model_record(name, model, providers, numbers) for name, model in config.models.items()}
    wanted = {ceiling_of(key) for key in config.keys if isinstance(key.unpriced, Ceiling)}.union(ceilings)
    numbered = {name: index.of_ceiling(*parts_of_ceiling(name)) for name in sorted(wanted)}
    if index.findings:
        raise ConfigErrors([_placeless(finding) for finding in index.findings])
    cached = cached or is_cached(config)
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
        ceilings=numbered,
        trusted_proxies=config.server.trusted_proxies,
        cors_origins=config.server.cors_origins,
        certificate=certificate_digest(tls_files(folder, config.server.tls)[0]) if config.server.tls else "",
        cache=cache_of_file(config.cache.exact),
        cache_mb=config.cache.exact.max_mb if cached else 0,
        shared=shared_record(config, folder, seal) if cached else None,
        semantic=semantic_record(config.cache.semantic),
        leases=LeasesRecord(config.redis.lease_wait_ms) if config.redis is not None and config.redis.leases else None,
        drain_delay_ms=_milliseconds(config.server.drain_delay_seconds),
    )
    return CompiledSnapshot(config, head, build_table(index.models))


def key_record(key: Key, born: int = 0) -> bytes:
    """What workers read of a key; ``born``: microseconds since 1970 when the API created it, 0 for one of the file."""
    owner = owner_name("key", key.id)
    providers = key.providers
    return _encode(
        KeyRecord(
            id=key.id,
            team=key.team or "",
            expires_ns=key.expires or 0,
            models=() if "*" in key.models else key.models,
            providers=None
            if providers is None
            else {
                each.provider: budget_records(owner_name("provider", key.id, each.provider), each.budgets)
                for each in providers
            },
            budgets=budget_records(owner, key.budgets, key.increases),
            tags=key.tags,
            unpriced=_UNPRICED[key.unpriced] if not isinstance(key.unpriced, Ceiling) else Unpriced.CEILING,
            ceiling=ceiling_of(key),
            allowed_ips=key.allowed_ips,
            limits=limit_records(owner, key.limits),
            provider_limits=provider_limits(key),
            each=templates_of(key),
            each_limits=limit_templates_of(key),
            cache=cache_record(key.cache),
            born=born,
        )
    )


def owner_record(thing: Team | Customer, born: int = 0) -> Record:
    """What workers read of a team or a customer, and where; ``born`` as of a key."""
    if isinstance(thing, Customer):
        owner = owner_name("customer", thing.id)
        customer, environment = "", ""
    else:
        owner = owner_name("team", thing.id)
        customer, environment = thing.customer or "", thing.environment or ""
    budgets, limits = budget_records(owner, thing.budgets), limit_records(owner, thing.limits)
    cache = cache_record(thing.cache) if isinstance(thing, Team) else None
    return owner_digest(owner), _encode(OwnerRecord(budgets, customer, environment, limits, cache, born))


def ceiling_of(key: Key) -> str:
    """What the head calls a key's ceiling; empty: it has none."""
    if not isinstance(key.unpriced, Ceiling):
        return ""
    return ceiling_name(key.unpriced.ceiling.input_usd_per_million, key.unpriced.ceiling.output_usd_per_million)


_UNPRICED: Final = {None: Unpriced.DEFAULT, "reject": Unpriced.REJECT, "allow": Unpriced.ALLOW}


def _placeless(finding: Finding) -> Problem:
    return Problem("configuration", 1, 1, f"{dotted(finding.path)}: {finding.message}", finding.hint)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _proxy_record(name: str, provider: Provider, environment: Mapping[str, str], seal: Seal) -> ProxyRecord | None:
    proxy = proxy_of(provider, environment)
    if proxy is None:
        return None
    return ProxyRecord(proxy.host, proxy.port, proxy.scheme == "https", seal(proxy.credentials, proxy_owner(name)))


def _provider_record(
    name: str, provider: Provider, index: PriceIndex, folder: Path, seal: Seal, *, proxy: ProxyRecord | None
) -> ProviderRecord:
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
            ProviderKeyRecord(
                key.name,
                seal(key.value.reveal(), credential_owner(name, key.name)),
                key.weight,
                () if "*" in key.models else key.models,
            )
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
        proxy=proxy,
    )


def _bases(provider_type: str, path: str) -> dict[str, str]:
    """Dialects to the paths before their operations; the simulator speaks all of them at one address.

    OpenAI's base URLs end with their version, Anthropic's come without it.
    """
    if provider_type == "sim":
        version = f"{path.removesuffix('/v1')}/v1"
        return {**dict.fromkeys(_OPENAI, version), ANTHROPIC: version}
    return {ANTHROPIC: f"{path}/v1"} if provider_type == "anthropic" else dict.fromkeys(_OPENAI, path)


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
    return ModelRecord(name, targets, cache_record(model.cache))
