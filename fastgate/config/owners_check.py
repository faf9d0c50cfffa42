"""Mistakes among customers, teams and keys."""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final

from fastgate.config.owners import Budget, Customer, Key, Team
from fastgate.config.problems import Finding, Lost, Path, did_you_mean
from fastgate.config.root import Config
from fastgate.wire.snapshot import matches

MIN_SECRET: Final = 8
MAX_SECRET: Final = 4_096


@dataclass(frozen=True)
class Known:
    """The names that references may use."""

    providers: Set[str]
    models: Set[str]
    customers: Set[str]
    teams: Set[str]

    @classmethod
    def of(cls, config: Config, lost: Lost) -> "Known":
        """Those of a configuration, and those of what could not be read."""
        return cls(
            providers=config.providers.keys() | lost.get(("providers",), set()),
            models=config.models.keys() | lost.get(("models",), set()),
            customers={customer.id for customer in config.customers} | lost.get(("customers",), set()),
            teams={team.id for team in config.teams} | lost.get(("teams",), set()),
        )


def owner_findings(config: Config, known: Known) -> Iterator[Finding]:
    """All of them."""
    yield from _ids("customers", config.customers)
    yield from _ids("teams", config.teams)
    yield from _ids("keys", config.keys)
    for index, customer in enumerate(config.customers):
        yield from _budgets(("customers", index), customer.budgets)
    for index, team in enumerate(config.teams):
        path: Path = ("teams", index)
        yield from _budgets(path, team.budgets)
        if team.customer is not None and team.customer not in known.customers:
            yield _absent((*path, "customer"), "customer", team.customer, known.customers)
    secrets: dict[bytes, str] = {}
    for index, key in enumerate(config.keys):
        path = ("keys", index)
        yield from _budgets(path, key.budgets)
        if key.team is not None and key.team not in known.teams:
            yield _absent((*path, "team"), "team", key.team, known.teams)
        yield from _secret(path, key, secrets)
        yield from _key_providers(path, key, known)
        yield from _patterns(path, key, known)


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


def _budgets(path: Path, budgets: tuple[Budget, ...]) -> Iterator[Finding]:
    """A budget is known by window and name: two with both alike would be one counter with two limits."""
    seen: set[tuple[tuple[str, int], str]] = set()
    for index, budget in enumerate(budgets):
        if (budget.period, budget.name) in seen:
            hint = "give each a name of its own"
            yield Finding((*path, "budgets", index), f"a second budget {budget.name} with this window", hint)
        seen.add((budget.period, budget.name))


def _secret(path: Path, key: Key, seen: dict[bytes, str]) -> Iterator[Finding]:
    if key.secret is not None and key.secret_sha256 is not None:
        yield Finding((*path, "secret_sha256"), "a key has either secret or secret_sha256")
        return
    if key.secret is None and key.secret_sha256 is None:
        yield Finding(path, "a key without secret or secret_sha256, issued by the API, is not supported yet")
        return
    if key.secret is not None:
        text = key.secret.reveal()
        if not MIN_SECRET <= len(text) <= MAX_SECRET:
            yield Finding((*path, "secret"), f"has to be {MIN_SECRET} to {MAX_SECRET} characters long")
            return
        if not all("!" <= character <= "~" for character in text):
            yield Finding((*path, "secret"), "may hold visible ASCII characters only: clients send it in a header")
            return
    digest = digest_of(key)
    if digest in seen:
        yield Finding((*path, "secret" if key.secret else "secret_sha256"), f"is the secret of key {seen[digest]}, too")
    seen.setdefault(digest, key.id)


def _key_providers(path: Path, key: Key, known: Known) -> Iterator[Finding]:
    if key.providers is None:
        return
    if not key.providers:
        yield Finding((*path, "providers"), "an empty list allows no provider", "leave it out to allow all")
    seen: set[str] = set()
    for index, each in enumerate(key.providers):
        at = (*path, "providers", index)
        if each.provider in seen:
            yield Finding((*at, "provider"), f"a second entry for {each.provider}")
        elif each.provider not in known.providers:
            yield _absent((*at, "provider"), "provider", each.provider, known.providers)
        seen.add(each.provider)
        yield from _budgets(at, each.budgets)


def _patterns(path: Path, key: Key, known: Known) -> Iterator[Finding]:
    """A pattern that can never match is a mistake: the key would be refused in silence."""
    for index, pattern in enumerate(key.models):
        if not any(matches((pattern,), name) for name in known.models) and not _names_provider(pattern, known):
            hint = did_you_mean(pattern, known.models) or "write a name from models, or provider/model"
            yield Finding((*path, "models", index), f"{pattern} matches no model", hint)


def _names_provider(pattern: str, known: Known) -> bool:
    """Whether some ``provider/model`` can match."""
    head, star, _ = pattern.partition("*")
    prefixes = (f"{name}/" for name in known.providers)
    if star:
        return any(prefix.startswith(head) or head.startswith(prefix) for prefix in prefixes)
    return any(head.startswith(prefix) and head != prefix for prefix in prefixes)
