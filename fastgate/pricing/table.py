"""Prices as the flat bytes that the compiled core reads in place; the layout is that of ``_core/price.pxd``."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fastgate.pricing.amounts import MAX_FEMTO, PriceError
from fastgate.wire.prices import PRICED, UNSTATED, ModelPrice, PriceBand, PriceRow
from fastgate.wire.usage import N_BUCKETS, PROMPT_BUCKETS, Bucket, Tier

MAGIC: Final = b"FGPRICE1"
VERSION: Final = 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_N_TIERS: Final = 8
_DAY: Final = 86_400
_MAX_PERMILLE: Final = 10_000

_HEADER: Final = struct.Struct("<8sIIII")  # magic, version, models, rows, bands
_MODEL: Final = struct.Struct(f"<{_N_TIERS * 2}I")  # first row and number of rows of each tier
_ROW: Final = struct.Struct("<qqiiIIq")  # from, until, day from, day until, first band, bands, permille
_BAND: Final = struct.Struct(f"<q{N_BUCKETS}qqqqq")  # above, prices, dearest of each of _GROUPS

_TEXT_INPUT: Final = (Bucket.INPUT, Bucket.CACHE_READ, Bucket.CACHE_WRITE, Bucket.CACHE_WRITE_1H)
_TEXT_OUTPUT: Final = (Bucket.OUTPUT, Bucket.REASONING)
_ANY_OUTPUT: Final = (*_TEXT_OUTPUT, Bucket.AUDIO_OUTPUT)
_GROUPS: Final = (_TEXT_INPUT, _TEXT_OUTPUT, PROMPT_BUCKETS, _ANY_OUTPUT)


def build_table(models: Sequence[ModelPrice]) -> bytes:
    """The table for ``fastgate._core.price.PriceTable``; a model's index is its position.

    Raises PriceError for a row that contradicts itself and for a model without a standard row that always holds.
    """
    directory, rows, bands = bytearray(), bytearray(), bytearray()
    for model in models:
        try:
            directory += _MODEL.pack(*_place(model, rows, bands))
        except PriceError as error:
            raise PriceError(f"{model.provider}/{model.model}: {error}") from error
    header = _HEADER.pack(MAGIC, VERSION, len(models), len(rows) // _ROW.size, len(bands) // _BAND.size)
    return b"".join((header, directory, rows, bands))


def _place(model: ModelPrice, rows: bytearray, bands: bytearray) -> Iterator[int]:
    """Appends a model's rows, and yields for each tier where they start and how many there are."""
    standard = [row for row in model.rows if row.tier is Tier.STANDARD]
    if not standard or not _always(standard[0]):
        raise PriceError("the first standard row must hold at all times")
    for tier in range(_N_TIERS):
        # The last row in force wins, so the core, which takes the first, gets them the other way round.
        chosen = [row for row in reversed(model.rows) if row.tier == tier]
        yield len(rows) // _ROW.size
        yield len(chosen)
        for row in chosen:
            rows += _pack_row(row, len(bands) // _BAND.size)
            bands += b"".join(_pack_bands(row.bands))


def _always(row: PriceRow) -> bool:
    return row.valid_from_ns is None and row.valid_until_ns is None and row.day_from_s is None


def _pack_row(row: PriceRow, first_band: int) -> bytes:
    if (row.day_from_s is None) != (row.day_until_s is None):
        raise PriceError("a time-of-day window needs both ends")
    if row.day_from_s is not None and row.day_from_s == row.day_until_s:
        raise PriceError("an empty time-of-day window")
    for second in (row.day_from_s, row.day_until_s):
        if second is not None and not 0 <= second <= _DAY:
            raise PriceError(f"second {second} is not of a day")
    if not 0 <= row.geo_permille <= _MAX_PERMILLE:
        raise PriceError(f"a regional factor of {row.geo_permille} permille")
    return _ROW.pack(
        _INT64_MIN if row.valid_from_ns is None else row.valid_from_ns,
        _INT64_MAX if row.valid_until_ns is None else row.valid_until_ns,
        -1 if row.day_from_s is None else row.day_from_s,
        -1 if row.day_until_s is None else row.day_until_s,
        first_band,
        len(row.bands),
        row.geo_permille,
    )


def _pack_bands(bands: Iterable[PriceBand]) -> Iterator[bytes]:
    last = None
    for band in bands:
        if last is None and band.above != -1:
            raise PriceError("the first band must start at -1")
        if last is not None and band.above <= last:
            raise PriceError("bands must ascend")
        if len(band.prices) != PRICED or not all(UNSTATED <= price <= MAX_FEMTO for price in band.prices):
            raise PriceError(f"a band needs {PRICED} prices from 0 to {MAX_FEMTO}, or unstated")
        last = band.above
        dearest = (max(band.prices[bucket] for bucket in group) for group in _GROUPS)
        yield _BAND.pack(band.above, *band.prices, *(0,) * (N_BUCKETS - PRICED), *dearest)
    if last is None:
        raise PriceError("a row without a band")
