"""One object of the API out of JSON, by the same types and with the same sentences as in the file.

Nothing is expanded: what an API's client sends must not reach into the environment or the files of the host.
"""

import json
from collections import abc
from decimal import Decimal, InvalidOperation
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar, get_args

import msgspec

from fastgate.config.additions import NamedModel, NamedProvider, StatedPrice
from fastgate.config.nodes import Mapping, Node, Scalar, Sequence
from fastgate.config.owners import Budget, Customer, Key, OwnedBudget, Team
from fastgate.config.problems import ConfigErrors, Finding, Problem, dotted
from fastgate.config.reading import FAILED, Reader
from fastgate.config.rendering import show
from fastgate.config.variables import Variables

MAX_DEPTH: Final = 24
_MOST_DIGITS: Final = 400
"""No setting is so large or so small."""
_WHERE: Final = "body"
Thing = Customer | Team | Key | NamedProvider | NamedModel | StatedPrice
_INFO: Final[dict[type, msgspec.inspect.Type]] = {
    type_: msgspec.inspect.type_info(type_) for type_ in (*get_args(Thing), Budget, OwnedBudget)
}
_JSON: Final = msgspec.json.Encoder(order="sorted")

T = TypeVar("T", bound=Thing | Budget)


class _Literal(Variables):
    """Text as it is."""

    def __init__(self) -> None:
        super().__init__({}, FilePath())

    def expand(self, text: str) -> tuple[str, bool]:
        return text, False


class _Number(str):
    """A number of JSON, as it was written."""


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object; names given twice, NaN and half characters are errors. Raises :class:`ConfigErrors`."""
    try:
        found = json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_int=_Number,
            parse_float=_fraction,
            parse_constant=_no_constant,
        )
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeError:
        raise problem("not UTF-8 text, or half a character in an escape") from None
    except json.JSONDecodeError as error:
        raise ConfigErrors([Problem(_WHERE, error.lineno, error.colno, f"not valid JSON: {error.msg}")]) from None
    except RecursionError:
        raise problem(f"nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise problem(str(error)) from None
    if not isinstance(found, dict):
        raise problem("a JSON object is expected")
    return found


def read_object(type_: type[T], values: dict[str, Any]) -> T:
    """Raises :class:`ConfigErrors` with everything that is wrong with it by itself."""
    reader = Reader(_WHERE, _Literal())
    read = reader.read(_INFO[type_], _node(values, MAX_DEPTH), ())
    if reader.problems or read is FAILED:
        raise ConfigErrors(reader.problems)
    return msgspec.convert(read, type_)


def object_document(thing: Thing | Budget) -> dict[str, Any]:
    """What JSON says of it, defaults written out, without secrets."""
    shown: dict[str, Any] = show(_INFO[type(thing)], thing, masked=False)
    shown.pop("secret_sha256", None)
    return shown


def encode_document(document: dict[str, Any]) -> str:
    """The text under which a document is kept."""
    return _JSON.encode(document).decode()


def merged(document: dict[str, Any], patch: abc.Mapping[str, Any]) -> dict[str, Any]:
    """The document after a JSON merge patch (RFC 7396)."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[name] = value
    return result


def problem(message: str, hint: str = "") -> ConfigErrors:
    """A mistake of the whole body."""
    return ConfigErrors([Problem(_WHERE, 1, 1, message, hint)])


def problems_of(findings: list[Finding]) -> ConfigErrors:
    """What the values say about each other, or about what is there."""
    return ConfigErrors(
        [
            Problem(
                _WHERE,
                1,
                1,
                f"{dotted(finding.path)}: {finding.message}" if finding.path else finding.message,
                finding.hint,
            )
            for finding in findings
        ]
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]} is given twice")
    return found


def _fraction(text: str) -> _Number:
    """To JSON 5.0 and 5e0 are integers, too."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # its exponent is beyond those of Decimal itself
        return _Number(text)
    if abs(number.adjusted()) > _MOST_DIGITS:
        return _Number(text)
    plain = f"{number:f}"
    whole, _, rest = plain.partition(".")
    return _Number(whole if not rest.strip("0") else plain)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _node(value: Any, depth: int) -> Node:
    if depth == 0:
        raise problem(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        return Mapping(
            1,
            1,
            items={
                name: (Scalar(1, 1, text=name, plain=False), _node(each, depth - 1)) for name, each in value.items()
            },
        )
    if isinstance(value, list):
        return Sequence(1, 1, items=[_node(each, depth - 1) for each in value])
    if isinstance(value, str) and not isinstance(value, _Number):
        return Scalar(1, 1, text=value, plain=False)
    return Scalar(1, 1, text="" if value is None else str(value).lower() if isinstance(value, bool) else str(value))
