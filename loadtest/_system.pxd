"""What the loop asks of the system: sockets, epoll, clocks."""

from libc.stdint cimport int64_t, uint32_t
from posix.time cimport clock_gettime, timespec

cdef extern from "<sys/epoll.h>" nogil:
    enum: EPOLLIN, EPOLLOUT, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event *)
    int epoll_pwait2(int, epoll_event *, int, const timespec *, const void *)

cdef extern from "<netinet/in.h>" nogil:
    enum: AF_INET, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC, SOL_SOCKET, SO_ERROR, IPPROTO_TCP, INADDR_LOOPBACK, MSG_NOSIGNAL
    struct in_addr:
        uint32_t s_addr
    struct sockaddr_in:
        unsigned short sin_family, sin_port
        in_addr sin_addr
    uint32_t htonl(uint32_t)
    unsigned short htons(unsigned short)
    int make_socket "socket"(int, int, int)
    int connect(int, const void *, unsigned int)
    int accept4(int, void *, void *, int)
    int setsockopt(int, int, int, const void *, unsigned int)
    int getsockopt(int, int, int, void *, unsigned int *)
    Py_ssize_t send(int, const void *, size_t, int)
    Py_ssize_t recv(int, void *, size_t, int)

cdef extern from "<netinet/tcp.h>" nogil:
    enum: TCP_NODELAY

cdef extern from "<sys/prctl.h>" nogil:
    enum: PR_SET_TIMERSLACK
    int prctl(int, unsigned long)


cdef inline int64_t clock(int which) noexcept nogil:
    """Nanoseconds by one of its clocks."""
    cdef timespec now
    clock_gettime(which, &now)
    return now.tv_sec * 1_000_000_000 + now.tv_nsec
