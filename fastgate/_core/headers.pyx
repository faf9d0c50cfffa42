"""The headers of a request, taken down as they come: by name, and in their order only where a name comes again."""


cdef class Headers:
    """Of a request: names in lower case, values as text. Of those whose value is not ASCII only the name is known."""

    def __cinit__(self):
        self.latest = {}

    def items(self):
        """All of them, in the order in which they came."""
        return list(self.latest.items()) if self.pairs is None else self.pairs

    def get(self, str name, default=None):
        """The first value of a header, else ``default``."""
        cdef str known, value
        if self.pairs is None:
            return self.latest.get(name, default)
        for known, value in self.pairs:
            if known == name:
                return value
        return default

    def get_all(self, str name):
        """All values of a header."""
        return [value for known, value in self.items() if known == name]

    def __contains__(self, str name):
        """Whether a header came, readable or not."""
        return name in self.latest or self.unreadable is not None and name in self.unreadable

    cdef int add(self, str name, str value) except -1:
        """The next one; ``value`` None: it is not ASCII."""
        cdef Py_ssize_t known = len(self.latest)
        self.count += 1
        if value is None:
            if self.unreadable is None:
                self.unreadable = []
            self.unreadable.append(name)
            return 0
        self.latest.setdefault(name, value)
        if len(self.latest) == known:           # the name came before
            if self.pairs is None:
                self.pairs = list(self.latest.items())
            self.latest[name] = value
        if self.pairs is not None:
            self.pairs.append((name, value))
        return 0


def by_name(headers):
    """A request's headers, each with its last value, whichever server has read them. Not to be changed."""
    return (<Headers>headers).latest if type(headers) is Headers else dict(headers.items())
