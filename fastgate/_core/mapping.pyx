"""A file, read where it lies, whose memory is given back by a thread.

The last who unmaps a file in shared memory that has no name any more frees it, page by page: 35 ms for the 200 MB of a million
keys, in which a loop would answer nobody. When that is to be cannot be chosen: a snapshot ends with the last request that
looks into it.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport errno
from libc.stdlib cimport free, malloc
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap

import os

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_attr_t:
        pass
    int PTHREAD_CREATE_DETACHED
    int pthread_attr_init(pthread_attr_t *)
    int pthread_attr_destroy(pthread_attr_t *)
    int pthread_attr_setdetachstate(pthread_attr_t *, int)
    int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *) noexcept nogil, void *)

cdef enum:
    LARGE = 1 << 20                 # bytes from which on a thread costs less

cdef struct Area:
    void *start
    Py_ssize_t size


cdef void *unmap(void *area) noexcept nogil:
    """The thread."""
    munmap((<Area *>area).start, (<Area *>area).size)
    free(area)
    return NULL


cdef bint unmap_aside(void *start, Py_ssize_t size) noexcept nogil:
    """Whether a thread does it."""
    cdef pthread_t thread
    cdef pthread_attr_t detached
    cdef Area *area = <Area *>malloc(sizeof(Area))
    cdef bint begun
    if area == NULL or pthread_attr_init(&detached) != 0:
        free(area)
        return False
    area.start, area.size = start, size
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED)
    begun = pthread_create(&thread, &detached, unmap, area) == 0
    pthread_attr_destroy(&detached)
    if not begun:
        free(area)
    return begun


cdef class Mapping:
    """The regular file behind ``descriptor``, of ``size`` bytes (more than none), to be read through the buffer protocol.

    The descriptor may be closed; who shortens the file has its readers end by a signal. Raises OSError where it cannot be
    mapped.
    """

    def __cinit__(self, int descriptor, Py_ssize_t size):
        cdef void *start = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0)
        if start == MAP_FAILED:
            raise OSError(errno, os.strerror(errno))
        self.start, self.size = start, size

    def __dealloc__(self):
        if self.start != NULL and (self.size < LARGE or not unmap_aside(self.start, self.size)):
            munmap(self.start, self.size)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.start, self.size, True, flags)
