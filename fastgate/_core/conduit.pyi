from collections.abc import Callable
from typing import Any

from fastgate._core.events import EventScanner

class Conduit:
    """The way of each piece of an answer; what happens seldom is its subclass's."""

    meter: Any
    window: Any
    gauge: EventScanner | None
    """Says when more is due; None: everything is held."""
    client_gone: bool

    def __init__(self, meter: Any, hand: Callable[[bytes], Any], window: Any) -> None: ...
    def piece(self, piece: bytes) -> None:
        """What an exchange streams to."""

    def send(self, piece: bytes) -> None:
        """Hand a piece to the client, if it is still there."""

    def close(self) -> None:
        """Let go of the client's stream, which ends it; nothing can be sent any more."""

    # A subclass has these

    def accept(self, handed: Any) -> bool:
        """Whether the client is there still, by what the server returned, which is of another type than before."""

    def look(self) -> None:
        """So much was handed over that it is to be seen what the client has taken of it."""

    def top_up(self) -> None:
        """More money is due."""

    def overhear(self, size: int) -> None:
        """So many bytes came that no client hears."""
