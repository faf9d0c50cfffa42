cdef enum:
    LINE = 128                      # bytes kept of a line of a head: what is read of any is shorter

cdef enum:                          # outcomes
    MORE                            # all that came is used up
    CHUNK                           # an event is whole
    WHOLE                           # the answer is
    MALFORMED                       # no HTTP/1.1, or nothing says where the answer ends; all from here on are faults
    STATUS
    LENGTH
    BODY
    ORDER                           # of chunks: one is not younger than the one before it
    EXCESS                          # something came that belongs to no answer
    CONNECT
    CUT
    TIMEOUT
    UNSENT                          # there was no connection for it until the end
    OUTCOMES

cdef struct Wanted:
    int status
    long long count                 # of events before the tail
    const char *event
    Py_ssize_t event_size
    Py_ssize_t stamp                # where in an event its time stands
    const char *tail
    Py_ssize_t tail_size            # -1: whatever comes will do

cdef struct Answer:
    int stage
    bint chunked, sized, closes
    Py_ssize_t head                 # bytes of it so far
    Py_ssize_t left                 # of the body, or of this piece of it
    Py_ssize_t at                   # how far in the event, or in the tail
    long long chunks                # events that are whole
    unsigned long long written, before      # ns, by this event's time and by that of the one before it
    int line_size
    unsigned char last              # byte of a line
    char line[LINE]

cdef void expect(Answer *self) noexcept nogil
cdef int read(Answer *self, const Wanted *wanted, const char **at, const char *end) noexcept nogil

cdef class Expected:
    cdef Wanted wanted
    cdef bytes event, tail
