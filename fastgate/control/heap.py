"""Memory that the C library holds on to: what thousands of rows needed at once goes back to the system."""

import ctypes

_LIBRARY = ctypes.CDLL(None)


def give_back() -> None:
    """Returns free pages of the heap to the system, a few milliseconds; nothing where the C library cannot (musl)."""
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
