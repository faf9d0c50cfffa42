"""Counts in what providers report, which is read of every answer: bounded, and never negative."""

from cpython.long cimport PyLong_CheckExact

from collections import Counter

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

MAX_COUNT = 10**9
cdef long long MOST = MAX_COUNT

anomalies = Counter()
cdef object seen = anomalies


cdef inline long long plain(object value) except? -1:
    """A count that can be believed, as almost all are; -1 for anything else."""
    cdef int overflow = 0
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow) if PyLong_CheckExact(value) else -1
    return number if 0 <= number <= MOST else -1


def mapping(object value):
    """``value`` where it is an object, else nothing: providers send null, or leave details out."""
    return value if isinstance(value, dict) else {}


def count(dict source not None, str name not None):
    """A token count, clamped at zero; ``None`` where it is absent, null, or not to be believed."""
    cdef object value = source.get(name)
    if value is None or plain(value) >= 0:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value > MOST:
        seen["unbelievable"] += 1
        return None
    if value < 0:
        seen["negative"] += 1
        return 0
    return value


def part(dict source not None, str name not None, long long whole):
    """A sub-count, zero where absent, and never more than the ``whole`` that it is part of."""
    cdef object value = source.get(name)
    cdef long long number = plain(value)
    if number < 0:
        number = count(source, name) or 0
    if number > whole:
        seen["part_exceeds_whole"] += 1
        return whole
    return number
