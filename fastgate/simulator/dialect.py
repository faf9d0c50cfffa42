"""What the simulator asks of an API: read a request, put an answer into words, charge its usage."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from fastgate.simulator.answer import Answer
from fastgate.simulator.ask import Ask
from fastgate.simulator.bill import Charge
from fastgate.simulator.prices import Price


class Stream(msgspec.Struct):
    """A streamed answer: what comes before the first piece, the pieces, what comes after the last."""

    prologue: bytes
    pieces: list[bytes]
    epilogue: bytes
    silent: int = 0
    """How many of the first pieces hold reasoning alone."""


class Dialect(Protocol):
    """One API. Functions of a module fit, too."""

    name: str
    request_id_header: bytes

    def read(self, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """The request in neutral form; raises :class:`fastgate.simulator.ask.Refusal`."""

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""

    def stream(self, answer: Answer) -> Stream:
        """The events of a streamed answer."""

    def charges(self, answer: Answer, prices: Mapping[str, Price]) -> list[Charge]:
        """What the complete answer is billed."""

    def error(self, status: int, message: str, code: str | None, request_id: str) -> bytes:
        """The body of an error."""

    def models(self, names: list[str]) -> bytes:
        """The body of the list of models."""

    def model(self, name: str) -> bytes:
        """The body of one model."""


MOST = 2**63 - 1


def count(usage: Mapping[str, Any] | None, *path: str) -> int:
    """A count inside a usage object: 0 where it is absent, null, negative or no whole number, at most :data:`MOST`."""
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return min(value, MOST) if isinstance(value, int) and value > 0 and not isinstance(value, bool) else 0


def billed_model(stated: object, asked: str, prices: Mapping[str, Price]) -> str:
    """The model whose price applies: the stated one where it has a price, else the one that was asked for."""
    return stated if isinstance(stated, str) and stated in prices else asked
