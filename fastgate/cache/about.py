"""What is kept with an answer so that operators can tell what it is of: neither the question nor the answer."""

from collections.abc import Iterable
from typing import Final

import msgspec

_SHOWN_MODEL: Final = 200
"""Characters of a model's name: clients may write what they like."""
TAG: Final = "tag:"
_MODELS: Final = frozenset({"model", "upstream_model"})


class About(msgspec.Struct, frozen=True):
    """Of the request that was the first to ask; ``tags``: its key's own and those that its client said."""

    key: str = ""
    team: str = ""
    model: str = ""
    """As it was asked for."""
    upstream_model: str = ""
    provider: str = ""
    dialect: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    def packed(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode(self)


def cut(model: str) -> str:
    """A model's name as it is kept."""
    return model[:_SHOWN_MODEL]


NAMES: Final = tuple(name for name in About.__struct_fields__ if name != "tags")
"""What entries can be told apart by, beside ``tag:<name>``."""
_DECODER: Final = msgspec.json.Decoder(About)


def unpacked(raw: bytes) -> About:
    """The inverse of :meth:`About.packed`, of earlier versions' too; nothing where it cannot be read."""
    try:
        return _DECODER.decode(raw)
    except msgspec.DecodeError:
        return About()


def said(name: str, values: Iterable[str]) -> tuple[bytes, ...]:
    """Of what is kept with an answer: bytes that are in it where, and only where, ``name`` is one of ``values``.

    ``name``: one of ``NAMES``, or ``tag:<name>``. No text can look like these bytes, since its quotes are escaped.
    """
    if name.startswith(TAG):
        return tuple(msgspec.json.encode((name.removeprefix(TAG), value)) for value in values)
    kept = map(cut, values) if name in _MODELS else values
    return tuple(msgspec.json.encode({name: value})[1:-1] for value in kept)
