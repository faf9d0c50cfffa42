"""What ends a measurement."""


class RigError(Exception):
    """The run cannot be done, or what came back is not what must come back; the message is for the operator."""
