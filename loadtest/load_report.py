"""The figures of an open loop as Markdown."""

from collections.abc import Mapping
from statistics import median

from loadtest.cores import Cores
from loadtest.figures import ALONE, BARE, FASTGATE
from loadtest.offered import BACK_ROWS, BROKEN_US, REQUESTS, STREAMS, Found, Offered, recovered, time
from loadtest.profiles import Profile
from loadtest.report import PROCESSES, promises, table


def markdown(found: Found, name: str, profile: Profile, cores: Cores, machine: Mapping[str, str]) -> str:
    """Everything: where, how, what was found, and whether it is what is promised."""
    parts = [
        f"# make load PROFILE={name}: {profile.question}",
        "\n".join(f"* {what}: {text}" for what, text in machine.items()),
        _method(found, profile, cores),
    ]
    if found.subjects(REQUESTS):
        parts.append(_steps(found) if profile.climbs else _requests(found))
    if profile.shows_time:
        parts.append(_recoveries(found, profile) if len(profile.phases) == 3 else _changes(found, profile))
    if found.subjects(STREAMS):
        parts.append(_streams(found, profile))
    parts += ["Microseconds of CPU per request, or chunk, of every process of fastgate's runs:", _processes(found)]
    bounds = list(found.bounds(profile))
    if bounds:
        parts += ["What is promised:", promises(bounds)]
    return "\n\n".join(parts)


def _method(found: Found, profile: Profile, cores: Cores) -> str:
    outside = [run.outside for run in found.runs if "subject" in run.cpu]
    late = [run.times["late"].p99 for run in found.runs]
    load = [run.cpu["load"] for run in found.runs if run.kind == REQUESTS]
    phases = ", ".join(f"{phase.rate:,.0f}/s for {phase.seconds:g} s" for phase in profile.phases)
    lines = [
        f"* method: the subject alone on core {cores.subject}; the open loop, the upstream, fastgate's supervisor and"
        f" its control plane, which has what the others leave, on core {cores.load}",
        f"* rounds in which all take turns: {profile.runs}; medians, differences within a round",
        *([f"* requests: unique prompts of {profile.prompt_kb} KB, {phases}"] if phases else []),
        "* a time begins when a request is due, sent or not; every answer was the right one to its last byte, and the"
        " ledger had all of them at their exact price",
        f"* the loop itself was late by {median(late):,.0f} µs (median of the runs' p99; at most {max(late):,.0f})"
        + (f" and took {median(load):.1f} µs of CPU per request" if load else ""),
        "* the loop, the upstream and the subject came before whatever else the machine does (SCHED_RR)"
        if found.undisturbed
        else "* whatever else the machine does had its turn among the loop, the upstream and the subject",
        f"* others used {median(outside):.0%} of the subject's core (median of all runs; at most {max(outside):.0%})",
    ]
    if cores.subject == cores.load:
        lines.append("* THERE IS ONLY ONE CORE: subject and load took it from each other, the figures say nothing")
    return "\n".join(lines)


def _processes(found: Found) -> str:
    rows = []
    for kind in (REQUESTS, STREAMS):
        runs = found.of(FASTGATE, kind)
        if runs:
            rows.append([kind, *(f"{median(run.cpu[process] for run in runs):.1f}" for process in PROCESSES)])
    return table(["", "worker", "control plane", "supervisor", "open loop", "upstream"], rows)


def _cpu(found: Found, subject: str, kind: str) -> str:
    runs = [run for run in found.of(subject, kind) if "subject" in run.cpu]
    return f"{median(run.cpu['subject'] for run in runs):.1f}" if runs else ""


def _requests(found: Found) -> str:
    shares = "p50", "p90", "p99", "p999", "longest"
    head = ["subject", "requests", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "longest µs", "added p50", "added p99"]
    rows = []
    for subject in found.subjects(REQUESTS):
        row = [subject, f"{sum(run.count for run in found.of(subject, REQUESTS)):,}"]
        row += [f"{found.median(subject, REQUESTS, time('latency', share)):,.0f}" for share in shares]
        row += _added(found, subject, REQUESTS, "latency")
        rows.append([*row, _cpu(found, subject, REQUESTS), _memory(found.of(subject, REQUESTS))])
    return table([*head, "µs of CPU", "private MB"], rows)


