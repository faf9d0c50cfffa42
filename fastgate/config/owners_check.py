"""Mistakes among customers, teams and keys."""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final

from fastgate.config.cache_check import cache_findings, meaning_findings
from fastgate.config.owners import COUNTED, Budget, Customer, Key, Limit, Team
from fastgate.config.problems import Finding, Lost, Path, did_you_mean
from fastgate.config.root import Config
from fastgate.config.scalars import Secret
from fastgate.config.templates_check import template_findings
from fastgate.config.windows_check import increase_findings, window_findings
from fastgate.wire.snapshot import matches

MOST_BUDGETS: Final = 4
"""Of one owner: a request is bound by those of four owners, and by sixteen budgets at most."""
MOST_LIMITS: Final = 8
"""Of one owner, likewise."""
OUR_TAGS: Final = "fastgate."
"""How the names of tags begin that the gateway itself writes."""
MIN_SECRET: Final = 8
MAX_SECRET: Final = 4_096


@dataclass(frozen=True)
class Known:
    """The names that references may use."""

    providers: Set[str]
    models: Set[str]
    customers: Set[str]
    teams: Set[str]
    embeds: bool = False
    """Whether an embedder is named, so that meanings can be found."""
    shares: bool = False
    """Whether hosts share budgets."""

    @classmethod
    def of(cls, config: Config, lost: Lost) -> "Known":
        """Those of a configuration, and those of what could not be read."""
        return cls(
            providers=config.providers.keys() | lost.get(("providers",), set()),
            models=config.models.keys() | lost.get(("models",), set()),
            customers={customer.id for customer in config.customers} | lost.get(("customers",), set()),
            teams={team.id for team in config.teams} | lost.get(("teams",), set()),
            embeds=config.cache.semantic.embedder is not None or ("cache",) in lost,
            shares=config.redis is not None and config.redis.leases,
        )


def owner_findings(config: Config, known: Known) -> Iterator[Finding]:
    """All of them."""
    yield from _ids("customers", config.customers)
    yield from _ids("teams", config.teams)
    yield from _ids("keys", config.keys)
    for index, customer in enumerate(config.customers):
        yield from customer_findings(("customers", index), customer, known)
    for index, team in enumerate(config.teams):
        yield from team_findings(("teams", index), team, known)
    secrets: dict[bytes, str] = {}
    for index, key in enumerate(config.keys):
        yield from key_findings(("keys", index), key, known)
        yield from _secret(("keys", index), key, secrets)


def customer_findings(path: Path, customer: Customer, known: Known) -> Iterator[Finding]:
    """Of one customer at ``path``."""
    yield from _budgets(path, customer.budgets, known)
    yield from _limits(path, customer.limits, known)


def team_findings(path: Path, team: Team, known: Known) -> Iterator[Finding]:
    """Of one team at ``path``."""
    yield from _budgets(path, team.budgets, known)
    yield from _limits(path, team.limits, known)
    if team.customer is not None and team.customer not in known.customers:
        yield _absent((*path, "customer"), "customer", team.customer, known.customers)
    yield from cache_findings(path, team)
    yield from meaning_findings(path, team.cache, embeds=known.embeds)


def key_findings(path: Path, key: Key, known: Known) -> Iterator[Finding]:
    """Of one key at ``path``, but for its secret."""
    yield from _budgets(path, key.budgets, known)
    yield from _limits(path, key.limits, known)
    yield from increase_findings(path, key)
    if key.team is not None and key.team not in known.teams:
        yield _absent((*path, "team"), "team", key.team, known.teams)
    yield from _key_providers(path, key, known)
    yield from _patterns((*path, "models"), key.models, known)
    for name, template in key.each.items():
        yield from _budgets((*path, "each", name), template.budgets, known)
        yield from _limits((*path, "each", name), template.limits, known)
    yield from template_findings(path, key)
    yield from cache_findings(path, key)
    yield from meaning_findings(path, key.cache, embeds=known.embeds)
    for name in key.tags:
        if name.startswith(OUR_TAGS):
            yield Finding((*path, "tags", name), f"tags whose names begin with {OUR_TAGS} are the gateway's own")


def digest_of(key: Key) -> bytes:
    """SHA-256 of a key's secret, 32 bytes."""
    if key.secret is not None:
        return hashlib.sha256(key.secret.reveal().encode()).digest()
    return bytes.fromhex(key.secret_sha256 or "")


def _absent(path: Path, kind: str, name: str, known: Set[str]) -> Finding:
    return Finding(path, f"no {kind} {name}", did_you_mean(name, known))


