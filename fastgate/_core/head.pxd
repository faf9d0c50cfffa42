"""What stands in heads: names and targets of requests, lines of answers."""

cdef str header_name(bytes raw)
cdef bytes lowered(bytes raw)
cdef bytes trimmed(bytes raw)
cdef str plain(bytes raw)
cdef str method_name(bytes raw)
cdef tuple target(bytes url)
cdef bytes status_line(int status)
cdef bytes date_line()
cdef bytes header_line(str name, str value)
