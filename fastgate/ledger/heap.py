"""Memory that allocators hold on to: what thousands of rows needed at once goes back to the system."""

import ctypes
from typing import Final

import _duckdb

_LIBRARY: Final = ctypes.CDLL(None)
_DATABASE: Final = ctypes.CDLL(_duckdb.__file__)
_PURGE: Final = b"arena.4096.purge"
"""Of jemalloc, which the database brings along; 4096 stands for all arenas (``MALLCTL_ARENAS_ALL``)."""


def give_back() -> None:
    """Returns the free pages of the C library and of the database to the system, in a few milliseconds.

    The database does so by itself, later, and keeps some megabytes of each arena for good. Where one of the two has no
    such function (musl, another build of the database) it keeps what it has.
    """
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
    control = getattr(_DATABASE, "duckdb_je_mallctl", None)
    if control is not None:
        control(_PURGE, None, None, None, ctypes.c_size_t(0))
