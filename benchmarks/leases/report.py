"""What was seen, as Markdown."""

from collections.abc import Iterable

from benchmarks.leases.played import Played
from benchmarks.leases.redis import Costs
from loadtest.report import table

_HEAD = (
    "", "hosts", "requests/s", "messages/s", "windows in each", "of a Redis core", "worst second", "longest wait ms",
    "left at the first wrong refusal", "wrong refusals", "left at the end", "well after s",
)  # fmt: skip


def costs_said(costs: Costs, version: str) -> str:
    """What was measured."""
    return (
        f"Redis {version}, microseconds of its CPU: a message {costs.message / 1000:.1f}, each window in it"
        f" {costs.window / 1000:.1f}; a host that joins {costs.join / 1000:.0f}, each host that it names"
        f" {costs.named / 1000:.2f}; a list of hosts {costs.short / 1000:.1f}, and {costs.listed / 1000:.3f} for each"
    )


def scenarios(found: Iterable[Played]) -> str:
    """One row each."""
    return table(_HEAD, [_row(one) for one in found])


def line(one: Played) -> str:
    """The same row by itself."""
    return ", ".join(f"{name} {text}".strip() for name, text in zip(_HEAD, _row(one), strict=True) if text)


def _row(one: Played) -> tuple[str, ...]:
    seen = one.seen
    mean, worst = one.busy
    changed = one.scenario.changed is not None
    well = "" if not changed else "not" if one.well_after is None else f"{one.well_after:.1f}"
    left = seen.first_wrong_left
    ends = one.scenario.money < one.scenario.ends
    return (
        one.scenario.name,
        f"{one.hosts:,}",
        f"{one.rate:,.0f}",
        f"{one.messages:,.0f}",
        f"{one.windows:.2f}",
        f"{mean:.1%}",
        f"{worst:.1%}",
        f"{one.longest_wait_ns / 1e6:.1f}",
        "none" if left is None else f"{left:.1%}, {left * one.scenario.money:.2f} s" ,
        f"{one.wrong:.2%}",
        f"{one.left:.2%}" if ends else "",
        well,
    )  # fmt: skip
