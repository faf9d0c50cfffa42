"""The loops over bytes promise to touch no Python object: Cython's own annotation has to agree."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "fastgate" / "_core"
EVENTS = {
    "_consume", "_end_event", "_keep_tail", "_process", "_data_of", "_apply", "_strips_event", "_give_stripped",
    "_give_rebuilt", "_give", "_put", "_count", "_look",
}  # fmt: skip
WALK = {
    "walk", "_document", "_close", "_open", "_next", "_name", "_find", "_scalar", "_record", "_wanted", "_word",
    "_number", "_digits", "_string", "_wide", "_escape", "_hex4", "_space", "_fail", "_closes", "_name_fault",
}  # fmt: skip
NAMES = {"unescape", "names_begin", "names_end", "names_add", "_same", "_grow", "_hash", "_put", "_hex4", "_digit",
         "_short_escape"}  # fmt: skip

SNAPSHOT = {"home_of", "search", "within"}
BUDGET = {
    "_tentative", "_may_return", "_justify", "_room", "_room_now", "_take_level", "_take", "_announce", "_retract",
    "_grow_level", "_grow", "record", "count_actuals", "_earliest",
}  # fmt: skip
LEVELS = {"used_in", "spent_in", "granted_in", "rolled_limit"}
LEASES = {"_is_known", "_place_of", "_put", "_settle_readers"}
STEPS = {
    "_whole",
    "_grow_sum",
    "turn_side",
    "close_window",
    "word_of",
    "shrink_steps",
    "_add_spent",
    "put_progress",
    "free_record",
    "help_owner",
    "_change_used",
    "settle_steps",
    "void_steps",
    "was_applied",
}
WINDOWS = {
    "_floor_div", "_days", "_civil", "_month_length", "_add_months", "_length_ns", "window_start", "window_index",
}  # fmt: skip
JOURNAL = {"append_text", "event", "head", "commit", "committed", "has_names", "is_event", "_is_next"}
SLAB_WRITER = {"store", "_write", "_lead_to", "withdraw", "_take_room", "is_owned", "_forget", "_sweep", "_keep"}
SLAB_SEARCH = {
    "_word_at", "_stays", "_nap", "_entry_of", "_peek", "_withdraw_at", "_seek", "_look", "_glance", "_says", "_end",
    "_next", "_find", "_await",
}  # fmt: skip
CANONICAL = {
    "_copy", "_space", "_short_form", "_put", "_escape", "_string", "_word", "_value", "_read_members", "_compare",
}  # fmt: skip
INSPECTION = {"_is_cell", "_is_sound"}


def annotated(unit: str, folder: Path) -> list[tuple[int, str]]:
    """Cython's score (how much Python a line needs; 0: none) and text of each line, from a fresh annotation."""
    page = folder / f"{unit}.html"
    command = [
        sys.executable,
        "-m",
        "cython",
        "-3",
        "--annotate",
        str(CORE / f"{unit}.pyx"),
        "-o",
        str(folder / f"{unit}.c"),
    ]
    for directive in ("boundscheck=False", "wraparound=False", "initializedcheck=False", "cdivision=True"):
        command += ["-X", directive]
    subprocess.run(command, check=True, capture_output=True, cwd=CORE.parents[1])
    lines = re.findall(r'<pre class="cython line score-(\d+)"[^>]*>(.*?)</pre>', page.read_text(), re.DOTALL)
    return [(int(score), html.unescape(re.sub(r"<[^>]*>", "", text))) for score, text in lines]


def functions(lines: list[tuple[int, str]]) -> dict[str, list[tuple[int, str]]]:
    """The lines of each function that is declared ``nogil``."""
    found: dict[str, list[tuple[int, str]]] = {}
    source = [re.sub(r"^\s*\+?\d+: ?", "", text) for _, text in lines]
    indent, name = -1, ""
    for at, text in enumerate(source):
        level = len(text) - len(text.lstrip())
        header = re.match(r"\s*cdef .*?(\w+)\(", text)
        if header and not text.rstrip().endswith("="):
            end = next(i for i in range(at, len(source)) if source[i].rstrip().endswith(":") or "=" in source[i])
            declaration = " ".join(source[at : end + 1])
            if "nogil:" in declaration:
                indent, name = level, header.group(1)
                found[name] = []
            elif level <= indent:
                indent, name = -1, ""
        elif text.strip() and level <= indent and not text.lstrip().startswith(")"):
            indent, name = -1, ""
        if name:
            found[name].append((lines[at][0], text))
    return found


@pytest.mark.parametrize(
    ("unit", "promised"),
    [
        ("walk", WALK),
        ("names", NAMES),
        ("events", EVENTS),
        ("snapshot", SNAPSHOT),
        ("budget", BUDGET),
        ("levels", LEVELS),
        ("leases", LEASES),
        ("steps", STEPS),
        ("windows", WINDOWS),
        ("journal", JOURNAL),
        ("inspection", INSPECTION),
        ("slab_writer", SLAB_WRITER),
        ("slab_search", SLAB_SEARCH),
        ("canonical", CANONICAL),
    ],
)
def test_loops_need_no_python(unit: str, promised: set[str], tmp_path: Path) -> None:
    lines = annotated(unit, tmp_path)
    assert any(score > 0 for score, _ in lines), "the annotation has no scores: its form has changed"
    found = functions(lines)
    assert set(found) == promised
    guilty = {name: [line for score, line in body if score] for name, body in found.items()}
    assert not {name: body for name, body in guilty.items() if body}
