/*
 * See fd.h. Facts: unix(7) for SCM_RIGHTS and SCM_CREDENTIALS, close_range(2), fcntl(2).
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fd_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = saved;
    return -EBADF;
}

void fd_close_many(int *fds, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = fd_close(fds[i]);
}

int fd_set_nonblock(int fd, bool nonblock)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    int wanted = nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
        return -errno;
    return 0;
}

int fd_set_cloexec(int fd, bool cloexec)
{
    if (fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) < 0)
        return -errno;
    return 0;
}

/* close_range(2), which not every C library has. */
static int close_from_to(unsigned int first, unsigned int last)
{
    return syscall(SYS_close_range, first, last, 0) < 0 ? -errno : 0;
}

int fd_close_all_except(const int *keep, size_t n_keep)
{
    int sorted[34];
    size_t n_sorted = 0;

    if (n_keep > 32)
        return -EINVAL;
    for (size_t i = 0; i < n_keep; i++) {
        if (keep[i] < 3)
            continue;
        size_t at = n_sorted++;
        for (; at > 0 && sorted[at - 1] > keep[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = keep[i];
    }
    unsigned int next = 3;
    for (size_t i = 0; i < n_sorted; i++) {
        unsigned int kept = (unsigned int)sorted[i];
        int result = kept > next ? close_from_to(next, kept - 1) : 0;
        if (result < 0)
            return result;
        if (kept >= next)
            next = kept + 1;
    }
    return close_from_to(next, ~0U);
}

int fd_move_above_take(int fd, int minimum)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, minimum);
    int result = moved < 0 ? -errno : moved;
    fd_close(fd);
    return result;
}

int fd_write_all(int fd, const void *bytes, size_t size)
{
    const char *next = bytes;
    while (size > 0) {
        ssize_t written = write(fd, next, size);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        next += written;
        size -= (size_t)written;
    }
    return 0;
}

int fd_read_file(int directory_fd, const char *path, size_t limit, char **ret_text,
                 size_t *ret_size)
{
    _cleanup_fd_ int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    return fd_read_all(fd, limit, ret_text, ret_size);
}

int fd_read_all(int fd, size_t limit, char **ret_text, size_t *ret_size)
{
    size_t capacity = limit < 4096 ? limit + 1 : 4096, size = 0;
    _cleanup_free_ char *text = malloc(capacity + 1);
    if (!text)
        return -ENOMEM;
    for (;;) {
        ssize_t got = read(fd, text + size, capacity - size);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (got == 0)
            break;
        size += (size_t)got;
        if (size > limit)
            return -EFBIG;
        if (size == capacity) {
            capacity = capacity * 2 > limit + 1 ? limit + 1 : capacity * 2;
            char *larger = realloc(text, capacity + 1);
            if (!larger)
                return -ENOMEM;
            text = larger;
        }
    }
    text[size] = '\0';
    if (ret_size)
        *ret_size = size;
    *ret_text = TAKE_PTR(text);
    return 0;
}

static int write_new(int directory_fd, const char *name, const char *text, mode_t mode, gid_t group)
{
    (void)unlinkat(directory_fd, name, 0); /* what a crash left */
    _cleanup_fd_ int fd =
        openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    int result = fd_write_all(fd, text, strlen(text));
    if (result == 0 && group != (gid_t)-1 && fchown(fd, (uid_t)-1, group) < 0)
        result = -errno;
    if (result == 0 && fsync(fd) < 0)
        result = -errno;
    return result;
}

int fd_replace_file(int directory_fd, const char *name, const char *temporary, const char *text,
                    mode_t mode, gid_t group)
{
    int result = write_new(directory_fd, temporary, text, mode, group);
    if (result == 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
        result = -errno;
    if (result < 0) {
        (void)unlinkat(directory_fd, temporary, 0);
        return result;
    }
    return fsync(directory_fd) < 0 ? -errno : 0;
}

ssize_t fd_send(int socket_fd, const void *bytes, size_t size, const int *fds, size_t n_fds,
                int flags)
{
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = size};
    return fd_send_vectors(socket_fd, &vector, 1, fds, n_fds, flags);
}

