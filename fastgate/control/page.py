"""The status page: spend, budgets and recent requests as plain HTML, rendered here; needs no script."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

STYLE: Final = """
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 18%, Canvas); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding-bottom: .3rem; color: GrayText; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.bad { border-left: .3rem solid #c62828; padding: .4rem .8rem; }
meter { width: 8rem; } form { display: inline; } label { display: block; }
input, button { font: inherit; padding: .3rem .6rem; margin: .2rem 0; }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""The link's token must not travel further, nor anything be loaded or framed."""

Cell = str | tuple[str, str]
"""Text, or text and a class."""


def sign_in_page(failed: bool = False) -> str:
    """Asks for the admin token."""
    wrong = (
        '<p class="bad" role="alert">That is not the admin token, or the link was used already.</p>' if failed else ""
    )
    return _document(
        "Sign in",
        f"<h1>fastgate</h1>{wrong}<form method='post' action='/sign-in'>"
        "<label for='token'>Admin token</label>"
        "<input id='token' name='token' type='password' autocomplete='current-password' required autofocus> "
        "<button>Sign in</button></form>"
        "<p>It stands in the configuration, else in the file <code>admin-token</code> of the state folder.</p>",
    )


def status_page(
    status: Mapping[str, Any],
    spend: Mapping[str, Sequence[Mapping[str, Any]]] | None,
    budgets: Sequence[Any],
    requests: Sequence[Mapping[str, Any]],
    ledger_error: str | None,
) -> str:
    """``spend`` by heading, ``budgets`` and ``requests`` as the API answers them."""
    body = [
        "<header><h1>fastgate</h1><p>",
        escape(f"version {status['version']}, configuration {status['config']['generation']}, "),
        f"{sum(worker['alive'] for worker in status['workers'])} workers. ",
        "<form method='post' action='/sign-out'><button>Sign out</button></form></p></header><main>",
        *(f'<p class="bad" role="alert">{escape(text)}</p>' for text in _alarms(status, ledger_error)),
    ]
    for heading, rows in (spend or {}).items():
        name = heading.lower()
        body.append(
            _section(
                f"Spend by {name}",
                "Last 30 days, by cost",
                [heading, "Requests#", "Cost USD#", "Saved USD#", "Input tokens#", "Cached tokens#", "Output tokens#"],
                ([str(row[name]) or "(none)", *_measures(row)] for row in rows),
            )
        )
    body.append(_budgets(budgets))
    body.append(_requests(requests))
    return _document("Status", "".join(body) + "</main>")


def _alarms(status: Mapping[str, Any], ledger_error: str | None) -> Iterable[str]:
    journals = status["journals"]
    if status["config"]["error"]:
        yield f"Reload failed: {status['config']['error']}. {' '.join(status['config']['problems'])}"
    if status["config"]["restart_needed"]:
        yield f"Changed, but only a restart takes it up: {', '.join(status['config']['restart_needed'])}"
    if ledger_error or not status["ledger"]["open"]:
        yield f"Ledger: {ledger_error or status['ledger']['error']}"
    if journals["dropped_events"]:
        yield f"{journals['dropped_events']} log rows were lost for want of space (${journals['dropped_usd']})"
    leases = status["leases"]
    if leases and leases["error"]:
        yield f"Budgets that hosts share: {leases['error']}"
    if leases and leases["learning"]:
        yield "Budgets that hosts share: nothing more is granted of them until all hosts have told what they have"
    sharing = status["shared_configuration"]
    if sharing and sharing["error"]:
        yield f"What hosts share of the configuration: {sharing['error']}"
    for path, reason in journals["damaged"].items():
        yield f"Damaged journal {path}: {reason}"


def _measures(row: Mapping[str, Any]) -> list[Cell]:
    names = ("requests", "input_tokens", "cache_read_tokens", "output_tokens")
    requests, *tokens = ((f"{row[name]:,}", "n") for name in names)
    return [requests, (row["cost_usd"], "n"), (row["saved_usd"], "n"), *tokens]


def _budgets(budgets: Sequence[Any]) -> str:
    def cells(each: Any) -> list[Cell]:
        limit, spent = float(each.limit_usd), float(each.spent_usd)
        text = f"{100 * spent / limit:.0f} %" if limit else ""
        amounts: list[Cell] = [
            (amount, "n") for amount in (each.limit_usd, each.spent_usd, each.held_usd, each.left_usd)
        ]
        return [each.id, *amounts, text, each.resets_at or "never"]

    heads = ["Budget", "Limit USD#", "Spent USD#", "Held USD#", "Left USD#", "Used", "Resets at"]
    return _section("Budgets", "The first 100, by name", heads, map(cells, budgets))


def _requests(requests: Sequence[Mapping[str, Any]]) -> str:
    heads = ["Time", "Key", "Team", "Model", "Provider", "Status#", "Settlement", "Cost USD#", "Saved USD#"]
    heads += ["Milliseconds#", "Error"]
    rows = (
        [
            row["started_at"], row["key"], row["team"], row["model"], row["provider"], (str(row["status"]), "n"),
            row["settlement"], (row["cost_usd"], "n"), (row["saved_usd"], "n"),
            (f"{row['duration_us'] / 1000:.1f}", "n"), row["error"],
        ]
        for row in requests
    )  # fmt: skip
    return _section("Recent requests", "Newest first", heads, rows)


def _section(title: str, caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A heading with its table; a head that ends in ``#`` is of numbers."""
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    if not lines:
        return f"<section><h2>{escape(title)}</h2><p>Nothing yet.</p></section>"
    shown = "".join(
        f'<th scope="col"{" class=n" if head.endswith("#") else ""}>{escape(head.rstrip("#"))}</th>' for head in heads
    )
    return (
        f"<section><h2>{escape(title)}</h2><div class='wide' tabindex='0' role='region' aria-label='{escape(title)}'>"
        f"<table><caption>{escape(caption)}</caption><thead><tr>{shown}</tr></thead><tbody>{lines}</tbody></table>"
        "</div></section>"
    )


def _cell(cell: Cell) -> str:
    text, kind = (cell, "") if isinstance(cell, str) else cell
    return f"<td{f' class={kind}' if kind else ''}>{escape(text)}</td>"


def _document(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)} - fastgate</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
