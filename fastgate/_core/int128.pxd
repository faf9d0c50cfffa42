"""Sums and products of int64 that cannot overflow."""

cdef extern from *:
    """
    typedef __int128 fastgate_int128;
    """
    ctypedef long long int128 "fastgate_int128"
