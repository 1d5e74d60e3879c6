/*
 * See peer.h.
 */
#include "exec/peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* A shim holds six descriptors. A caller with more than this many is refused by the slow way. */
#define CALLER_FDS_MAX 1024u

bool peer_is_stream(int fd)
{
    int domain = 0, type = 0, listening = 1;
    socklen_t size = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 0;
}

bool peer_was_accepted_at(int socket_fd, const char *path)
{
    struct sockaddr_un name;
    socklen_t size = sizeof name;

    memset(&name, 0, sizeof name);
    if (getsockname(socket_fd, (struct sockaddr *)&name, &size) < 0 || name.sun_family != AF_UNIX ||
        size <= offsetof(struct sockaddr_un, sun_path) || size > sizeof name)
        return false;
    size_t room = size - offsetof(struct sockaddr_un, sun_path), length = strlen(path);
    return length > 0 && length < sizeof name.sun_path && strnlen(name.sun_path, room) == length &&
           memcmp(name.sun_path, path, length) == 0;
}

/* Reads the answer of unix_diag for one socket. The inode of its peer, or -errno. */
static int read_peer_inode(const struct nlmsghdr *header, ssize_t size, uint32_t *ret)
{
    if (size < 0 || !NLMSG_OK(header, (size_t)size))
        return -EPROTO;
    if (header->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(header);
        return error->error < 0 ? error->error : -EPROTO;
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
        return -EPROTO;
    const char *next = (const char *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct unix_diag_msg));
    const char *end = (const char *)header + header->nlmsg_len;
    while ((size_t)(end - next) >= sizeof(struct nlattr)) {
        struct nlattr attribute;
        memcpy(&attribute, next, sizeof attribute);
        if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > (size_t)(end - next))
            return -EPROTO;
        if (attribute.nla_type == UNIX_DIAG_PEER && attribute.nla_len == NLA_HDRLEN + sizeof *ret) {
            memcpy(ret, next + NLA_HDRLEN, sizeof *ret);
            return 0;
        }
        size_t step = NLA_ALIGN(attribute.nla_len);
        if (step > (size_t)(end - next))
            break;
        next += step;
    }
    return -ENOTCONN;
}

static int peer_inode_of(int socket_fd, uint32_t *ret)
{
    struct stat status;
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } question = {
        .header = {.nlmsg_len = sizeof question,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = UINT32_MAX,
                    .udiag_show = UDIAG_SHOW_PEER,
                    .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    union {
        struct nlmsghdr header;
        char space[2048];
    } answer;

    if (fstat(socket_fd, &status) < 0)
        return -errno;
    question.request.udiag_ino = (uint32_t)status.st_ino;
    _cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(fd, &question, sizeof question, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return -errno;
    /* The kernel answers within sendto(2): nothing to wait for. */
    ssize_t got = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    return read_peer_inode(&answer.header, got, ret);
}

/* 0 when `process` has the socket with that inode open, -ESRCH when not, -errno. */
static int holds_socket(const PidRef *process, uint32_t inode)
{
    char path[64], wanted[64], target[64];

    (void)snprintf(path, sizeof path, "/proc/%d/fd", process->pid);
    (void)snprintf(wanted, sizeof wanted, "socket:[%u]", inode);
    _cleanup_(closedirp)
    DIR *directory = opendir(path);
    if (!directory)
        return -errno;
    for (unsigned n = 0; n < CALLER_FDS_MAX; n++) {
        const struct dirent *entry = readdir(directory);
        if (!entry)
            return -ESRCH;
        ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (size < 0)
            continue;
        target[size] = '\0';
        if (strcmp(target, wanted) == 0)
            return 0;
    }
    return -EMFILE;
}

static int peer_of_old_kernel(int socket_fd, pid_t pid, PidRef *ret)
{
    PidRef process = PIDREF_EMPTY;
    uint32_t inode = 0;

    if (pidref_open(pid, &process) < 0)
        return PEER_GONE;
    int result = peer_inode_of(socket_fd, &inode);
    if (result == 0)
        result = holds_socket(&process, inode);
    if (result == 0 && pidref_verify(&process) < 0)
        result = PEER_GONE;
    if (result == -ESRCH || result == -ENOTCONN)
        result = PEER_NOT_THE_CONNECTOR;
    if (result == -ENOENT) /* a connection lies in its connector's network namespace */
        result = PEER_UNSEEN;
    if (result == 0)
        *ret = process;
    else
        pidref_done(&process);
    return result;
}

int peer_of(int socket_fd, bool old_kernel, Peer *ret)
{
    struct ucred credentials = {0};
    socklen_t size = sizeof credentials;
    int pidfd = -EBADF;
    socklen_t pidfd_size = sizeof pidfd;

    *ret = PEER_EMPTY;
    if (!peer_is_stream(socket_fd))
        return PEER_NOT_A_CONNECTION;
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return -errno;
    if (credentials.pid <= 0)
        return credentials.uid == (uid_t)-1 ? PEER_NOT_A_CONNECTION : PEER_ELSEWHERE;
    ret->uid = credentials.uid;
    ret->gid = credentials.gid;

    /* Both options read the same struct pid of the socket, so number and pidfd agree. */
    if (!old_kernel && getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &pidfd_size) == 0) {
        ret->process = (PidRef){.pid = credentials.pid, .pidfd = pidfd};
        return PEER_OK;
    }
    if (!old_kernel && errno != ENOPROTOOPT)
        return errno == ESRCH || errno == EINVAL || errno == ENODATA ? PEER_GONE : -errno;
    return peer_of_old_kernel(socket_fd, credentials.pid, &ret->process);
}

void peer_done(Peer *peer)
{
    pidref_done(&peer->process);
}

const char *peer_problem_text(PeerProblem problem)
{
    switch (problem) {
    case PEER_OK:
        return "no problem";
    case PEER_NOT_A_CONNECTION:
        return "this is not a connection to a jail's socket";
    case PEER_ELSEWHERE:
        return "the caller lives in another pid namespace, where the warden cannot see it; start "
               "the warden with the host's pid namespace (pid: host), or on the host";
    case PEER_GONE:
        return "the process that connected is gone";
    case PEER_NOT_THE_CONNECTOR:
        return "the process that connected no longer holds the connection";
    case PEER_UNSEEN:
        return "the caller lives in another network namespace than the warden, or this kernel has "
               "no "
               "unix_diag to prove who it is";
    default:
        return "an unknown problem";
    }
}
