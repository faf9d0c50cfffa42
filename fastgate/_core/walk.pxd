from libc.stdint cimport int16_t, int64_t, uint8_t

cdef enum:
    MAX_DEPTH = 256
    MAX_RULES = 64
    NAME_SLOTS = 32
    LONGEST_NAME = 64

cdef enum Kind:
    KIND_ABSENT = 0
    KIND_NULL = 1
    KIND_FALSE = 2
    KIND_TRUE = 3
    KIND_NUMBER = 4
    KIND_STRING = 5
    KIND_ARRAY = 6
    KIND_OBJECT = 7

cdef enum Fault:
    FAULT_NONE = 0
    FAULT_CUT = 1               # the text ends inside a value
    FAULT_VALUE = 2             # something else where a value has to be
    FAULT_NAME = 3              # ... a member's name
    FAULT_COLON = 4
    FAULT_COMMA = 5             # neither a comma nor the closing bracket
    FAULT_REST = 6              # text after the document
    FAULT_CONTROL = 7           # a raw control character in a string
    FAULT_ESCAPE = 8
    FAULT_UTF8 = 9
    FAULT_NUMBER = 10
    FAULT_DEPTH = 11
    FAULT_TWICE = 12            # a member's name comes twice
    FAULT_UNPAIRED = 13         # a compared name holds half a surrogate pair
    FAULT_MEMORY = 14
    FAULT_NAMES = 15            # too many names to compare

cdef struct Hit:                # what was found at a rule's path
    int kind                    # of the last value that is not null, else KIND_NULL, else KIND_ABSENT
    bint escaped                # a string with escapes
    bint empty                  # a container without elements
    int64_t count               # how many values were there, null included
    int64_t total               # UTF-8 bytes of all strings there, unescaped
    Py_ssize_t member           # offset of `"name": value`, -1 for an element of an array and for the document
    Py_ssize_t start            # of the value
    Py_ssize_t end

cdef struct Node:               # of the tree of paths; 0 is the document
    const char *name
    Py_ssize_t size
    int16_t by_size[NAME_SLOTS] # first child whose name has so many bytes (the last slot: or more), -1: none
    int16_t next                # sibling in the same slot
    int16_t star                # what the elements of an array are
    int16_t rule                # first rule that wants the value
    bint unique                 # whether a name that comes twice is a fault

cdef struct Rule:
    const char *equals          # the only string wanted, unescaped, at most LONGEST_NAME bytes; NULL: any value
    Py_ssize_t size
    int16_t next

cdef struct Table:
    Node *nodes
    Rule *rules
    int rule_count
    bint unique

cdef struct Report:
    int fault
    Py_ssize_t at               # offset of the fault
    int64_t string_bytes        # UTF-8 bytes in all strings and names, unescaped

cdef int walk(const uint8_t *data, Py_ssize_t size, const Table *table, Hit *hits, Report *report) noexcept nogil
