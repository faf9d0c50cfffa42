"""The admin API's operations on the caches: what they hold, taking entries out, what they saved, how right they are.

Neither what was asked nor what was answered is shown, unless the configuration says that it may be: who runs a gateway
need not be who may read that.
"""

from typing import Annotated, Any, Final

from litestar import Request, Router, delete, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import Parameter

from fastgate.cache.about import NAMES, TAG
from fastgate.control import cache_answers
from fastgate.control.access import bearer, known_parameters
from fastgate.control.api import Since, Until
from fastgate.control.cache_answers import CacheDeletion, CacheEntry, CacheEntryList, CacheStatistics
from fastgate.control.cache_statistics import sums_by_key
from fastgate.control.cache_tiers import CacheTiers, Tier
from fastgate.control.cache_wanted import Wanted
from fastgate.control.object_lists import Cursor, Limit
from fastgate.control.objects_api import ACTOR, options_at
from fastgate.control.operations import described
from fastgate.control.parameters import MOST_AGE_SECONDS, Where, bounded, which
from fastgate.control.problems import BadParameter, Conflict
from fastgate.control.queries import Threads
from fastgate.control.semantic_answers import SemanticReport, semantic_report
from fastgate.ledger.attributes import MOST_LENGTH, conditions

MOST_ENTRIES: Final = 1000
MOST_KEYS: Final = 1000
MOST_SCOPES: Final = 1000
Text = Annotated[str | None, Parameter(max_length=MOST_LENGTH)]
OfTier = Annotated[Tier | None, Parameter(description="the cache that has it; both where it is left out")]
_ENTRY: Final = "/cache/entries/{entry_id:str}"


def _tiers(state: State) -> CacheTiers:
    tiers: CacheTiers = state.plane.caches
    return tiers


def _threads(state: State) -> Threads:
    threads: Threads = state.walks
    return threads


async def wanted(
    request: Request[Any, Any, Any],
    *,
    key: Text = None,
    team: Text = None,
    model: Annotated[str | None, Parameter(description="as it was asked for", max_length=MOST_LENGTH)] = None,
    upstream_model: Annotated[
        str | None, Parameter(description="by its provider's name", max_length=MOST_LENGTH)
    ] = None,
    provider: Text = None,
    dialect: Text = None,
    older_than_seconds: Annotated[
        int | None, Parameter(description="kept so long ago, or longer", ge=0, le=MOST_AGE_SECONDS)
    ] = None,
    younger_than_seconds: Annotated[
        int | None, Parameter(description="kept less than so long ago", ge=0, le=MOST_AGE_SECONDS)
    ] = None,
) -> Wanted:
    """Which entries: what holds for the request that paid for them, and their age. All that is said has to hold."""
    older, younger = older_than_seconds, younger_than_seconds
    if older is not None and younger is not None and younger <= older:
        what = f"nothing is both {older} s old, or older, and younger than {younger} s"
        raise Conflict(what, parameter="younger_than_seconds")
    said = zip(NAMES, (key, team, model, upstream_model, provider, dialect), strict=True)
    named = [(name, (value,)) for name, value in said if value is not None]
    tags = [f"{name}={value}" for name, value in request.query_params.multi_items() if name.startswith(TAG)]
    tagged = [(attribute.name, tuple(values)) for attribute, values in conditions(tags, "tags")]
    return Wanted((*named, *tagged), older, younger)


WANTED: Final = {"wanted": Provide(wanted)}


