"""Every model name that the catalogue prices for a provider, and the rules that stand for families of names.

The request path looks a model up in what is compiled from this; the catalogue's own matching, which needs all of its
data, stays where configurations are compiled.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from genai_prices import types
from genai_prices.types import ModelInfo

from fastgate.pricing import listed

_KINDS: Final = {
    types.ClauseStartsWith: "starts_with",
    types.ClauseEndsWith: "ends_with",
    types.ClauseContains: "contains",
    types.ClauseRegex: "regex",
}
# What makes a full name of the beginning or the end that a family shares.
_DATES: Final = ("", "-2024-08-06", "-20250219", "2024-08-06", "20250219", "x")


class Family(NamedTuple):
    """Model names of one price. ``kind`` and ``text`` are those of ``wire.snapshot.PriceRule``."""

    kind: str
    text: str
    sample: str
    """A name of the family, to look its price up with."""


def names(provider_type: str, base_url: str | None) -> tuple[tuple[str, ...], tuple[Family, ...]]:
    """Exact names and families of the models listed for a provider, in the order in which they are to be tried."""
    return _names(listed.provider_id(provider_type, base_url))


@cache
def _names(provider: str | None) -> tuple[tuple[str, ...], tuple[Family, ...]]:
    exact: list[str] = []
    families: list[Family] = []
    for model in _models(provider) if provider else ():
        for clause in _clauses(model.match):
            if isinstance(clause, types.ClauseEquals):
                exact.append(clause.equals.lower())
                continue
            text = _text(clause)
            sample = _sample(str(provider), model, clause, text)
            if sample is not None:
                families.append(Family(_KINDS[type(clause)], text, sample))
        exact.append(model.id.lower())
    return tuple(dict.fromkeys(exact)), tuple(families)


def _models(provider: str) -> Iterator[ModelInfo]:
    """A provider's models, then those that it also serves under their makers' names."""
    info = listed.providers()[provider]
    yield from info.models
    for other in info.fallback_model_providers or ():
        yield from listed.providers()[other].models


def _clauses(match: types.MatchLogic) -> Iterator[types.MatchLogic]:
    """The alternatives of a match. Conjunctions are left out: their models keep their ids."""
    if isinstance(match, types.ClauseOr):
        for clause in match.or_:
            yield from _clauses(clause)
    elif not isinstance(match, types.ClauseAnd):
        yield match


def _text(clause: types.MatchLogic) -> str:
    match clause:
        case types.ClauseStartsWith():
            return clause.starts_with.lower()
        case types.ClauseEndsWith():
            return clause.ends_with.lower()
        case types.ClauseContains():
            return clause.contains.lower()
        case types.ClauseRegex():
            return clause.regex
    raise TypeError(f"unknown clause {type(clause).__name__}")


def _sample(provider: str, model: ModelInfo, clause: types.MatchLogic, text: str) -> str | None:
    """A name that the clause matches and that the catalogue takes for this very model, if one can be made."""
    candidates = [model.id, *(text + date for date in _DATES), *("x" + text + date for date in _DATES)]
    for candidate in candidates:
        found = listed.find(provider, candidate)
        if (
            found is not None
            and found.id == model.id
            and (isinstance(clause, types.ClauseRegex) or clause.is_match(candidate))
        ):
            return candidate
    return None
