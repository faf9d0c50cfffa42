from typing import final

@final
class Mapping:
    """The regular file behind ``descriptor``, of ``size`` bytes (more than none), read through the buffer protocol.

    The descriptor may be closed; who shortens the file has its readers end by a signal. Raises OSError where it cannot
    be mapped.
    """

    size: int

    def __init__(self, descriptor: int, size: int) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
