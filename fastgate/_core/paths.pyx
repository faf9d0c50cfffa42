"""Paths into JSON, compiled to the tree that ``walk`` follows."""

from libc.stdlib cimport calloc, free

from fastgate._core.walk cimport LONGEST_NAME, MAX_RULES, NAME_SLOTS, Node, Rule

cdef enum:
    MAX_NODES = 256


cdef class Paths:
    """Paths such as ``("a.b", None)`` and ``("items.*.type", b'"image"')``; ``*`` is any element of an array.

    What a path is said to equal is a string in quotes, without escapes in it; it is wanted however it is escaped.
    With ``unique``, names must not come twice in the document and in the objects that paths without ``*`` go through.
    """

    def __cinit__(self, rules, bint unique=False):
        if len(rules) > MAX_RULES:
            raise ValueError(f"at most {MAX_RULES} paths")
        self.table.nodes = <Node *>calloc(MAX_NODES, sizeof(Node))
        self.table.rules = <Rule *>calloc(MAX_RULES, sizeof(Rule))
        if self.table.nodes == NULL or self.table.rules == NULL:
            raise MemoryError
        self.table.unique = unique
        self._texts = []
        self._children = []
        self._new("")
        for path, equals in rules:
            self._add(tuple(path.split(".")) if path else (), equals)

    def __dealloc__(self):
        free(self.table.nodes)
        free(self.table.rules)

    def _new(self, str name):
        cdef bytes text = name.encode()
        cdef Node *node = &self.table.nodes[len(self._children)]
        cdef int i
        if len(self._children) == MAX_NODES or len(text) > LONGEST_NAME:
            raise ValueError("too many paths, or too long a name")
        self._texts.append(text)
        self._children.append({})
        node.name = text
        node.size = len(text)
        node.next = node.star = node.rule = -1
        for i in range(NAME_SLOTS):
            node.by_size[i] = -1
        return len(self._children) - 1

    cdef int _child(self, int parent, str name) except -1:
        cdef dict children = self._children[parent]
        cdef int child, slot
        if name in children:
            return children[name]
        child = children[name] = self._new(name)
        if name == "*":
            self.table.nodes[parent].star = child
        else:
            slot = min(self.table.nodes[child].size, NAME_SLOTS - 1)
            self.table.nodes[child].next = self.table.nodes[parent].by_size[slot]
            self.table.nodes[parent].by_size[slot] = child
        return child

    cdef int _node(self, tuple path) except -1:
        cdef int node = 0
        cdef bint single = self.table.unique
        self.table.nodes[0].unique = single
        for name in path:
            single = single and name != "*"
            self.table.nodes[node].unique |= single
            node = self._child(node, name)
        return node

    def _add(self, tuple path, equals):
        cdef bytes text
        cdef int node = self._node(path)
        cdef Rule *rule = &self.table.rules[self.table.rule_count]
        rule.next = self.table.nodes[node].rule
        rule.equals = NULL
        if equals is not None:
            text = bytes(equals)[1 : len(equals) - 1]
            if equals != b'"%b"' % text or b"\\" in text or len(text) > LONGEST_NAME:
                raise ValueError(f"no short string in quotes: {equals}")
            self._texts.append(text)
            rule.equals = text
            rule.size = len(text)
        self.table.nodes[node].rule = self.table.rule_count
        self.table.rule_count += 1
