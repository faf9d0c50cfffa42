"""One connection of a client. Made by ``Server``, and called by its transport and its parser only."""

class Host:
    """Whose clients they are. ``Server`` is the one that there is."""

class Client:
    """The protocol of one connection."""