@get(
    "/cache/entries",
    summary="What the caches hold",
    opt={"tags": True},
    operation_class=described(None, tagged=True),
    dependencies=WANTED,
)
async def list_entries(
    state: State,
    wanted: NamedDependency[Wanted],
    *,
    tier: OfTier = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> CacheEntryList:
    """Those that have not expired, in no order that says anything. A page may have few, or none, and a `next`."""
    most = bounded(limit, 100, MOST_ENTRIES)
    found, following = await _threads(state).run(lambda: _tiers(state).page(wanted, tier, cursor or "", most))
    return CacheEntryList(found, following)


@delete(
    "/cache/entries",
    summary="Delete all entries of some kind",
    status_code=200,
    opt={"tags": True},
    operation_class=described(None, tagged=True),
    dependencies=WANTED,
)
async def delete_entries(
    state: State,
    wanted: NamedDependency[Wanted],
    *,
    tier: OfTier = None,
    all: Annotated[
        bool | None,
        Parameter(description="`true`: every entry of the tier, or of both; needed where nothing else is said"),
    ] = None,
) -> CacheDeletion:
    """Those that `GET cache/entries` lists. No request that begins after the answer gets one of them."""
    if wanted.is_everything and not all:
        which_ones = f"{', '.join(NAMES)}, tag:<name>, older_than_seconds or younger_than_seconds"
        alone = "" if tier is None else f" beside tier={tier}"
        every = "for every one, with tier for every one of that cache"
        raise BadParameter("all", f"nothing{alone} says which entries to delete: say {which_ones}; or all=true {every}")
    if all and not wanted.is_everything:
        raise Conflict("all=true deletes every entry, and something else says which: leave one out", parameter="all")
    return await _threads(state).run(lambda: _tiers(state).delete_all(wanted, tier, ACTOR))


@get(_ENTRY, summary="One entry of a cache")
async def get_entry(
    state: State,
    entry_id: str,
    *,
    texts: Annotated[
        bool | None,
        Parameter(description="`true`: with question and answer, where `cache.semantic.show_texts` is true"),
    ] = None,
) -> CacheEntry:
    """By its id, which `x-fastgate-cache-entry` of an answer says."""
    _check_id(entry_id)
    if texts and "-" in entry_id:
        raise Conflict("the exact cache shows neither questions nor answers", parameter="texts")
    return await _threads(state).run(lambda: _tiers(state).find(entry_id, ACTOR, texts=bool(texts)))


@delete(_ENTRY, summary="Delete an entry of a cache")
async def delete_entry(state: State, entry_id: str) -> None:
    """No request that begins after the answer gets it."""
    _check_id(entry_id)
    await _threads(state).run(lambda: _tiers(state).delete(entry_id, ACTOR))


@get("/cache/statistics", summary="What caches hold, and what they saved whom")
async def get_statistics(
    state: State, *, since: Since = None, until: Until = None, where: Where = None, limit: Limit = None
) -> CacheStatistics:
    """The store as it is now; the sums of all and by key are of the ledger, from `since` on and before `until`."""
    chosen, most = which(since, until, where or ()), bounded(limit, 100, MOST_KEYS)
    counts = await _threads(state).run(_tiers(state).exact.counts)
    total, keys, truncated = await state.queries.run(lambda cursor: sums_by_key(cursor, chosen, most))
    stores = [] if counts is None else [cache_answers.store(counts)]
    return CacheStatistics(stores, total, keys, truncated)


@get("/cache/semantic", summary="What the semantic cache decided, how right it was, what switching it on would save")
async def get_semantic(
    state: State,
    *,
    limit: Annotated[int | None, Parameter(description="scopes, those first that asked most", ge=1, le=1000)] = None,
) -> SemanticReport:
    """Since its counting began. Of who shares answers, too; the estimate of errors is of comparisons that were made."""
    most = bounded(limit, 100, MOST_SCOPES)
    return semantic_report(await _threads(state).run(lambda: _tiers(state).semantic.report(most)))


def _check_id(id_: str) -> None:
    if not cache_answers.ENTRY_ID.fullmatch(id_):
        what = "32 hexadecimal digits in lower case, a dash and a number, or 16 hexadecimal digits"
        raise BadParameter("entry_id", f"an entry's id is {what}")


router: Final = Router(
    "/api/v1",
    route_handlers=[
        options_at(["/cache/entries"], "DELETE, GET, OPTIONS"),
        list_entries,
        delete_entries,
        options_at([_ENTRY], "DELETE, GET, OPTIONS"),
        get_entry,
        delete_entry,
        options_at(["/cache/statistics"], "GET, OPTIONS"),
        get_statistics,
        options_at(["/cache/semantic"], "GET, OPTIONS"),
        get_semantic,
    ],
    guards=[bearer, known_parameters],
    security=[{"bearer": []}],
)
