"""The way of each piece of an answer: from the provider's socket, in whose read callback it is, through the meter to the client.

What happens seldom is its subclass's: that a client leaves or takes nothing, that more money has to be held.
"""

from fastgate._core.events cimport EventScanner


cdef class Conduit:
    """Hands pieces to ``hand`` as ``meter`` gives them out. ``window`` counts them and says when its client is to be looked at."""

    def __init__(self, object meter, object hand, object window):
        self.meter = meter
        self.feed = meter.feed
        self.hand = hand
        self.window = window

    def piece(self, bytes piece not None):
        """What the exchange streams to."""
        self.send(self.feed(piece))
        if self.gauge is not None and self.gauge.due:
            self.top_up()
        if self.client_gone:
            self.overhear(len(piece))

    cpdef send(self, bytes piece):
        """Hand a piece to the client, if it is still there."""
        cdef object handed, sent
        if not piece or self.client_gone:
            return
        handed = self.hand(piece)
        if type(handed) is not self.accepting:  # the first piece, or the client is gone
            if not self.accept(handed):
                return
            self.accepting = type(handed)
        sent = self.window.sent + len(piece)
        self.window.sent = sent
        if sent >= self.window.due_at:
            self.look()

    def close(self):
        """Let go of the client's stream, which ends it; nothing can be sent any more."""
        self.client_gone = True
        self.hand = None
