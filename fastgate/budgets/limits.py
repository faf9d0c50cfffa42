"""Which limits a request has to pass: their ids, and whose they are.

A limit's identity is ``owner/limit/counted/window``, and the models that it is for: its counter in the arena goes by
it, so that an edit of the number keeps what was counted.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from fastgate.budgets.hierarchy import level_of, owner_name, template_names, window_name
from fastgate.budgets.templates import LEVELS, LONGEST_OWNER, template_owner
from fastgate.config.owners import Customer, Key, Limit, Team
from fastgate.wire.snapshot import Counted, LimitRecord, Window

_MARK: Final = "limit"
"""No window is called so: what tells a limit's id from a budget's."""
_LONGEST_ID: Final = 160
"""Bytes that the arena keeps of an id."""
_DIGEST: Final = 11
"""Hexadecimal digits that tell lists of models apart which are too long to be written out."""
_SLASHED: Final = frozenset({"provider", *LEVELS})
"""Levels whose owners have a slash."""


def limit_id(owner: str, limit: Limit) -> str:
    """``team:platform/limit/requests/minute``, ``key:ide/limit/concurrent/gpt-*``."""
    parts = [owner, _MARK, *limit.counted]
    if limit.window is not None:
        unit, every = limit.period
        parts.append(window_name(Window[unit.upper()], every))
    models = " ".join(sorted(set(limit.only_models)))  # no pattern has a space
    whole = "/".join([*parts, *filter(None, [models])])
    longer = LONGEST_OWNER - len(owner) if level_of(owner) in LEVELS else 0  # a value takes the place of a star
    if len(whole) + longer <= _LONGEST_ID:
        return whole
    return "/".join([*parts, f"~{sha256(models.encode()).hexdigest()[:_DIGEST]}"])


def is_limit(id_: str) -> bool:
    """Whether an id is a limit's; otherwise it is a budget's."""
    parts = id_.split("/", 3)
    return _MARK in parts[2:3] if level_of(id_) in _SLASHED else _MARK in parts[1:2]


def limit_record(owner: str, limit: Limit) -> LimitRecord:
    """A limit as workers read it."""
    [counted] = limit.counted
    unit, every = limit.period
    return LimitRecord(
        limit=getattr(limit, counted),
        counted=Counted[counted.upper()],
        window=Window[unit.upper()],
        every=every,
        level=level_of(owner),
        owner=owner,
        id=limit_id(owner, limit),
        models=limit.only_models,
    )


def limit_records(owner: str, limits: Iterable[Limit]) -> tuple[LimitRecord, ...]:
    """All limits of one owner."""
    return tuple(limit_record(owner, limit) for limit in limits)


def provider_limits(key: Key) -> dict[str, tuple[LimitRecord, ...]]:
    """Those of a key's provider configs, by provider, where there are any."""
    return {
        each.provider: limit_records(owner_name("provider", key.id, each.provider), each.limits)
        for each in key.providers or ()
        if each.limits
    }


def limit_templates_of(key: Key) -> dict[str, tuple[LimitRecord, ...]]:
    """The limits of a key's templates, by name, narrowest first, where there are any."""
    return {
        name: limit_records(template_owner(key.id, name), key.each[name].limits)
        for name in template_names(key)
        if key.each[name].limits
    }


def limits_of(thing: Customer | Team | Key) -> Iterator[LimitRecord]:
    """All limits that are written in one customer, team or key."""
    if isinstance(thing, Key):
        for records in provider_limits(thing).values():
            yield from records
        level = "key"
    else:
        level = "team" if isinstance(thing, Team) else "customer"
    yield from limit_records(owner_name(level, thing.id), thing.limits)
