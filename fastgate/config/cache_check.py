"""What a key, a team or a public model wants of the caches and cannot have, and what the cache will do for whom."""

from collections.abc import Iterator, Sequence
from typing import Final

from fastgate.config.owners import Key, Team
from fastgate.config.problems import Finding, Path
from fastgate.config.root import Config
from fastgate.config.settings import CacheWish

_MOST_NAMED: Final = 5
_NO_WISH: Final = CacheWish()


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
    found: dict[str, list[str]] = {}
    for key in config.keys:
        team = teams.get(key.team or "")
        exact, scope, _ = _in_force(config, key, team)
        customer = team.customer if team is not None else None
        if exact and ((scope == "team" and team is None) or (scope == "customer" and customer is None)):
            found.setdefault(scope, []).append(key.id)
    for scope, keys in found.items():
        yield (
            f"cache: the scope is {scope}, and there is none for {_named(keys)}: answers are shared in the next"
            " narrower scope"
        )


def cache_notes(config: Config) -> Iterator[str]:
    """What the exact cache will do, where a valid configuration wants one: for whom, how long, and what it takes."""
    teams = {team.id: team for team in config.teams}
    found: dict[tuple[str, int], list[str]] = {}
    for key in config.keys:
        exact, scope, seconds = _in_force(config, key, teams.get(key.team or ""))
        if exact:
            found.setdefault((scope, seconds), []).append(key.id)
    everybody = config.cache.exact
    for (scope, seconds), keys in found.items():
        yield f"cache: answers to {_named(keys)} are kept for {seconds} s, scope {scope}"
    if everybody.enabled:
        seconds, scope = everybody.ttl_seconds, everybody.scope
        kept = f"are kept for {seconds} s, scope {scope}, where they say nothing else"
        yield f"cache: answers to keys of the admin API {kept}"
    models = [name for name, model in config.models.items() if model.cache is not None and model.cache.exact]
    if models:
        yield f"cache: answers of {_named(models)} are kept, where neither key nor team says otherwise"
    if found or models or everybody.enabled:
        yield f"cache: {everybody.max_mb} MB of memory, and 3 % on top, are taken for all answers together"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def _in_force(config: Config, key: Key, team: Team | None) -> tuple[bool, str, int]:
    """Whether answers to a key are kept, in which scope and for how long, as far as no public model says otherwise."""
    everybody = config.cache.exact
    wishes = (key.cache or _NO_WISH, (team.cache if team is not None else None) or _NO_WISH)
    exact = next((wish.exact for wish in wishes if wish.exact is not None), everybody.enabled)
    seconds = next((wish.ttl_seconds for wish in wishes if wish.ttl_seconds is not None), everybody.ttl_seconds)
    return exact, next((wish.scope for wish in wishes if wish.scope is not None), everybody.scope), seconds
