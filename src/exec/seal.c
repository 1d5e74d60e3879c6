/*
 * See seal.h.
 */
#include "exec/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Debian 12's headers lack it (Linux 6.3): executable whatever vm.memfd_noexec says. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static int new_memfd(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

static int copy_bytes(int from, int to)
{
    char chunk[64 * 1024];
    uint64_t at = 0;

    for (;;) {
        ssize_t got = pread(from, chunk, sizeof chunk, (off_t)at);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (got == 0)
            return 0;
        at += (uint64_t)got;
        if (at > SEAL_FILE_MAX)
            return -EFBIG;
        int result = fd_write_all(to, chunk, (size_t)got);
        if (result < 0)
            return result;
    }
}

/* No more changes; the descriptor of the sealed bytes to read and run. */
static int seal(int copy, int *ret_fd)
{
    char path[32];

    if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    /* While a descriptor is open for writing, sealed or not, an exec is ETXTBSY. */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    int readable = open(path, O_RDONLY | O_CLOEXEC);
    if (readable < 0)
        return -errno;
    *ret_fd = readable;
    return 0;
}

int seal_copy(int fd, const char *name, int *ret_fd)
{
    _cleanup_fd_ int copy = new_memfd(name);
    if (copy < 0)
        return copy;
    int result = copy_bytes(fd, copy);
    return result < 0 ? result : seal(copy, ret_fd);
}

int seal_bytes(const void *bytes, size_t size, const char *name, int *ret_fd)
{
    _cleanup_fd_ int copy = new_memfd(name);
    if (copy < 0)
        return copy;
    int result = fd_write_all(copy, bytes, size);
    return result < 0 ? result : seal(copy, ret_fd);
}
