"""What a key, a team or a public model wants of the caches and cannot have, and what the cache will do for whom."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from fastgate.config.owners import Key, Team
from fastgate.config.problems import Finding, Path
from fastgate.config.root import Config
from fastgate.config.settings import CacheWish

_MOST_NAMED: Final = 5


class Held(NamedTuple):
    """What holds for answers to a key, as far as no public model says otherwise."""

    wanted: bool
    scope: str
    seconds: int


def cache_findings(path: Path, thing: Key | Team) -> Iterator[Finding]:
    """Of one key or team at ``path``: what it says itself that it shares answers in, it has to have."""
    scope = thing.cache.scope if thing.cache is not None else None
    at = (*path, "cache", "scope")
    if isinstance(thing, Key) and thing.team is None and scope in ("team", "customer"):
        hint = "name its team, or write scope: key"
        yield Finding(at, f"a key without a team has no {scope} to share answers with", hint)
    elif isinstance(thing, Team) and thing.customer is None and scope == "customer":
        hint = "name its customer, or write scope: team"
        yield Finding(at, "a team without a customer has none to share answers with", hint)


def meaning_findings(path: Path, wish: CacheWish | None, *, embeds: bool) -> Iterator[Finding]:
    """Of what stands at ``path``: the semantic cache is for those alone whose file names an embedder."""
    if wish is not None and wish.semantic and not embeds:
        hint = "name one in the configuration file"
        yield Finding((*path, "cache", "semantic"), "there is no cache.semantic.embedder to find meanings with", hint)


def narrower_scopes(config: Config) -> Iterator[str]:
    """Keys of a valid configuration that share answers with fewer than the scope says that holds for them."""
    teams = {team.id: team for team in config.teams}
    found: dict[str, dict[str, None]] = {}
    for key in config.keys:
        team = teams.get(key.team or "")
        customer = team.customer if team is not None else None
        for held in (exact_in_force(config, key, team), semantic_in_force(config, key, team)):
            scope = held.scope
            if held.wanted and ((scope == "team" and team is None) or (scope == "customer" and customer is None)):
                found.setdefault(scope, {})[key.id] = None
    for scope, keys in found.items():
        yield (
            f"cache: the scope is {scope}, and there is none for {named(list(keys))}: answers are shared in the next"
            " narrower scope"
        )


def cache_notes(config: Config) -> Iterator[str]:
    """What the caches will do, where a valid configuration wants one: for whom, how long, and what it takes."""
    found = _by_rule(config, exact_in_force)
    everybody = config.cache.exact
    for (scope, seconds), keys in found.items():
        yield f"cache: answers to {named(keys)} are kept for {seconds} s, scope {scope}"
    if everybody.enabled:
        seconds, scope = everybody.ttl_seconds, everybody.scope
        kept = f"are kept for {seconds} s, scope {scope}, where they say nothing else"
        yield f"cache: answers to keys of the admin API {kept}"
    models = [name for name, model in config.models.items() if model.cache is not None and model.cache.exact]
    if models:
        yield f"cache: answers of {named(models)} are kept, where neither key nor team says otherwise"
    if found or models or everybody.enabled:
        yield f"cache: {everybody.max_mb} MB of memory, and 3 % on top, are taken for all answers together"
    yield from _semantic_notes(config)


def _semantic_notes(config: Config) -> Iterator[str]:
    everybody = config.cache.semantic
    if everybody.embedder is None:
        return
    given = "compared with those to questions that mean the same, and not given (shadow)"
    if not everybody.shadow:
        given = "given to questions that mean the same, too"
    for (scope, seconds), keys in _by_rule(config, semantic_in_force).items():
        yield f"cache.semantic: answers to {named(keys)} are {given}, for {seconds} s, scope {scope}"
    if everybody.enabled:
        rule = f"for {config.cache.exact.ttl_seconds} s, scope {everybody.scope}, where they say nothing else"
        yield f"cache.semantic: answers to keys of the admin API are {given}, {rule}"
    models = [name for name, model in config.models.items() if model.cache is not None and model.cache.semantic]
    if models:
        yield f"cache.semantic: answers of {named(models)} are {given}, where neither key nor team says otherwise"


def _by_rule(config: Config, in_force: Callable[[Config, Key, Team | None], Held]) -> dict[tuple[str, int], list[str]]:
    """The keys for which a cache is, by scope and seconds."""
    teams = {team.id: team for team in config.teams}
    found: dict[tuple[str, int], list[str]] = {}
    for key in config.keys:
        held = in_force(config, key, teams.get(key.team or ""))
        if held.wanted:
            found.setdefault((held.scope, held.seconds), []).append(key.id)
    return found


def named(names: Sequence[str]) -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def exact_in_force(config: Config, key: Key, team: Team | None) -> Held:
    """What holds of the exact cache for answers to a key."""
    everybody = config.cache.exact
    wanted, scope, seconds = (_said(name, key, team) for name in ("exact", "scope", "ttl_seconds"))
    return Held(
        everybody.enabled if wanted is None else wanted, scope or everybody.scope, seconds or everybody.ttl_seconds
    )


def semantic_in_force(config: Config, key: Key, team: Team | None) -> Held:
    """The same of the semantic cache, which has its lifetimes from the exact one."""
    everybody = config.cache.semantic
    wanted, scope, seconds = (_said(name, key, team) for name in ("semantic", "scope", "ttl_seconds"))
    wanted = everybody.enabled if wanted is None else wanted
    return Held(
        wanted and everybody.embedder is not None,
        scope or everybody.scope,
        seconds or config.cache.exact.ttl_seconds,
    )


def _said(name: str, key: Key, team: Team | None) -> Any:
    """A setting of a key, else of its team; None: neither says it."""
    wishes = (key.cache, team.cache if team is not None else None)
    return next((said for wish in wishes if wish is not None and (said := getattr(wish, name)) is not None), None)
