"""What `fastgate cache report` prints of the semantic cache, for people."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

Document = dict[str, Any]

SCOPE: Final = (
    "scope", "questions", "hits", "shadow_hits", "audited", "explored", "misses", "error_%", "error_95_%", "saved_usd",
    "would_save_usd",
)  # fmt: skip
_STANDING: Final = {
    "within": "within",
    "above": "above",
    "unknown": "so far too few comparisons to say whether within",
}


def lines(report: Document) -> Iterator[str]:
    """Of all; without the scopes."""
    total = report["total"]
    if total is None:
        yield "there is no semantic cache: the configuration names no cache.semantic.embedder"
        return
    yield f"mode: {report['mode']}; {report['entries']:,} entries in {report['partitions']:,} partitions"
    yield (
        f"{total['questions']:,} questions since {total['since'] or 'the start'}: {total['hits']:,} served, "
        f"{total['shadow_hits']:,} would have been, {total['audited']:,} audited, {total['explored']:,} explored, "
        f"{total['misses']:,} misses"
    )
    for reason, number in sorted(report["misses_by_reason"].items(), key=lambda each: (-each[1], each[0])):
        yield f"  {reason}: {number:,}"
    yield f"{total['compared']:,} of the hits were compared with the provider's answer, {total['wrong']:,} were wrong"
    yield f"wrong of hits: {share(total['error_per_hit'])}"
    yield f"wrong of all questions: {share(total['error_per_request'])}; max_error is {percent(report['max_error'])} %"
    yield f"saved: {total['saved_usd']} USD"
    if report["switching_on"] is not None:
        yield from _switching_on(report["switching_on"])


def _switching_on(found: Document) -> Iterator[str]:
    rate = "-" if found["hit_rate"] is None else percent(found["hit_rate"])
    per_day = "" if found["saved_usd_per_day"] is None else f", {found['saved_usd_per_day']} USD a day"
    yield ""
    yield f"switched on it would have answered {rate} % of all questions and saved {found['saved_usd']} USD{per_day},"
    standing = _STANDING[found["standing"]]
    yield f"at an error of {share(found['error_per_request'])} of all questions: {standing} max_error"


def scope_rows(scopes: Iterable[Document]) -> list[Document]:
    """Rows of a table with the columns ``SCOPE``; errors are of all their questions."""
    return [
        {
            **each,
            "scope": each["scope"] or each["tenant"],
            "error_%": _estimate(each["error_per_request"]),
            "error_95_%": _interval(each["error_per_request"]),
        }
        for each in scopes
    ]


def share(error: Document) -> str:
    """An estimate with its interval."""
    estimate = _estimate(error)
    return f"{estimate} % ({_interval(error)} %)" if estimate else "nothing was measured yet"


def percent(value: float) -> str:
    """To two places."""
    return f"{100 * value:.2f}"


def _estimate(error: Document) -> str:
    return "" if error["estimate"] is None else percent(error["estimate"])


def _interval(error: Document) -> str:
    return "" if error["estimate"] is None else f"{percent(error['lower'])}-{percent(error['upper'])}"
