"""What a key, a team or a public model wants of the caches and cannot have."""

from collections.abc import Iterator
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
        exact, scope = _in_force(config, key, team)
        customer = team.customer if team is not None else None
        if exact and ((scope == "team" and team is None) or (scope == "customer" and customer is None)):
            found.setdefault(scope, []).append(key.id)
    for scope, keys in found.items():
        more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
        yield (
            f"cache: the scope is {scope}, and there is none for {', '.join(keys[:_MOST_NAMED])}{more}: answers are"
            " shared in the next narrower scope"
        )


def _in_force(config: Config, key: Key, team: Team | None) -> tuple[bool, str]:
    """Whether answers to a key are kept, and in which scope, as far as no public model says otherwise."""
    everybody = config.cache.exact
    wishes = (key.cache or _NO_WISH, (team.cache if team is not None else None) or _NO_WISH)
    exact = next((wish.exact for wish in wishes if wish.exact is not None), everybody.enabled)
    return exact, next((wish.scope for wish in wishes if wish.scope is not None), everybody.scope)
