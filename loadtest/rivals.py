"""``python -m loadtest.rivals``: fastgate beside other gateways in one run; ``make bench-rivals``.

Portkey's gateway and LiteLLM's proxy, in environments of their own and as their own documents say, and nginx for scale.
These only relay; fastgate has its key, budgets, prices and journal, as ever: what differs is in their favour.
"""

import sys
from collections.abc import Iterator
from typing import Final

from loadtest import nginx
from loadtest.figures import FASTGATE, LITELLM, NGINX, PORTKEY, Bound, Figures, cpu_of, rate
from loadtest.gateways import litellm, portkey
from loadtest.plan import Plan, parser
from loadtest.report import method, promises, requests, short, streams, table
from loadtest.rig import play
from loadtest.runs import attempted, keep
from loadtest.stage import Cast, Stage, Subject

NEEDED: Final = ("nginx", "wrk", "taskset", "setpriv")
RIVALS: Final = (PORTKEY, LITELLM)
PLAN: Final = Plan(seconds=10, streams=20, chunks=40, chunk_ms=50, warm=2)
"""So few streams that the slowest of them does not fall behind."""


def cast(stage: Stage) -> Cast:
    """nginx as a proxy, fastgate, and its rivals."""
    proxy = nginx.proxy(stage.programs, stage.cores.subject, stage.upstream.port)
    rivals = [portkey(stage), litellm(stage)]
    return Cast(
        constant=[
            Subject(NGINX, proxy.port, {"subject": proxy.pid, **stage.constant}),
            Subject(FASTGATE, stage.house.port, {**stage.fastgate, **stage.constant}),
            *(constant for constant, _ in rivals),
        ],
        streamed=[
            Subject(FASTGATE, stage.house.port, {**stage.fastgate, **stage.streaming}),
            *(streamed for _, streamed in rivals),
        ],
    )


def bounds(figures: Figures) -> Iterator[Bound]:
    """What is promised: rates of prompts of 1 KB, where they were measured, and memory."""
    if 1 in figures.sizes():
        for rival, times in ((PORTKEY, 10), (LITELLM, 90)):
            found = figures.ratio(FASTGATE, rival, 1, rate)
            yield Bound(f"requests/s on one core, 1 KB, to {short(rival)}", found, ": 1", times, at_least=True)
    most, least = max(figures.private_bytes(FASTGATE)), min(figures.private_bytes(LITELLM))
    yield Bound("the worker's private memory at its most, LiteLLM's at its least", most / 1e6, "MB", least / 1e6)


def markdown(figures: Figures, plan: Plan) -> str:
    """Where, what, how, and the tables."""
    parts = [
        "# fastgate beside other gateways",
        method(
            figures,
            plan,
            "* fastgate, governed: `serve --workers 1` with a virtual key, four budgets, a price, journal and ledger",
            f"* {' and '.join(map(short, RIVALS))}, not governed: no database, no budgets, no log of requests;"
            " LiteLLM's checks one key, without which it does not start",
        ),
        requests(figures, [NGINX, *RIVALS]),
        "Private memory of the process that serves, after each of its runs; CPU as a multiple of fastgate's:",
        _processes(figures),
        streams(figures, plan),
        "What is promised:",
        promises(bounds(figures)),
    ]
    return "\n\n".join(parts)


def _processes(figures: Figures) -> str:
    sizes = [*figures.sizes(), 0]
    loads = [f"{size} KB: times the CPU" if size else "chunk: times the CPU" for size in sizes]
    rows = []
    for subject in figures.subjects(sizes[0]):
        private = figures.private_bytes(subject)
        times = [
            f"{figures.ratio(subject, FASTGATE, size, cpu_of('subject')):.2f}" if figures.of(subject, size) else ""
            for size in sizes
        ]
        rows.append([subject, f"{min(private) / 1e6:.0f}", f"{max(private) / 1e6:.0f}", *times])
    return table(["subject", "least MB", "most MB", *loads], rows)


def main() -> int:
    """Entry point; returns the exit code."""
    options = vars(parser("python -m loadtest.rivals", sys.modules[__name__].__doc__, PLAN).parse_args())
    target, strict = options.pop("json"), options.pop("strict")
    plan = Plan(**options)
    figures = attempted(lambda folder: play(plan, cast, folder), NEEDED)
    if figures is None:
        return 1
    print(markdown(figures, plan))
    return keep("rivals", target, plan, figures, list(bounds(figures)), strict=strict)


if __name__ == "__main__":
    sys.exit(main())
