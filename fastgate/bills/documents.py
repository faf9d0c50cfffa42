"""The JSON documents of a file: one, several one after another, or a list of them. Numbers stay exact."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from fastgate.bills.bill import BadBill

_BLANK: Final = re.compile(r"[ \t\r\n]*")


def documents(data: bytes) -> list[tuple[str, Any]]:
    """Each with what its places begin with in messages: nothing, or ``page 2: ``.

    Raises BadBill where it is no JSON, or nothing.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadBill(f"byte {error.start}: no UTF-8 text") from None
    found: list[Any] = []
    for value in _values(text):
        found += value if isinstance(value, list) else [value]
    if not found:
        raise BadBill("there is nothing in it")
    if len(found) == 1:
        return [("", found[0])]
    return [(f"page {number}: ", each) for number, each in enumerate(found, 1)]


def _values(text: str) -> list[Any]:
    decoder = json.JSONDecoder(parse_float=_decimal, parse_constant=_refused)
    found = []
    at = _after_blanks(text, 0)
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise BadBill(f"line {error.lineno}, column {error.colno}: no JSON: {error.msg}") from None
        except RecursionError:
            raise BadBill(f"behind {_place(text, at)}: nested too deeply") from None
        except BadBill as error:
            raise BadBill(f"behind {_place(text, at)}: {error}") from None
        except ValueError:  # an integer of thousands of digits
            raise BadBill(f"behind {_place(text, at)}: a number with too many digits") from None
        if "\\u" in text and not _is_text(value):
            raise BadBill(f"behind {_place(text, at)}: half a character, which no text has")
        found.append(value)
        at = _after_blanks(text, end)
    return found


def _is_text(value: Any) -> bool:
    """Whether it can be written again: JSON's escapes can name halves of characters."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _after_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    assert blank is not None
    return blank.end()


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _decimal(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except InvalidOperation:
        raise BadBill(f"{literal[:40]} is beyond what can be counted") from None


def _refused(name: str) -> NoReturn:
    raise BadBill(f"{name} is no number")
