"""What can go wrong between a client and the gateway."""


class ClientLeft(Exception):
    """The client ended its connection: its request is not whole, or nobody is there to take the answer."""
