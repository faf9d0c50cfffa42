"""What can go wrong between the gateway and a provider.

::

    UpstreamError
    ├── ConnectError            name not found, refused, unreachable, TLS failed, pool closed
    │   └── ConnectTimeout      no connection (or no free place for one) in time
    ├── UpstreamTimeout
    │   ├── FirstByteTimeout    the request was sent, no byte of an answer came in time
    │   ├── IdleTimeout         the answer stopped in the middle
    │   └── TotalTimeout        everything together took too long
    ├── ProtocolError           not HTTP/1.x: garbage, oversized head, bad chunk, contradictory lengths
    ├── ClosedEarly             the connection ended before the answer did
    │   └── EndedHere           the pool was closed while the answer was on its way
    └── BodyTooLarge            the body is longer than the reader allowed

Every one says what the money needs to know: ``sent`` (at least one byte of the request may have reached the provider:
it may have been billed) and ``answered`` (at least one byte of an answer came).
"""


class UpstreamError(Exception):
    """The exchange with the upstream failed; ``message`` names the upstream and the reason."""

    def __init__(self, message: str, *, sent: bool = False, answered: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.sent = sent
        self.answered = answered


class ConnectError(UpstreamError):
    """No connection could be made."""


class ConnectTimeout(ConnectError):
    """No connection within the connect timeout, waiting for a free place in the pool included."""


class UpstreamTimeout(UpstreamError):
    """The upstream was too slow after it had been connected."""


class FirstByteTimeout(UpstreamTimeout):
    """The request was sent and not one byte of an answer came."""


class IdleTimeout(UpstreamTimeout):
    """The answer began and then nothing more came."""


class TotalTimeout(UpstreamTimeout):
    """The exchange as a whole took longer than it may."""


class ProtocolError(UpstreamError):
    """What came is not an HTTP/1.x answer, or breaks a bound on its head."""


class ClosedEarly(UpstreamError):
    """The connection ended, or was ended here, before the answer was whole."""


class EndedHere(ClosedEarly):
    """The pool was closed, since its process ends."""


class BodyTooLarge(UpstreamError):
    """The body is longer than ``read(limit)`` allowed.

    ``partial`` is what has arrived. It has not been consumed: ``stream()`` still delivers the body from its first byte.
    """

    def __init__(self, message: str, *, partial: bytes, sent: bool = True, answered: bool = True) -> None:
        super().__init__(message, sent=sent, answered=answered)
        self.partial = partial