def _added(found: Found, subject: str, kind: str, of: str) -> list[str]:
    """To the upstream called directly."""
    if subject == ALONE or ALONE not in found.subjects(kind):
        return ["", ""]
    return [f"{found.added(subject, kind, time(of, share)):,.0f}" for share in ("p50", "p99")]


def _memory(runs: list[Offered]) -> str:
    most = max(run.private_bytes for run in runs)
    return f"{most / 1e6:.0f}" if most else ""


def _steps(found: Found) -> str:
    subjects = found.subjects(REQUESTS)
    lines = [
        f"* {subject} keeps up with {found.knee(subject):,.0f} requests a second (p99 within {BROKEN_US / 1000:g} ms)"
        for subject in subjects
    ]
    head = ["requests/s", *(text for subject in subjects for text in (f"{subject}: p50 µs", "p99 µs", "µs of CPU"))]
    rows = []
    for rate in sorted({run.rate for run in found.runs}):
        row = [f"{rate:,.0f}"]
        for subject in subjects:
            row += _step([run for run in found.of(subject, REQUESTS) if run.rate == rate])
        rows.append(row)
    return "\n".join([*lines, "", table(head, rows)])


def _step(runs: list[Offered]) -> list[str]:
    """Of one subject at one rate, to which it may not have come."""
    if not runs:
        return ["", "", ""]
    shares = [f"{median(time('latency', share)(run) for run in runs):,.0f}" for share in ("p50", "p99")]
    return [*shares, f"{median(run.cpu['subject'] for run in runs):.1f}" if "subject" in runs[0].cpu else ""]


def _recoveries(found: Found, profile: Profile) -> str:
    base, burst, _ = profile.phases
    lines = []
    for subject in found.subjects(REQUESTS):
        for run in found.of(subject, REQUESTS):
            seconds = recovered(run, profile)
            how = "never" if seconds is None else f"{seconds:.1f} s after the burst" if seconds else "at once"
            lines.append(f"* {subject}, round {run.round + 1}: as before {how}")
    what = (
        f"After {burst.rate / base.rate:g} times the rate for {burst.seconds:g} s, latencies are as before once the p90"
        f" of {BACK_ROWS} times {profile.row_seconds:g} s is within twice the usual one:"
    )
    return "\n".join([what, "", *lines])


def _changes(found: Found, profile: Profile) -> str:
    lines = []
    for subject in found.subjects(REQUESTS):
        for run in found.of(subject, REQUESTS):
            first, last, worst = run.rows[0], run.rows[-1], max(run.rows, key=lambda row: row.p99)
            lines.append(
                f"* {subject}, round {run.round + 1}: in the first {profile.row_seconds:g} s p50 {first.p50:,.0f}, p99"
                f" {first.p99:,.0f} µs; in the last {last.p50:,.0f} and {last.p99:,.0f} µs; the highest p99 of any"
                f" {worst.p99:,.0f} µs; private memory grew by {run.grown_bytes / 1e6:.1f} MB"
            )
    return "\n".join(lines)


def _streams(found: Found, profile: Profile) -> str:
    wanted = profile.streams
    assert wanted is not None
    head = ["subject", "chunks/s", "µs per chunk", "times the bare relay", "first p50 µs", "first p99 µs", "added p50"]
    head += ["added p99", "delay p50 ms", "delay p99 ms", "delay p99.9 ms", "gap p99.9 ms"]
    rows = []
    for subject in found.subjects(STREAMS):
        ratio = ""
        if subject != ALONE and BARE in found.subjects(STREAMS):
            ratio = f"{found.ratio(subject, BARE, STREAMS, lambda run: run.cpu['subject']):.2f}"
        row = [subject, f"{wanted.open * 1000 / wanted.chunk_ms:,.0f}", _cpu(found, subject, STREAMS), ratio]
        row += [f"{found.median(subject, STREAMS, time('first', share)):,.0f}" for share in ("p50", "p99")]
        row += _added(found, subject, STREAMS, "first")
        row += [f"{found.median(subject, STREAMS, time('delay', at)) / 1000:.2f}" for at in ("p50", "p99", "p999")]
        rows.append([*row, f"{found.median(subject, STREAMS, time('gap', 'p999')) / 1000:.1f}"])
    what = (
        f"Streams: {wanted.open:,} open, of {wanted.chunks} chunks, one each {wanted.chunk_ms:g} ms; `first`: from when"
        " a stream was due to its first chunk; `delay`: from the source's write of a chunk to its reading:"
    )
    return f"{what}\n\n{table(head, rows)}"
