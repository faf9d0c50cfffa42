"""The canonical spelling: it is what a plain version makes, it means the same, and it is its own spelling."""

import json
from collections.abc import Callable
from typing import Any

from fastgate._core.canonical import canonical
from tests.fuzz import reference
from tests.fuzz.harness import TARGETS, main, run, target
from tests.fuzz.reference import Number, Pairs
from tests.fuzz.test_fuzz_body import SEEDS, TOKENS

LEFT_OUT = ("stream", "é")
SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\r": "\\r"}


def spelt_string(text: str) -> str:
    def form(c: str) -> str:
        return SHORT.get(c) or (f"\\u{ord(c):04x}" if c < " " or "\ud800" <= c <= "\udfff" else c)

    return '"' + "".join(map(form, text)) + '"'


def spelt(value: Any) -> str:
    """One spelling of what ``reference.decode`` gives, with numbers as they are written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return spelt_string(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{spelt_string(name)}:{spelt(each)}" for name, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelt, value)) + "]"
    return json.dumps(value)


def plainly(data: bytes, leave_out: tuple[str, ...] = ()) -> bytes | None:
    """What ``canonical`` should give, of text that is JSON."""
    as_written: Callable[[str], Number] = Number
    document = json.loads(data.decode(), object_pairs_hook=Pairs, parse_int=as_written, parse_float=as_written)
    if isinstance(document, Pairs):
        names = [name for name, _ in document]
        if len(set(names)) < len(names) or len(names) > 256:
            return None
        kept = [member for member in document if member[0] not in leave_out]
        document = Pairs(sorted(kept, key=lambda member: spelt_string(member[0]).encode()))
    return spelt(document).encode()


@target("canonical", seeds=SEEDS, tokens=[*TOKENS, b"\\/", b"\\u00e9", b"\\ud83d\\ude00", b"\\uD83D", b'"\xc3\xa9":'])
def check_canonical(data: bytes) -> None:
    if not reference.valid(data):
        assert canonical(data) is None
        return
    assert canonical(data, LEFT_OUT) == plainly(data, LEFT_OUT)
    found = canonical(data)
    assert found == plainly(data)
    if found is not None:
        assert len(found) <= len(data)
        assert canonical(found) == found
        assert json.loads(found) == json.loads(data)


def test_spellings_for_a_short_while() -> None:
    assert run(TARGETS["canonical"], seed=1, rounds=6000) == 6000


if __name__ == "__main__":
    main(["canonical"])
