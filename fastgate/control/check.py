"""All that is wrong with a configuration file: read, resolved, compiled and priced, without serving."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from fastgate.budgets.hierarchy import budgets_of
from fastgate.cache.embedder_files import unfit
from fastgate.config import Config, ConfigErrors, Finding, Problem, load_document
from fastgate.config.cache_check import cache_notes, narrower_scopes
from fastgate.config.cache_idle import idle_cache_settings
from fastgate.config.certificates import date_warning
from fastgate.config.owners import Customer, Key, Team
from fastgate.config.postgres import unused_database
from fastgate.config.proxies import proxy_of
from fastgate.config.semantic import judge_notes, local_embedder
from fastgate.config.stores import unused_store
from fastgate.config.upstreams import Target
from fastgate.control.compile import compile_snapshot
from fastgate.control.price_index import PriceIndex
from fastgate.wire.snapshot import NO_PRICE, matches


def check(path: Path, env: Mapping[str, str]) -> list[Problem]:
    """Every problem of the file at ``path``, in its order; none: it can be served."""
    try:
        document = load_document(path, env)
        findings = [*price_findings(document.config), *proxy_findings(document.config, env)]
        if not findings:
            compile_snapshot(document.config, 1, path.parent, environment=env)
    except ConfigErrors as errors:
        return errors.problems
    return sorted({document.problem(finding) for finding in findings})


def warnings(path: Path, env: Mapping[str, str]) -> Iterator[str]:
    """What an operator should know of a file that can be served. Raises :class:`ConfigErrors` for one that cannot."""
    config = load_document(path, env).config
    tls = config.server.tls
    warning = date_warning(path.parent, tls) if tls is not None else None
    if warning is not None:
        yield warning
    for public, position, target in _without_price(config, PriceIndex(config)):
        yield (
            f"models.{public}.targets[{position}].model: nothing prices {target.provider}/{target.model}: what its"
            " requests cost is what each key's unpriced says"
        )
    yield from narrower_scopes(config)
    yield from idle_cache_settings(config)
    yield from unused_store(config)
    yield from unused_database(config)
    yield from embedder_warnings(config, path.parent)


def embedder_warnings(config: Config, folder: Path) -> Iterator[str]:
    """What keeps the semantic process from starting, as far as files and packages tell. No request needs it: a gateway
    without it serves, so this is no mistake; and the file may be checked on another machine than it is served on."""
    embedder = local_embedder(config, folder)
    if embedder is not None and (why := unfit(embedder)):
        yield f"cache.semantic.embedder: {why}; until then no question is answered by its meaning, all else is served"


def notes(path: Path, env: Mapping[str, str]) -> Iterator[str]:
    """What will be done that an operator may not expect of a file that can be served. Raises :class:`ConfigErrors`."""
    config = load_document(path, env).config
    yield from cache_notes(config)
    yield from judge_notes(config)


def price_findings(config: Config) -> Iterator[Finding]:
    """Prices that cannot be kept exactly, and models without one that a key names although it refuses such models."""
    index = PriceIndex(config)
    for name, provider in config.providers.items():
        for model in provider.prices:
            index.of_model(name, provider, model)
    yield from index.findings
    bound = _Bound(config)
    refusing = [key for key in config.keys if key.unpriced == "reject" or (key.unpriced is None and key in bound)]
    yield from _unpriced_targets(config, index, refusing)
    yield from _unpriced_names(config, index, refusing)


def proxy_findings(config: Config, env: Mapping[str, str]) -> Iterator[Finding]:
    """Proxies that the environment names and that cannot be used."""
    for name, provider in config.providers.items():
        try:
            proxy_of(provider, env)
        except ValueError as error:
            hint = 'correct it, or set the provider\'s proxy ("" for none)'
            yield Finding(("providers", name), f"the proxy that the environment names for it {error}", hint)


def _unpriced_targets(config: Config, index: PriceIndex, refusing: list[Key]) -> Iterator[Finding]:
    for public, position, target in _without_price(config, index):
        key = next((key for key in refusing if _may_use(key, public, target.provider)), None)
        if key is not None:
            path = ("models", public, "targets", position, "model")
            yield _unpriced(path, target.provider, target.model, key)


def _without_price(config: Config, index: PriceIndex) -> Iterator[tuple[str, int, Target]]:
    """Targets of public models: the model's name, the target's position, the target."""
    for public, model in config.models.items():
        for position, target in enumerate(model.targets):
            if not _has_price(index, config, target.provider, target.model):
                yield public, position, target


def _unpriced_names(config: Config, index: PriceIndex, refusing: list[Key]) -> Iterator[Finding]:
    """Of ``provider/model`` written out in a key's list."""
    ids = {key.id for key in refusing}
    for number, key in enumerate(config.keys):
        for position, name in enumerate(key.models if key.id in ids else ()):
            provider, slash, model = name.partition("/")
            if not slash or "*" in name or name in config.models or provider not in config.providers:
                continue
            if not _has_price(index, config, provider, model):
                yield _unpriced(("keys", number, "models", position), provider, model, key)


class _Bound:
    """Which keys any hard budget applies to: their own, of their team, or of its customer."""

    def __init__(self, config: Config) -> None:
        customers = {customer.id for customer in config.customers if _has_hard(customer)}
        self._teams = {team.id for team in config.teams if _has_hard(team) or team.customer in customers}

    def __contains__(self, key: Key) -> bool:
        return key.team in self._teams or _has_hard(key)


def _has_hard(thing: Customer | Team | Key) -> bool:
    templates = thing.each.values() if isinstance(thing, Key) else ()
    some = [*(budgets for _, budgets in budgets_of(thing)), *(template.budgets for template in templates)]
    return any(budget.mode == "hard" for budgets in some for budget in budgets)


def _has_price(index: PriceIndex, config: Config, provider: str, model: str) -> bool:
    return index.of_model(provider, config.providers[provider], model) != NO_PRICE


def _may_use(key: Key, public: str, provider: str) -> bool:
    providers = key.providers
    allowed = providers is None or any(each.provider == provider for each in providers)
    return allowed and matches(key.models, public)


def _unpriced(path: tuple[str | int, ...], provider: str, model: str, key: Key) -> Finding:
    return Finding(
        path,
        f"nothing prices {provider}/{model}, and key {key.id} rejects models without a price",
        f"add it to providers.{provider}.prices, or set unpriced on the key",
    )
