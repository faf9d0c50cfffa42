"""Scalars with a meaning: secrets, money, prices, instants, names. Each says how its text is read and what it expects.

A field declares one by its annotation: the ``Scalar`` rides in msgspec's metadata, the value is a plain ``int`` or
``str`` (but for ``Secret``). No float ever touches money.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Annotated, Any, Final

from msgspec import Meta

from fastgate.wire.networks import network_bounds

NANO: Final = 10**9
MAX_USD: Final = 9_000_000_000
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,15})?")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Secret:
    """A text that shows as ``***`` wherever it is printed, formatted or encoded."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"

    def __str__(self) -> str:
        return "***" if self._value else ""

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class Scalar:
    """How a scalar is read. ``parse`` raises ``ValueError`` with what was wrong; ``show`` is its inverse."""

    wants: str
    """What an operator has to write, as an end of the sentence "expected ..."."""
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str


def _decimal(text: str, scale: int, limit: int) -> int:
    """``text`` times ``scale``, which has to come out as an integer."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal amount")
    with localcontext(prec=60):
        amount = Decimal(text) * scale
        if amount != amount.to_integral_value():
            raise ValueError(f"{text!r} has more decimal places than fastgate counts")
        if amount > limit * scale:
            raise ValueError(f"{text!r} is more than {limit}")
        return int(amount)


def parse_usd(text: str) -> int:
    """Nano-USD of a decimal amount of USD with up to 9 places."""
    return _decimal(text, NANO, MAX_USD)


def show_usd(nano: int) -> str:
    """The shortest decimal that :func:`parse_usd` reads as ``nano``."""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _parse_price(text: str) -> str:
    """A price is kept as it was written; 9 places per million units are exact in femto-USD per unit."""
    _decimal(text, NANO, 1_000_000)
    return text


def _parse_unit_price(text: str) -> str:
    """More than this for a single unit would not be kept in 64 bits of femto-USD."""
    _decimal(text, NANO, 9_000)
    return text


def parse_instant(text: str) -> int:
    """Nanoseconds since 1970 UTC of an RFC 3339 timestamp, which counts by whole microseconds."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is not a timestamp with a time zone")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(f"{text!r} is not a moment of the calendar") from None
    if not 1970 <= moment.year < 2260:  # 64-bit nanoseconds end in the year 2262
        raise ValueError(f"{text!r} is out of range: the years 1970 to 2259 are taken")
    # In UTC the first hours of 1970 may lie before it; nothing that has a moment is as old.
    return max(0, (moment - _EPOCH) // timedelta(microseconds=1) * 1_000)


def show_instant(ns: int) -> str:
    """RFC 3339, in UTC."""
    return (_EPOCH + timedelta(microseconds=ns // 1_000)).isoformat().replace("+00:00", "Z")


def _parse_network(text: str) -> str:
    """A network is kept as it was written."""
    network_bounds(text)
    return text


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{text!r} is not {what}")
        return text

    return parse


def _text(pattern: str, wants: str, **schema: Any) -> Meta:
    return Meta(
        extra={"scalar": Scalar(wants, _matching(pattern, wants))},
        extra_json_schema={"type": "string", "pattern": f"^(?:{pattern})$", **schema},
    )


_ID = r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,63}"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
_PLACES: Final = r"(\.[0-9]{1,9})?"
_AMOUNT_SCHEMA: Final = {"type": "string", "pattern": rf"^([0-8]?[0-9]{{1,9}}{_PLACES}|9000000000)$"}
_UNIT_PRICE_SCHEMA: Final = {"type": "string", "pattern": rf"^([0-8]?[0-9]{{1,3}}{_PLACES}|9000)$"}
_PRICE_SCHEMA: Final = {"type": "string", "pattern": rf"^([0-9]{{1,6}}{_PLACES}|1000000)$"}
INSTANT_SCHEMA: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": (
        r"^(19[7-9][0-9]|2[01][0-9]{2}|22[0-5][0-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
    ),
}

Usd = Annotated[
    int,
    Meta(
        extra={"scalar": Scalar('a decimal amount in quotes, such as "12.50"', parse_usd, show_usd)},
        extra_json_schema=_AMOUNT_SCHEMA,
    ),
]
"""nano-USD; written as a decimal string of USD."""

Price = Annotated[
    str,
    Meta(
        extra={"scalar": Scalar('a decimal price in quotes, such as "0.15"', _parse_price)},
        extra_json_schema=_PRICE_SCHEMA,
    ),
]
"""A decimal string of USD, at most 9 places."""

UnitPrice = Annotated[
    str,
    Meta(
        extra={"scalar": Scalar('a decimal price in quotes, such as "0.15"', _parse_unit_price)},
        extra_json_schema=_UNIT_PRICE_SCHEMA,
    ),
]
"""Likewise, for one of something: at most 9000 USD."""

Instant = Annotated[
    int,
    Meta(
        extra={"scalar": Scalar("a timestamp such as 2027-01-01T00:00:00Z", parse_instant, show_instant)},
        extra_json_schema=INSTANT_SCHEMA,
    ),
]
"""Nanoseconds since 1970 UTC; written as an RFC 3339 timestamp with its zone."""

Id = Annotated[str, _text(_ID, "an id: 1 to 64 letters, digits or . _ @ : + -, the first a letter or digit")]
"""The id of a customer, team or key. Without a slash: budgets are called owner/window/name."""

Owner = Annotated[
    str,
    _text(
        rf"(customer|team|key):{_ID}|provider:{_ID}/{_NAME}",
        "an owner of budgets: customer:ID, team:ID, key:ID or provider:KEY/PROVIDER",
    ),
]
"""Whose a budget is."""

Name = Annotated[str, _text(_NAME, "a name: 1 to 32 letters, digits or . _ -, the first a letter or digit")]
"""The name of a provider, a provider's key or a budget."""

Sha256 = Annotated[str, _text(r"[0-9a-fA-F]{64}", "a SHA-256 in 64 hexadecimal digits")]
"""What ``printf %s "$SECRET" | sha256sum`` prints."""

ModelName = Annotated[str, _text(r"[!-)+-~]{1,200}", "a model name: 1 to 200 visible ASCII characters without *")]
"""The name of a model, ours or a provider's."""

ModelPattern = Annotated[
    str,
    _text(
        r"(?=[!-~]{1,200}$)[^*]*(\*[^*]*){0,4}",
        "a model pattern: up to 200 visible ASCII characters, of which up to 4 are *",
    ),
]
"""A model name in which ``*`` stands for any text."""

Network = Annotated[
    str,
    Meta(
        extra={"scalar": Scalar("an IP address or network such as 10.0.0.0/8 or 2001:db8::/32", _parse_network)},
        extra_json_schema={"type": "string", "pattern": "^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$"},
    ),
]
"""IPv4 or IPv6; a network's host bits are zero."""

Origin = Annotated[
    str,
    _text(
        r"\*|(?!http://[^/]*:80$|https://[^/]*:443$)[a-z][a-z0-9+.-]{0,31}://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?",
        "an origin as browsers send it, such as https://app.example.com, or *",
    ),
]
"""Scheme, host and a port that is not the scheme's own, in lower case, without a slash at the end."""

Line = Annotated[str, _text(r"[^\x00-\x1f\x7f]{1,200}", "text of 1 to 200 characters on one line")]
"""Free text for people."""

TagValue = Annotated[str, _text(r"[^\x00-\x1f\x7f,]{1,200}", "text of 1 to 200 characters without a comma")]
"""A tag's value; commas separate tags in headers and in the ledger."""
