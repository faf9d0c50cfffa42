"""The headers of a request."""

cdef class Headers:
    cdef dict latest                        # the last value of each name
    cdef list pairs                         # all of them, where a name came again; else None
    cdef list unreadable                    # names, None where there are none
    cdef int count                          # of all that came
    cdef int add(self, str name, str value) except -1