ssize_t fd_send_vectors(int socket_fd, struct iovec *vectors, size_t n_vectors, const int *fds,
                        size_t n_fds, int flags)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FD_MESSAGE_MAX)];
    } control;
    struct msghdr message = {.msg_iov = vectors};

    /* size_t in glibc, int in POSIX and musl */
    message.msg_iovlen = (__typeof__(message.msg_iovlen))n_vectors;
    if (n_fds > FD_MESSAGE_MAX)
        return -EINVAL;
    if (n_fds > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        /* size_t in glibc, socklen_t in POSIX and musl */
        message.msg_controllen =
            (__typeof__(message.msg_controllen))CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = (__typeof__(header->cmsg_len))CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
    }
    for (;;) {
        ssize_t sent = sendmsg(socket_fd, &message, flags | MSG_NOSIGNAL);
        if (sent >= 0)
            return sent;
        if (errno != EINTR)
            return -errno;
    }
}

void fd_received_done(FdReceived *received)
{
    fd_close_many(received->fds, received->n_fds);
    received->n_fds = 0;
    received->pidfd = fd_close(received->pidfd);
}

/* Sorts one control message into `ret`; surplus descriptors are closed and reported. */
static int take_control_message(const struct cmsghdr *header, FdReceived *ret)
{
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_len < CMSG_LEN(0))
        return 0;
    size_t size = header->cmsg_len - CMSG_LEN(0);

    if (header->cmsg_type == SCM_RIGHTS) {
        int result = 0;
        for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            if (ret->n_fds < FD_MESSAGE_MAX) {
                ret->fds[ret->n_fds++] = fd;
            } else {
                fd_close(fd);
                result = -EMSGSIZE;
            }
        }
        return result;
    }
    if (header->cmsg_type == SCM_CREDENTIALS && size >= sizeof(struct ucred)) {
        struct ucred credentials;
        memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
        ret->has_credentials = true;
        ret->pid = credentials.pid;
        ret->uid = credentials.uid;
        ret->gid = credentials.gid;
    } else if (header->cmsg_type == SCM_PIDFD && size >= sizeof(int)) {
        int fd;
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
        fd_close(ret->pidfd);
        ret->pidfd = fd;
    }
    return 0;
}

static ssize_t receive_message(int socket_fd, struct msghdr *message, int flags)
{
    ssize_t got;
    do
        got = recvmsg(socket_fd, message, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t fd_receive(int socket_fd, void *bytes, size_t size, FdReceived *ret, int flags)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FD_MESSAGE_MAX) + CMSG_SPACE(sizeof(struct ucred)) +
                   CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};

    *ret = FD_RECEIVED_EMPTY;
    ssize_t got = receive_message(socket_fd, &message, flags);
    if (got < 0)
        return got;

    int result = message.msg_flags & MSG_CTRUNC ? -EMSGSIZE : 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
        int taken = take_control_message(header, ret);
        if (taken < 0)
            result = taken;
    }
    if (result < 0) {
        fd_received_done(ret);
        return result;
    }
    return got;
}

ssize_t fd_receive_any(int socket_fd, void *bytes, size_t size, int *fds, size_t *ret_n_fds,
                       int flags)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FD_KERNEL_MAX)];
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};

    *ret_n_fds = 0;
    ssize_t got = receive_message(socket_fd, &message, flags);
    if (got < 0)
        return got;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
            header->cmsg_len < CMSG_LEN(0))
            continue;
        size_t n_fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + *ret_n_fds, CMSG_DATA(header), n_fds * sizeof(int));
        *ret_n_fds += n_fds;
    }
    return message.msg_flags & MSG_CTRUNC ? -EMSGSIZE : got;
}

bool fd_refuse_fds(int socket_fd)
{
    const int no = 0;
    return setsockopt(socket_fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no) == 0;
}
