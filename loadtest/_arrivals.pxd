"""When requests are due: phases of a constant rate each, one after another."""

from libc.stdint cimport int64_t

cdef enum:
    PHASES = 64

cdef struct Phase:
    int64_t first                   # number of its first request
    int64_t begin                   # ns from the start
    double pause                    # ns between two requests

cdef struct Arrivals:
    int phases, phase               # how many, and which one `due` is in
    int64_t next                    # number of the next request
    int64_t due                     # ns from the start: when it is; beyond `end` where none is left
    int64_t total                   # requests
    bint endless                    # until `end`, each is due at once
    int64_t end                     # ns from the start, of the last phase
    Phase at[PHASES]


cdef inline void add_phase(Arrivals *self, double rate, double seconds) noexcept nogil:
    """Append a phase; there is room for ``PHASES``."""
    cdef Phase *phase = self.at + self.phases
    phase.first, phase.begin, phase.pause = self.total, self.end, 1e9 / rate
    self.phases += 1
    self.total += <int64_t>(rate * seconds + 0.5)
    self.end += <int64_t>(seconds * 1e9)


cdef inline void add_crowd(Arrivals *self, double seconds) noexcept nogil:
    """Requests without end, each of them due at once, for so long; nothing else is appended."""
    self.phases = 1
    self.endless, self.total = True, 1 << 40
    self.end = <int64_t>(seconds * 1e9)


cdef inline void advance(Arrivals *self) noexcept nogil:
    """The next request is on its way; know when the one behind it is due."""
    self.next += 1
    while self.phase + 1 < self.phases and self.next >= self.at[self.phase + 1].first:
        self.phase += 1
    cdef Phase *phase = self.at + self.phase
    self.due = phase.begin + <int64_t>(<double>(self.next - phase.first) * phase.pause)
