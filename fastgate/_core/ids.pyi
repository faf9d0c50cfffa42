"""Ids of requests."""

class RequestIds:
    """16 bytes each, that no other request has: the time, so that ids sort by it, and a count."""

    made: int
    """So many, so far."""
    def __init__(self, start: int) -> None:
        """``start``: from which it counts; a random one, as other workers count, too."""

    def next(self, now_ns: int) -> bytes:
        """Of a request that came at ``now_ns``, in Unix nanoseconds."""
