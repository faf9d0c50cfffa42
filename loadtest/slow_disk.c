/* Preloaded into a process: whatever it has a file system do to regular files takes so many milliseconds longer as the file that
 * SLOW_DISK names has bytes, from one call to the next. As on a disk that is busy for others: to sync, to allocate, to write, to
 * cut, to rename, to remove. What is stored to mapped files goes without calls and stays as fast as it is; so does the log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void wait_for_disk(void)
{
    const char *path = getenv("SLOW_DISK");
    struct stat status;
    struct timespec time;

    if (path == NULL || stat(path, &status) != 0 || status.st_size == 0)
        return;
    time.tv_sec = status.st_size / 1000;
    time.tv_nsec = status.st_size % 1000 * 1000000;
    nanosleep(&time, NULL);
}

static void wait_for_file(int fd)
{
    struct stat status;

    if (fd != STDERR_FILENO && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        wait_for_disk();
}

#define SLOW(type, name, parameters, arguments, wait)                            \
    type name parameters                                                         \
    {                                                                            \
        type(*real) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name);    \
        wait;                                                                    \
        return real arguments;                                                   \
    }

SLOW(int, fsync, (int fd), (fd), wait_for_file(fd))
SLOW(int, fdatasync, (int fd), (fd), wait_for_file(fd))
SLOW(int, msync, (void *at, size_t size, int flags), (at, size, flags), wait_for_disk())
SLOW(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), wait_for_file(fd))
SLOW(int, posix_fallocate64, (int fd, off64_t at, off64_t size), (fd, at, size), wait_for_file(fd))
SLOW(int, fallocate, (int fd, int how, off_t at, off_t size), (fd, how, at, size), wait_for_file(fd))
SLOW(int, ftruncate, (int fd, off_t size), (fd, size), wait_for_file(fd))
SLOW(int, ftruncate64, (int fd, off64_t size), (fd, size), wait_for_file(fd))
SLOW(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at), wait_for_file(fd))
SLOW(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at), wait_for_file(fd))
SLOW(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size), wait_for_file(fd))
SLOW(ssize_t, writev, (int fd, const struct iovec *from, int count), (fd, from, count), wait_for_file(fd))
SLOW(int, rename, (const char *from, const char *to), (from, to), wait_for_disk())
SLOW(int, unlink, (const char *path), (path), wait_for_disk())
