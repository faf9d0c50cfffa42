"""The figures as Markdown."""

from collections.abc import Iterable, Sequence
from statistics import median

from loadtest.figures import FASTGATE, LONG_KB, NGINX, Bound, Figures, bounds, cpu_of, rate
from loadtest.plan import Plan

PROCESSES = ("subject", "control", "supervisor", "load", "upstream")
"""Of a run of fastgate, as they are printed."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(figures: Figures, plan: Plan) -> str:
    """Everything: where, how, what was found, and whether it is what is promised."""
    own = "* fastgate: `serve --workers 1` with a virtual key, four budgets, a price, journal and ledger"
    parts = [
        "# The whole system under load",
        method(figures, plan, own),
        requests(figures, [NGINX]),
        "Microseconds of CPU per request of every process of fastgate's runs:",
        _processes(figures),
        streams(figures, plan),
        "What is promised:",
        promises(bounds(figures)),
    ]
    return "\n\n".join(parts)


def method(figures: Figures, plan: Plan, *subjects: str) -> str:
    """Where and how it was measured, with lines that say what the subjects are."""
    outside = [run.outside for run in figures.runs if "subject" in run.cpu]
    cores = figures.cores
    lines = [
        *(f"* {name}: {text}" for name, text in figures.machine.items()),
        f"* method: the subject alone on core {cores.subject}; wrk (1 thread; our own generator for"
        f" prompts of {LONG_KB} KB and more) with {plan.connections} connections, each of which asks anew when it is"
        " answered, unique prompts; the constant upstream (nginx), fastgate's supervisor and control plane on core"
        f" {cores.load}",
        f"* {plan.runs} rounds in which all take turns, {plan.seconds} s each; medians, ratios within a round; CPU is"
        " user and system time of all threads of the subject's process, per request that reached the upstream",
        *subjects,
        "* every answer was a 200 with the upstream's text, the upstream counted as many; after each run of fastgate"
        " the ledger had as many rows, at their exact cost",
        f"* others used {median(outside):.0%} of the subject's core (median of all runs; at most {max(outside):.0%})",
    ]
    if cores.subject == cores.load:
        lines.append("* THERE IS ONLY ONE CORE: subject and load took it from each other, the figures say nothing")
    return "\n".join(lines)


def requests(figures: Figures, beside: Iterable[str]) -> str:
    """Rates and CPU of all subjects, and fastgate's rates as multiples of those of some ``beside`` it."""
    sizes = figures.sizes()
    head = [
        "subject",
        *(text for size in sizes for text in (f"{size} KB: requests/s", "µs of CPU", "p99 ms")),
    ]
    rows = []
    for subject in figures.subjects(sizes[0]):
        row = [subject]
        for size in sizes:
            measured = "subject" in figures.of(subject, size)[0].cpu
            cpu = f"{figures.median(subject, size, cpu_of('subject')):.1f}" if measured else ""
            p99 = figures.median(subject, size, lambda run: run.p99) / 1000
            row += [f"{figures.median(subject, size, rate):,.0f}", cpu, f"{p99:.2f}"]
        rows.append(row)
    for other in beside:
        shares = [f"{figures.ratio(FASTGATE, other, size, rate):.2f}" for size in sizes]
        rows.append([f"fastgate : {short(other)}", *(text for share in shares for text in (share, "", ""))])
    return table(head, rows)


def short(subject: str) -> str:
    """Its name without what it is."""
    return subject.partition(",")[0]


def _processes(figures: Figures) -> str:
    rows = []
    for size in figures.sizes():
        cpu = [f"{figures.median(FASTGATE, size, cpu_of(process)):.1f}" for process in PROCESSES]
        rows.append([f"{size} KB", *cpu])
    return table(["prompt", "worker", "control plane", "supervisor", "load", "upstream"], rows)


def streams(figures: Figures, plan: Plan) -> str:
    """CPU and delay of relayed chunks of all subjects that were given streams."""
    title = (
        f"Streams: {plan.streams} open, one chunk each every {plan.chunk_ms:g} ms; µs of CPU per relayed chunk, and the"
        " milliseconds from the source's write to the client's read:"
    )
    rows = []
    for subject in figures.subjects(0):
        measured = "subject" in figures.of(subject, 0)[0].cpu
        cpu = f"{figures.median(subject, 0, cpu_of('subject')):.1f}" if measured else ""
        delays = [figures.median(subject, 0, value) for value in (lambda r: r.p50, lambda r: r.p99, lambda r: r.p999)]
        name = "source to client, nothing between" if not measured else subject
        rows.append(
            [name, f"{figures.median(subject, 0, rate):,.0f}", cpu, *(f"{delay / 1000:.2f}" for delay in delays)]
        )
    head = ["subject", "chunks/s", "µs per chunk", "p50 ms", "p99 ms", "p99.9 ms"]
    return f"{title}\n\n{table(head, rows)}"


def promises(checked: Iterable[Bound]) -> str:
    """What is promised, and whether it is kept."""
    rows = []
    for bound in checked:
        relation = "at least" if bound.at_least else "at most"
        found, limit = (
            f"{value:,.0f}" if bound.bound >= 100 else f"{value:.2f}" for value in (bound.found, bound.bound)
        )
        rows.append([bound.what, f"{found} {bound.unit}", f"{relation} {limit}", "yes" if bound.met else "NO"])
    return table(["what", "found", "promised", "kept"], rows)
