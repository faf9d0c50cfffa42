"""Rows as an aligned table, CSV or JSON, on standard output."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def as_json(document: Any) -> str:
    """Indented JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """RFC 4180 with a header line, without the last line end. Text that a spreadsheet would calculate follows a `'`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return out.getvalue().removesuffix("\r\n")


def _inert(value: Any) -> Any:
    """Names that clients chose may be formulas; amounts and counts never begin like one."""
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula and not _is_number(value) else value


def as_table(columns: Sequence[str], rows: Sequence[Row], total: Row | None = None) -> str:
    """Columns padded to their widest cell; numbers to the right; ``total`` under a rule."""
    body = [[_cell(row.get(column)) for column in columns] for row in rows]
    last = [] if total is None else [[_cell(total.get(column, "")) for column in columns]]
    if last:
        last[0][0] = last[0][0] or "total"
    lines = [list(columns), *body, *last]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    right = [bool(body) and all(_is_number(line[i]) for line in body) for i in range(len(columns))]
    rule = "  ".join("-" * width for width in widths)
    text = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    ]
    text.insert(1, rule)
    if last:
        text.insert(len(text) - 1, rule)
    return "\n".join(text)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text == "" or text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()
