"""Settings of the caches that a valid configuration has and that do nothing, or less than they say.

None of these is an error: the admin API may have a team or a key for which they do something.
"""

import os
from collections.abc import Iterator

from fastgate.config.cache_check import exact_in_force, named, semantic_in_force
from fastgate.config.owners import Key, Team
from fastgate.config.root import Config
from fastgate.config.settings import CacheWish

_WHICH = ("exact", "semantic")


def idle_cache_settings(config: Config) -> Iterator[str]:
    """A line for each."""
    yield from _without_cache(config)
    yield from _without_exact(config)
    yield from _too_small(config)


def _without_cache(config: Config) -> Iterator[str]:
    """Wishes for how answers are kept, where none are."""
    teams = {team.id: team for team in config.teams}
    keys = [key.id for key in config.keys if _says_how(key.cache) and not _may_keep(config, key, teams, *_WHICH)]
    if keys:
        yield f"keys: cache of {named(keys)} does nothing: no cache is wanted for them (exact: true, or semantic: true)"
    if _anybody(config, *_WHICH):
        return
    others = [team.id for team in config.teams if _says_how(team.cache)]
    others += [name for name, model in config.models.items() if _says_how(model.cache)]
    if others:
        why = "nobody wants a cache (exact: true, or semantic: true)"
        yield f"teams, models: cache of {named(others)} does nothing: {why}"


def _without_exact(config: Config) -> Iterator[str]:
    """Single flight, which is the exact cache's alone, where only the semantic one is wanted."""
    teams = {team.id: team for team in config.teams}
    alone = [key for key in config.keys if _may_keep(config, key, teams, "semantic")]
    alone = [key for key in alone if not _may_keep(config, key, teams, "exact")]
    keys = [key.id for key in alone if key.cache is not None and key.cache.single_flight]
    if keys:
        yield f"keys: cache.single_flight of {named(keys)} does nothing: it is of the exact cache (exact: true)"
    if _anybody(config, "semantic") and not _anybody(config, "exact"):
        said = [(team.id, team.cache) for team in config.teams] + [(name, m.cache) for name, m in config.models.items()]
        places = [name for name, wish in said if wish is not None and wish.single_flight]
        places += ["cache.exact"] if config.cache.exact.single_flight else []
        if places:
            yield f"cache: single_flight of {named(places)} does nothing: nobody wants the exact cache (exact: true)"


def _too_small(config: Config) -> Iterator[str]:
    """A store of which not every worker can have a part."""
    size, workers = config.cache.exact.max_mb, config.server.workers or max(1, len(os.sched_getaffinity(0)))
    if size <= workers and _anybody(config, "exact"):
        yield (
            f"cache.exact.max_mb: each worker fills one MiB at a time, and {size} for {workers} workers are too few:"
            " some answers will not be kept; let it be some more than there are workers"
        )


def _says_how(wish: CacheWish | None) -> bool:
    """Whether it says anything beside which cache is wanted."""
    return wish is not None and any(
        getattr(wish, name) is not None for name in wish.__struct_fields__ if name not in _WHICH
    )


def _may_keep(config: Config, key: Key, teams: dict[str, Team], *caches: str) -> bool:
    """Whether one of ``caches`` may be for a key: by what holds for it, or by a public model that it is free to ask."""
    team = teams.get(key.team or "")
    for cache in caches:
        held = (exact_in_force if cache == "exact" else semantic_in_force)(config, key, team)
        wishes = (key.cache, team.cache if team is not None else None)
        silent = all(wish is None or getattr(wish, cache) is None for wish in wishes)
        if held.wanted or (silent and _by_a_model(config, cache)):
            return True
    return False


def _by_a_model(config: Config, cache: str) -> bool:
    return any(model.cache is not None and getattr(model.cache, cache) for model in config.models.values())


def _anybody(config: Config, *caches: str) -> bool:
    """Whether anything in the file wants one of ``caches``."""
    wishes = [thing.cache for things in (config.keys, config.teams) for thing in things if thing.cache is not None]
    return any(
        getattr(config.cache, cache).enabled
        or _by_a_model(config, cache)
        or any(getattr(wish, cache) for wish in wishes)
        for cache in caches
    )