def _ids(section: str, owners: Sequence[Customer | Team | Key]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, owner in enumerate(owners):
        if owner.id in seen:
            yield Finding((section, index, "id"), f"a second {section[:-1]} {owner.id}")
        seen.add(owner.id)


def _budgets(path: Path, budgets: tuple[Budget, ...], known: Known) -> Iterator[Finding]:
    """A budget is known by window and name: two with both alike would be one counter with two limits."""
    if len(budgets) > MOST_BUDGETS:
        yield Finding((*path, "budgets"), f"more than {MOST_BUDGETS} budgets", "a request is held against all of them")
    seen: set[tuple[tuple[str, int], str]] = set()
    for index, budget in enumerate(budgets):
        if (budget.period, budget.name) in seen:
            hint = "give each a name of its own"
            yield Finding((*path, "budgets", index), f"a second budget {budget.name} with this window", hint)
        seen.add((budget.period, budget.name))
        yield from window_findings((*path, "budgets", index), budget)
        if budget.rollover and known.shares:
            hint = "leave it out, or write redis: {leases: false}, with which each host has a budget of its own"
            message = "not supported yet where hosts share budgets"
            yield Finding((*path, "budgets", index, "rollover"), message, hint, alone=True)
        if budget.mode == "soft" and budget.grace is not None:
            message = "a soft budget refuses nothing that it could let pass"
            yield Finding((*path, "budgets", index, "grace"), message, "leave it out, or write mode: hard", alone=True)
        yield from _on_limit((*path, "budgets", index), budget, known)
        if len(set(budget.alerts_percent)) < len(budget.alerts_percent):
            at = (*path, "budgets", index, "alerts_percent")
            yield Finding(at, "a threshold stands there twice", "each is told once in a window", alone=True)


def _on_limit(path: Path, budget: Budget, known: Known) -> Iterator[Finding]:
    """Targets and the wish for them come together, and something becomes of what a budget refuses only."""
    if budget.mode == "soft" and budget.on_limit != "reject":
        hint = "leave it out, or write mode: hard"
        yield Finding(
            (*path, "on_limit"), f"a soft budget refuses nothing that it could {budget.on_limit}", hint, alone=True
        )
    elif budget.on_limit == "downgrade" and not budget.downgrade_to:
        hint = "write downgrade_to: [{provider, model}]"
        yield Finding((*path, "on_limit"), "downgrade needs to know where to", hint, alone=True)
    if budget.on_limit != "downgrade" and budget.downgrade_to:
        hint = "write on_limit: downgrade, or leave it out"
        yield Finding((*path, "downgrade_to"), "has no effect", hint, alone=True)
    for index, target in enumerate(budget.downgrade_to):
        if target.provider not in known.providers:
            yield _absent((*path, "downgrade_to", index, "provider"), "provider", target.provider, known.providers)


def _limits(path: Path, limits: tuple[Limit, ...], known: Known) -> Iterator[Finding]:
    """A limit is known by what it counts, its window and its models: two with all alike would be one counter."""
    if len(limits) > MOST_LIMITS:
        yield Finding((*path, "limits"), f"more than {MOST_LIMITS} limits", "a request has to pass all of them")
    seen = set()
    for index, limit in enumerate(limits):
        at = (*path, "limits", index)
        if len(limit.counted) != 1:
            found = "nothing" if not limit.counted else f"{' and '.join(limit.counted)} at once"
            yield Finding(at, f"a limit on {found}", f"write exactly one of {', '.join(COUNTED)}", alone=True)
        elif limit.counted == ("concurrent",) and limit.window is not None:
            yield Finding((*at, "window"), "what is open at once has no window", "leave it out", alone=True)
        elif limit.counted != ("concurrent",) and limit.window is None:
            yield Finding(at, f"a limit on {limit.counted[0]} needs a window", "such as window: minute", alone=True)
        identity = (limit.counted, limit.period, frozenset(limit.only_models))
        if identity in seen:
            yield Finding(at, f"a second limit on {' and '.join(limit.counted)} with this window and these models")
        seen.add(identity)
        yield from _patterns((*at, "models"), limit.models, known)


def _secret(path: Path, key: Key, seen: dict[bytes, str]) -> Iterator[Finding]:
    if key.secret is not None and key.secret_sha256 is not None:
        yield Finding((*path, "secret_sha256"), "a key has either secret or secret_sha256")
        return
    if key.secret is None and key.secret_sha256 is None:
        hint = "to have one issued, create the key by the API: fastgate keys create"
        yield Finding(path, "a key in the file needs secret or secret_sha256", hint)
        return
    unfit = secret_finding((*path, "secret"), key.secret)
    if unfit is not None:
        yield unfit
        return
    digest = digest_of(key)
    if digest in seen:
        yield Finding((*path, "secret" if key.secret else "secret_sha256"), f"is the secret of key {seen[digest]}, too")
    seen.setdefault(digest, key.id)


def secret_finding(path: Path, secret: Secret | None) -> Finding | None:
    """Whether a secret is one that clients can send; None: there is none, and nothing wrong."""
    if secret is None:
        return None
    text = secret.reveal()
    if not MIN_SECRET <= len(text) <= MAX_SECRET:
        return Finding(path, f"has to be {MIN_SECRET} to {MAX_SECRET} characters long")
    if not all("!" <= character <= "~" for character in text):
        return Finding(path, "may hold visible ASCII characters only: clients send it in a header")
    return None


def _key_providers(path: Path, key: Key, known: Known) -> Iterator[Finding]:
    if key.providers is None:
        return
    if not key.providers:
        yield Finding((*path, "providers"), "an empty list allows no provider", "leave it out to allow all", alone=True)
    seen: set[str] = set()
    for index, each in enumerate(key.providers):
        at = (*path, "providers", index)
        if each.provider in seen:
            yield Finding((*at, "provider"), f"a second entry for {each.provider}")
        elif each.provider not in known.providers:
            yield _absent((*at, "provider"), "provider", each.provider, known.providers)
        seen.add(each.provider)
        yield from _budgets(at, each.budgets, known)
        yield from _limits(at, each.limits, known)


def _patterns(path: Path, patterns: Sequence[str], known: Known) -> Iterator[Finding]:
    """A pattern that can never match is a mistake: a key would be refused in silence, a limit would never hold."""
    for index, pattern in enumerate(patterns):
        if not any(matches((pattern,), name) for name in known.models) and not names_provider(pattern, known):
            hint = did_you_mean(pattern, known.models) or "write a name from models, or provider/model"
            yield Finding((*path, index), f"{pattern} matches no model", hint)


def names_provider(pattern: str, known: Known) -> bool:
    """Whether some ``provider/model`` can match."""
    head, star, _ = pattern.partition("*")
    prefixes = (f"{name}/" for name in known.providers)
    if star:
        return any(prefix.startswith(head) or head.startswith(prefix) for prefix in prefixes)
    return any(head.startswith(prefix) and head != prefix for prefix in prefixes)
