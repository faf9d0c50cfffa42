"""The way of each piece of an answer."""

from fastgate._core.events cimport EventScanner

cdef class Conduit:
    cdef object feed, hand
    cdef object accepting                   # the type of what `hand` returns while it takes pieces
    cdef readonly object meter, window
    cdef public EventScanner gauge          # says when more is due; None: everything is held
    cdef readonly bint client_gone

    cpdef send(self, bytes piece)
