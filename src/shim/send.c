/*
 * Connecting, and the request.
 *
 * Up to 6 MiB of strings go out from where the kernel put them: argv and the environment each lie
 * in one run on the stack (execve(2)), so neighbouring strings are joined into one piece and a
 * request is nearly always a single sendmsg(2) of five pieces. The descriptors go with its first
 * byte.
 *
 * What can go wrong: no warden (125 at once), a warden too busy to accept or to read (10 s), a
 * warden that refuses before it has read everything (then we stop sending and read its answer).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim/shim.h"

#define FDS_MAX 4
#define PIECES_MAX 16

int fd_above_stdio(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return moved;
}

static _Noreturn void cannot_reach(const Shim *shim, const char *path, int error)
{
    fail(shim, EXIT_WARDEN_FAILED, "cannot reach the warden at ", path, ": ", strerror(error),
         "; nothing was run");
}

/* connect(2) on a socket whose door has a full backlog: waits in the kernel, which wakes waiters in
 * their order, where sleeping and retrying would be a lottery. The caller lets signals through. */
static int connect_patiently(int fd, const struct sockaddr_un *address)
{
    struct timespec now, end;

    if (clock_gettime(CLOCK_MONOTONIC, &end) < 0 || fcntl(fd, F_SETFL, 0) < 0)
        return -errno;
    end.tv_sec += SHIM_PROGRESS_S;
    for (;;) {
        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
            return -errno;
        int64_t left_us = (end.tv_sec - now.tv_sec) * 1000000 + (end.tv_nsec - now.tv_nsec) / 1000;
        if (left_us <= 0)
            return -ETIMEDOUT;
        struct timeval left = {.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left) < 0)
            return -errno;
        if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
            return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

int door_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        fail(NULL, EXIT_WARDEN_FAILED, "cannot make a socket: ", strerror(errno),
             "; nothing was run");
    return fd;
}

