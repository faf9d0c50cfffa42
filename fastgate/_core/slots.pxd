"""The members of a class with slots, read as the interpreter reads them once it knows a class: by where they lie."""

from cpython.object cimport PyObject, PyTypeObject

cdef extern from "structmember.h":
    ctypedef struct PyMemberDef:
        int type
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member
    PyTypeObject PyMemberDescr_Type
    const int T_OBJECT_EX
    bint Py_IS_TYPE(object instance, PyTypeObject *kind)


cdef inline Py_ssize_t slot_of(type kind, str name) except -1:
    """Where instances of ``kind`` have ``name``, in bytes from their beginning. TypeError where that is no slot of theirs."""
    cdef object slot = getattr(kind, name, None)
    if not Py_IS_TYPE(slot, &PyMemberDescr_Type) or (<PyMemberDescrObject *>slot).d_member.type != T_OBJECT_EX:
        raise TypeError(f"{kind.__name__} has no slot for {name!r}")
    return (<PyMemberDescrObject *>slot).d_member.offset


cdef inline object at_slot(object instance, Py_ssize_t offset):
    """What ``instance`` has there; None where it has nothing."""
    cdef PyObject *found = (<PyObject **>(<char *><PyObject *>instance + offset))[0]
    return <object>found if found != NULL else None
