"""The price of a model at a provider: the operator's, else the listed one with what the overlay adds."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from fastgate.pricing import listed, overlay, simulated
from fastgate.pricing.amounts import PriceError, complete, femto, parse_usd
from fastgate.wire.prices import ModelPrice, PriceBand, PriceOverride, PriceRow
from fastgate.wire.usage import Bucket, Tier

_MOST_KEPT: Final = 1 << 14
_NO_OVERRIDES: Final[Mapping[str, Mapping[str, PriceOverride]]] = {}

# Field of an override -> bucket, units that the price is for.
_FIELDS: Final = {
    "input_usd_per_million": (Bucket.INPUT, 10**6),
    "output_usd_per_million": (Bucket.OUTPUT, 10**6),
    "cache_read_usd_per_million": (Bucket.CACHE_READ, 10**6),
    "cache_read_audio_usd_per_million": (Bucket.CACHE_READ_AUDIO, 10**6),
    "cache_read_image_usd_per_million": (Bucket.CACHE_READ_IMAGE, 10**6),
    "cache_write_usd_per_million": (Bucket.CACHE_WRITE, 10**6),
    "cache_write_1h_usd_per_million": (Bucket.CACHE_WRITE_1H, 10**6),
    "reasoning_usd_per_million": (Bucket.REASONING, 10**6),
    "audio_input_usd_per_million": (Bucket.AUDIO_INPUT, 10**6),
    "audio_output_usd_per_million": (Bucket.AUDIO_OUTPUT, 10**6),
    "image_input_usd_per_million": (Bucket.IMAGE_INPUT, 10**6),
    "web_search_usd_per_thousand": (Bucket.WEB_SEARCH, 10**3),
    "file_search_usd_per_thousand": (Bucket.FILE_SEARCH, 10**3),
    "audio_usd_per_hour": (Bucket.AUDIO_TIME, 1),
    "character_usd_per_million": (Bucket.CHARACTER, 10**6),
    "request_usd": (Bucket.REQUEST, 1),
}


class Catalogue:
    """Finds prices. ``overrides`` are what operators state, by the provider's name and then by model.

    A model that is in no source is None, never free of charge.
    """

    def __init__(self, overrides: Mapping[str, Mapping[str, PriceOverride]] = _NO_OVERRIDES) -> None:
        self._overrides = overrides

    def find(
        self, provider_type: str, model: str, *, provider: str = "", base_url: str | None = None
    ) -> ModelPrice | None:
        """All rows of a model, or None where its price is unknown.

        ``provider`` is the configured name (by default the type), ``base_url`` tells which service an
        ``openai-compatible`` provider is. Raises PriceError for an override that cannot be stored exactly.
        """
        name = provider or provider_type
        found = simulated.find(model) or _listed(listed.provider_id(provider_type, base_url), model)
        override = self._overrides.get(name, {}).get(model)
        if override is not None:
            return overridden(name, model, override, found)
        return None if found is None else msgspec.structs.replace(found, provider=name, model=model)


def overridden(provider: str, model: str, override: PriceOverride, found: ModelPrice | None = None) -> ModelPrice:
    """A model at an operator's prices: one row for all tiers, regions and prompt sizes; sizes are inherited.

    Raises PriceError, naming the field, for an amount that is not a plain decimal or not whole in femto-USD.
    """
    known: dict[Bucket, int] = {}
    for field, (bucket, per) in _FIELDS.items():
        text: str | None = getattr(override, field)
        if text is not None:
            known[bucket] = femto(parse_usd(text, field), per, field)
    row = PriceRow(Tier.STANDARD, (PriceBand(-1, complete(known)),))
    context_window = override.context_window or (found.context_window if found else None)
    max_output = override.max_output or (found.max_output if found else None)
    reasons = found.reasons if found else None
    return ModelPrice(provider, model, (row,), context_window, max_output, override.source, reasons)


@lru_cache(_MOST_KEPT)  # the package's data never change, and its search is slow: the next configuration asks the same
def _listed(provider: str | None, model: str) -> ModelPrice | None:
    entry = listed.find(provider, model) if provider is not None else None
    if provider is None or entry is None:
        return None
    added = overlay.additions(provider, entry.id)
    try:
        rows = listed.rows(entry, added.fill)
    except PriceError as error:
        raise PriceError(f"{provider}/{entry.id}: {error}") from error
    if not rows:
        return None
    context_window = entry.context_window or added.context_window
    return ModelPrice(
        provider, entry.id, added.widen(rows), context_window, added.max_output, listed.SOURCE, added.reasons
    )
