"""Whether the semantic process lives: where it is asked, and by which bytes, for which the supervisor has no codec."""

from typing import Final

SOCKET: Final = "semantic.sock"
"""In the arena folder, 0600."""
PING: Final = b"\x07\x00\x00\x00\x92\xa4ping\x00"
"""The frame of ``fastgate.wire.semantic.Ping(0)``."""