void door_connect(Shim *shim, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;

    if (size > sizeof address.sun_path)
        cannot_reach(shim, path, ENAMETOOLONG);
    memcpy(address.sun_path, path, size);
    if (connect(shim->socket_fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return;
    if (errno != EAGAIN)
        cannot_reach(shim, path, errno);
    signals_restore(shim); /* nothing is sent yet: they may do what they do to any process */
    int result = connect_patiently(shim->socket_fd, &address);
    if (result < 0)
        cannot_reach(shim, path, -result);
    signals_block(shim);
}

typedef struct Measure {
    uint32_t count;
    uint32_t size;
} Measure;

/* Counts strings and their bytes; stops counting beyond every limit. */
static Measure measure(char **strings)
{
    Measure total = {0};

    for (; *strings && total.size <= SHIM_REQUEST_MAX; strings++, total.count++) {
        size_t size = strlen(*strings) + 1;
        total.size += size <= SHIM_REQUEST_MAX ? (uint32_t)size : SHIM_REQUEST_MAX + 1;
    }
    return total;
}

bool command_measure(Command *command)
{
    ShimHeader *header = &command->header;
    size_t path_size = strlen(command->path) + 1, cwd_size = strlen(command->cwd) + 1;
    Measure argv = measure(command->argv), env = measure(command->env);

    header->magic = SHIM_MAGIC;
    header->version = SHIM_VERSION;
    header->path_size = (uint32_t)path_size;
    header->cwd_size = (uint32_t)cwd_size;
    header->argc = argv.count;
    header->argv_size = argv.size;
    header->envc = env.count;
    header->env_size = env.size;
    return path_size <= SHIM_PATH_MAX && cwd_size <= SHIM_PATH_MAX &&
           shim_request_size(header) <= SHIM_REQUEST_MAX;
}

/* Pieces that wait to be sent, and the descriptors that go with the first byte. */
typedef struct Outgoing {
    Shim *shim;
    const int *fds; /* NULL once sent */
    size_t n_fds;
    struct iovec pieces[PIECES_MAX];
    size_t n_pieces;
    bool answered; /* the door has spoken before it read everything: send no more */
} Outgoing;

/* One sendmsg(2) of everything from `pieces` on; bytes sent or -errno. */
static ssize_t send_pieces(Outgoing *outgoing, struct iovec *pieces, size_t n_pieces)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control;
    struct msghdr message = {.msg_iov = pieces};

    message.msg_iovlen = (__typeof__(message.msg_iovlen))n_pieces;
    if (outgoing->fds) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen =
            (__typeof__(message.msg_controllen))CMSG_SPACE(sizeof(int) * outgoing->n_fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = (__typeof__(header->cmsg_len))CMSG_LEN(sizeof(int) * outgoing->n_fds);
        memcpy(CMSG_DATA(header), outgoing->fds, sizeof(int) * outgoing->n_fds);
    }
    ssize_t sent = sendmsg(outgoing->shim->socket_fd, &message, MSG_NOSIGNAL);
    if (sent > 0)
        outgoing->fds = NULL;
    return sent < 0 ? -errno : sent;
}

/* A send that made no progress: waits for room, or notices that the door has answered. */
static void wait_for_room(Outgoing *outgoing, ssize_t problem, struct timespec *left)
{
    Shim *shim = outgoing->shim;

    if (problem == -EPIPE || problem == -ECONNRESET) {
        outgoing->answered = true;
        return;
    }
    if (problem == -ETOOMANYREFS) { /* too many descriptors of this user are on their way */
        struct timespec nap = {.tv_nsec = 5000000};
        if (left->tv_sec > 0 || left->tv_nsec > nap.tv_nsec) {
            left->tv_sec -= left->tv_nsec < nap.tv_nsec;
            left->tv_nsec += left->tv_nsec < nap.tv_nsec ? 1000000000 - nap.tv_nsec : -nap.tv_nsec;
            outgoing->answered = shim_wait(shim, shim->socket_fd, POLLIN, &nap) != 0;
            return;
        }
    } else if (problem == -EAGAIN) {
        int events = shim_wait(shim, shim->socket_fd, POLLIN | POLLOUT, left);
        outgoing->answered = events != 0 && !(events & POLLOUT);
        if (events != 0)
            return;
    } else if (problem != -EINTR) {
        fail(shim, EXIT_WARDEN_FAILED,
             "cannot send the command to the warden: ", strerror((int)-problem),
             "; nothing was run");
    } else {
        return;
    }
    fail(shim, EXIT_WARDEN_FAILED, "the warden does not read the command; nothing was run");
}

/* Sends all pieces that are waiting. */
static void flush(Outgoing *outgoing)
{
    struct iovec *next = outgoing->pieces;
    struct timespec left = {.tv_sec = SHIM_PROGRESS_S};

    while (outgoing->n_pieces > 0 && !outgoing->answered) {
        ssize_t sent = send_pieces(outgoing, next, outgoing->n_pieces);
        if (sent < 0) {
            wait_for_room(outgoing, sent, &left);
            continue;
        }
        left = (struct timespec){.tv_sec = SHIM_PROGRESS_S};
        while (outgoing->n_pieces > 0 && (size_t)sent >= next->iov_len) {
            sent -= (ssize_t)next->iov_len;
            next++;
            outgoing->n_pieces--;
        }
        if (outgoing->n_pieces > 0) {
            next->iov_base = (char *)next->iov_base + sent;
            next->iov_len -= (size_t)sent;
        }
    }
    outgoing->n_pieces = 0;
}

/* Adds bytes; what directly follows the piece before is joined to it. */
static void add(Outgoing *outgoing, const void *bytes, size_t size)
{
    struct iovec *last = outgoing->n_pieces > 0 ? &outgoing->pieces[outgoing->n_pieces - 1] : NULL;

    if (last && (const char *)last->iov_base + last->iov_len == bytes) {
        last->iov_len += size;
        return;
    }
    if (outgoing->n_pieces == PIECES_MAX)
        flush(outgoing);
    outgoing->pieces[outgoing->n_pieces++] =
        (struct iovec){.iov_base = (void *)bytes, .iov_len = size};
}

void request_send(Shim *shim, const Command *command, const int *fds, size_t n_fds)
{
    Outgoing outgoing = {.shim = shim, .fds = fds, .n_fds = n_fds};

    add(&outgoing, &command->header, sizeof command->header);
    add(&outgoing, command->path, command->header.path_size);
    add(&outgoing, command->cwd, command->header.cwd_size);
    for (char **string = command->argv; *string; string++)
        add(&outgoing, *string, strlen(*string) + 1);
    for (char **string = command->env; *string; string++)
        add(&outgoing, *string, strlen(*string) + 1);
    flush(&outgoing);
    if (!outgoing.answered)
        shim->phase = PHASE_WAITING;
}
