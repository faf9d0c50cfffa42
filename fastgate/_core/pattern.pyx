"""Objects of which most begin alike: copied from a pattern in one go, which an ``__init__`` does field by field."""

from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_XINCREF

cdef extern from "Python.h":
    ctypedef struct Shape "PyTypeObject":
        Py_ssize_t tp_basicsize, tp_itemsize, tp_dictoffset, tp_weaklistoffset
        object (*tp_alloc)(PyTypeObject *, Py_ssize_t)
    unsigned long Py_TPFLAGS_HEAPTYPE


cdef class Pattern:
    """``Pattern(one)``: makes further objects of the class of ``one``, whose slots begin as those of ``one`` are by then.

    The class is one of Python's own with ``__slots__``, below ``object`` alone, and neither a ``__dict__`` nor a ``__weakref__``:
    then an object is its slots and nothing else. Raises TypeError for others.
    """

    cdef object one
    cdef Shape *kind
    cdef Py_ssize_t slots

    def __init__(self, object one not None):
        cdef type kind = type(one)
        cdef Shape *shape = <Shape *>kind
        if (kind.__base__ is not object or not kind.__flags__ & Py_TPFLAGS_HEAPTYPE or shape.tp_itemsize or shape.tp_dictoffset
                or shape.tp_weaklistoffset):
            raise TypeError(f"'{kind.__name__}' is more than its slots")
        self.one = one
        self.kind = shape
        self.slots = (shape.tp_basicsize - <Py_ssize_t>sizeof(PyObject)) // <Py_ssize_t>sizeof(void *)

    def copy(self):
        """A further one."""
        cdef object made = self.kind.tp_alloc(<PyTypeObject *>self.kind, 0)
        cdef PyObject **old = <PyObject **>(<char *><PyObject *>self.one + sizeof(PyObject))
        cdef PyObject **new = <PyObject **>(<char *><PyObject *>made + sizeof(PyObject))
        cdef Py_ssize_t i
        for i in range(self.slots):
            Py_XINCREF(old[i])
            new[i] = old[i]
        return made
