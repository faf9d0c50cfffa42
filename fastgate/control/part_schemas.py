"""Budgets and limits in the API's own description: which of their settings go together.

The types of the configuration name every setting of them; what could never be is said here by alternatives, each
without what it excludes. Where a schema cannot say it, it is narrower than what is taken.
"""

from collections.abc import Iterable
from itertools import product
from typing import Any, Final, get_args

from fastgate.config.owners import COUNTED, MOST_EVERY, Unit
from fastgate.config.windows_check import MOST_ALIGNED

Document = dict[str, Any]

_UNITS: Final = {"enum": list(get_args(Unit))}


def _several(most: int, units: Iterable[str]) -> Document:
    return {
        "type": "object",
        "properties": {"every": {"type": "integer", "minimum": 1, "maximum": most}, "unit": {"enum": list(units)}},
        "required": ["every", "unit"],
        "additionalProperties": False,
    }


_ANY: Final = {"anyOf": [_UNITS, _several(MOST_EVERY, get_args(Unit))]}
_BOUND: Final = {unit: most for unit, most in MOST_ALIGNED.items() if most < MOST_EVERY}
_ALIGNED: Final = {
    "anyOf": [
        _UNITS,
        *(_several(most, [unit]) for unit, most in _BOUND.items()),
        _several(MOST_EVERY, [unit for unit in get_args(Unit) if unit not in _BOUND]),
    ]
}
_NO: Final = {"enum": [False]}
_YES: Final = {"enum": [True]}
_NOTHING: Final = {"type": "null"}
_ZONES: Final = {"enum": ["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", None]}
"""Some of the IANA database's, as whose all are taken."""
_MODES: Final[tuple[Document, ...]] = (
    {"mode": {"enum": ["hard"]}, "on_limit": {"enum": ["reject", "clamp"]}, "downgrade_to": _NOTHING},
    {
        "mode": {"enum": ["soft"]},
        "bound": {"enum": ["learned"]},
        "on_limit": {"enum": ["reject"]},
        "downgrade_to": _NOTHING,
        "grace": _NOTHING,
    },
    {"mode": {"enum": ["hard"]}, "on_limit": {"enum": ["downgrade"]}},
)
_MODES_NEED: Final = ((), ("mode",), ("on_limit", "downgrade_to"))
_WINDOWS: Final[tuple[Document, ...]] = (
    {"window": {"enum": ["lifetime"]}, "calendar": _NO, "timezone": _NOTHING, "rollover": _NO},
    {"window": _ANY, "calendar": _NO, "timezone": _NOTHING},
    {"window": _ALIGNED, "calendar": _YES, "timezone": _ZONES},
)
_WINDOWS_NEED: Final = ((), (), ("calendar",))


def with_alternatives(schema: Document) -> Document:
    """The schema of an object, in which every budget and limit is one of its alternatives."""
    if schema.get("title") in ("Budget", "OwnedBudget"):
        return _budget(schema)
    if schema.get("title") == "Limit":
        return _limit(schema)
    changed = dict(schema)
    for name in ("properties", "patternProperties"):
        if name in schema:
            changed[name] = {key: with_alternatives(each) for key, each in schema[name].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            changed[name] = with_alternatives(schema[name])
    if "anyOf" in schema:
        changed["anyOf"] = [with_alternatives(each) for each in schema["anyOf"]]
    return changed


def _budget(schema: Document) -> Document:
    """What it does at its limit, and how its time is cut."""
    settings = schema["properties"]
    [targets] = (each for each in settings["downgrade_to"]["anyOf"] if each["type"] == "array")
    [percents] = (each for each in settings["alerts_percent"]["anyOf"] if each["type"] == "array")
    common = {
        "downgrade_to": {"type": "array", "items": targets["items"], "minItems": 1},
        "alerts_percent": {"anyOf": [{**percents, "uniqueItems": True}, _NOTHING]},
    }
    ways = product(zip(_MODES, _MODES_NEED, strict=True), zip(_WINDOWS, _WINDOWS_NEED, strict=True))
    return _one_of(
        schema,
        [
            ({**settings, **common, **mode, **window}, [*schema["required"], *needed, *needed_too])
            for (mode, needed), (window, needed_too) in ways
        ],
    )


def _limit(schema: Document) -> Document:
    """On one thing; on what is open at once at any time, on others in a window."""
    settings = schema["properties"]

    def on(counted: str) -> tuple[Document, list[str]]:
        window = _NOTHING if counted == "concurrent" else _without_null(settings["window"])
        own = {counted: _without_null(settings[counted]), "window": window, "models": settings["models"]}
        return own, [counted] if counted == "concurrent" else [counted, "window"]

    return _one_of(schema, [on(counted) for counted in COUNTED])


def _without_null(schema: Document) -> Document:
    members = [each for each in schema["anyOf"] if each != _NOTHING]
    return members[0] if len(members) == 1 else {"anyOf": members}


def _one_of(schema: Document, alternatives: list[tuple[Document, list[str]]]) -> Document:
    head = {name: schema[name] for name in ("title", "description")}
    closed = {"type": "object", "additionalProperties": False}
    return {
        **head,
        "anyOf": [{**closed, "properties": settings, "required": needed} for settings, needed in alternatives],
    }
