/* Locks of open file descriptions on single bytes: the kernel drops them with the process, however that ends. */
#ifndef FASTGATE_LOCKS_H
#define FASTGATE_LOCKS_H

#include <fcntl.h>
#include <string.h>

#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

/* Never waits. The type of lock that the kernel answers with, -1 where it refuses. */
static int fg_lock(int fd, long at, int command, short type) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = at;
    lock.l_len = 1;
    if (fcntl(fd, command, &lock) < 0) return -1;
    return lock.l_type;
}

#endif
