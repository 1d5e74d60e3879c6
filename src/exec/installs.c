/*
 * The parent's orders to put a jail into a running container (install.h), each done by a child that
 * has a time for it.
 *
 * The parent has the container's id and its first process from the engine. Which container that
 * process is in is the kernel's word (container.h): another one's, or none's, is refused.
 *
 * A child looks into directories of the container. Where one lies on a file system that does not
 * answer (FUSE, NFS), the child may not even die (signal(7): uninterruptible). So nobody waits for
 * one: it is killed, stays in the list until its end has been told by its pidfd, and holds nothing
 * of the executor's. While one of a container is there, no other is started for that container: a
 * new order waits for the end of one that is about to end, and is refused where that has been in
 * vain.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "exec/become.h"
#include "exec/container.h"
#include "exec/executor-private.h"
#include "exec/install.h"

#define INSTALL_TIME_MAX_S 10
/* Children that have been killed and have not died. */
#define STUCK_MAX 16u

struct Installation {
    Executor *executor;
    char container[CONTAINER_ID_SIZE];
    uint64_t key;
    bool is_answered, is_stuck;
    PidRef child;
    int result_fd; /* owned: the child's words, or its end */
    struct event done, deadline, end;
    char *next; /* owned: the order that waits for the child's end; NULL: none */
    size_t next_size;
    uint64_t next_key;
    char note[CONTAINER_WHY_MAX]; /* what is wrong with the container all the same */
    Installation *following;
};

static const char stuck_words[] =
    "an earlier try to put the jail into the container has not ended: "
    "a file system in it does not answer";

static void answer(Executor *executor, uint64_t key, InstallResult result, const char *why)
{
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_u8(&payload, (uint8_t)result);
    buffer_put_string(&payload, why);
    if (link_send_buffer(executor->control, MESSAGE_INSTALLED, key, &payload) < 0)
        executor_lose(executor, "the parent does not read");
    buffer_done(&payload);
}

/* The child, if it is still there, is left to itself. */
static void free_installation(Installation *installation)
{
    (void)event_del(&installation->done);
    (void)event_del(&installation->deadline);
    (void)event_del(&installation->end);
    if (pidref_is_set(&installation->child))
        (void)pidref_kill(&installation->child, SIGKILL);
    pidref_done(&installation->child);
    fd_close(installation->result_fd);
    free(installation->next);
    free(installation);
}

/* What is left to come is the child's end. */
static void finish(Installation *installation, InstallResult result, const char *why)
{
    (void)event_del(&installation->done);
    installation->is_answered = true;
    answer(installation->executor, installation->key, result, *why ? why : installation->note);
}

/* It has not ended in time, or not after it was done. */
static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Installation *installation = userdata;

    (void)pidref_kill(&installation->child, SIGKILL);
    if (!installation->is_answered)
        finish(installation, INSTALL_FAILED, "putting the jail into the container took too long");
    installation->is_stuck = true;
    if (installation->next) {
        free(TAKE_PTR(installation->next));
        answer(installation->executor, installation->next_key, INSTALL_FAILED, stuck_words);
    }
}

/* One byte and words, written in one piece (pipe(7): less than PIPE_BUF). */
static void on_done(evutil_socket_t fd, short what UNUSED, void *userdata)
{
    char text[INSTALL_WHY_MAX + 1];
    ssize_t size = read(fd, text, sizeof text - 1);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 1 || text[0] < 0 || text[0] >= INSTALL_MAX_) {
        finish(userdata, INSTALL_FAILED, "putting the jail into the container has failed");
        return;
    }
    text[size] = '\0';
    finish(userdata, (InstallResult)text[0], text + 1);
}

static void take_order(Executor *executor, uint64_t key, const char *payload, size_t size);

/* The child has ended. */
static void on_end(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Installation *installation = userdata;
    Executor *executor = installation->executor;
    Installation **link = &executor->installations;

    if (!installation->is_answered)
        on_done(installation->result_fd, 0, installation);
    if (!installation->is_answered)
        finish(installation, INSTALL_FAILED, "putting the jail into the container has failed");
    _cleanup_free_ char *next = TAKE_PTR(installation->next);
    size_t next_size = installation->next_size;
    uint64_t next_key = installation->next_key;

    while (*link != installation)
        link = &(*link)->following;
    *link = installation->following;
    (void)waitid(P_PIDFD, (id_t)installation->child.pidfd, &(siginfo_t){.si_pid = 0},
                 WEXITED | WNOHANG);
    free_installation(installation);
    if (next)
        take_order(executor, next_key, next, next_size);
}

/* Mounting is none of the executor's own work, so its effective set lacks what that takes. */
static _Noreturn void be_child(const InstallOrder *order, const Container *container, int result_fd)
{
    char text[INSTALL_WHY_MAX + 1];
    InstallResult result = INSTALL_FAILED;

    /* First of all: what it has of the executor's, among it the lock of the cgroup tree, must not
     * outlive the executor. */
    const int keep[] = {container->init.pidfd, container->root_fd, result_fd};
    int closed = fd_close_all_except(keep, ARRAY_SIZE(keep));

    (void)prctl(PR_SET_NAME, "clwd-install", 0, 0, 0);
    if (closed == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
        become_effective(UINT64_MAX) == 0)
        result = install_into(order, container->init.pidfd, container->root_fd, text + 1);
    else
        (void)snprintf(text + 1, sizeof text - 1, "%s", strerror(errno));
    text[0] = (char)result;
    (void)fd_write_all(result_fd, text, 1 + strlen(text + 1));
    _exit(EXIT_SUCCESS);
}

/* Also while nobody has reaped it. */
static bool has_ended(const PidRef *process)
{
    struct pollfd ready = {.fd = process->pidfd, .events = POLLIN};
    return poll(&ready, 1, 0) == 1;
}

/* Whether this is the machine's first pid namespace, in which every process can be seen: its inode
 * has had this number since Linux 3.8 (PROC_PID_INIT_INO). */
static bool sees_all(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == 0xEFFFFFFCu;
}

/* The container that the order means, or why it cannot be. */
static Container *find_container(Executor *executor, const InstallOrder *order,
                                 char why[static CONTAINER_WHY_MAX])
{
    _cleanup_(pidref_done)
    PidRef process = PIDREF_EMPTY;
    Container *container = NULL;
    static const char ended[] = "the container has ended";

    why[0] = '\0';
    if (pidref_open(order->pid, &process) < 0) {
        (void)snprintf(why, CONTAINER_WHY_MAX, "%s",
                       sees_all() ? ended
                                  : "the container's first process has ended, or cannot be seen "
                                    "from here: then start the warden with pid: host");
        return NULL;
    }
    (void)containers_take_up(executor->containers, &process, &container, why);
    if (!container && has_ended(&process))
        (void)snprintf(why, CONTAINER_WHY_MAX, "%s", ended);
    if (container && strcmp(container->id, order->id) != 0) {
        (void)snprintf(why, CONTAINER_WHY_MAX,
                       "the process that the engine names is in another container");
        return NULL;
    }
    return container;
}

static int start(Executor *executor, uint64_t key, const InstallOrder *order,
                 const Container *container, const char *note)
{
    int ends[2];
    struct timeval most = {.tv_sec = INSTALL_TIME_MAX_S};
    Installation *installation = calloc(1, sizeof *installation);

    if (!installation)
        return -ENOMEM;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(installation);
        return -errno;
    }
    *installation = (Installation){
        .executor = executor, .key = key, .child = PIDREF_EMPTY, .result_fd = ends[0]};
    (void)snprintf(installation->container, sizeof installation->container, "%s", container->id);
    (void)snprintf(installation->note, sizeof installation->note, "%s", note);
    (void)event_assign(&installation->done, executor->loop, ends[0], EV_READ | EV_PERSIST, on_done,
                       installation);
    (void)evtimer_assign(&installation->deadline, executor->loop, on_deadline, installation);
    int forked = pidref_fork(&installation->child, -1);
    if (forked == 0)
        be_child(order, container, ends[1]);
    fd_close(ends[1]);
    (void)event_assign(&installation->end, executor->loop, installation->child.pidfd, EV_READ,
                       on_end, installation);
    if (forked < 0 || event_add(&installation->done, NULL) < 0 ||
        event_add(&installation->deadline, &most) < 0 || event_add(&installation->end, NULL) < 0) {
        free_installation(installation);
        return forked < 0 ? forked : -ENOMEM;
    }
    installation->following = executor->installations;
    executor->installations = installation;
    return 0;
}

/* Has the order wait for an earlier one's end. The one that it takes the place of is of no interest
 * to the parent any more. */
static void put_off(Installation *installation, uint64_t key, const char *payload, size_t size)
{
    char *copy = installation->is_stuck ? NULL : malloc(size);

    if (!copy) {
        answer(installation->executor, key, INSTALL_FAILED,
               installation->is_stuck ? stuck_words : strerror(ENOMEM));
        return;
    }
    memcpy(copy, payload, size);
    free(installation->next);
    installation->next = copy;
    installation->next_size = size;
    installation->next_key = key;
}

static void take_order(Executor *executor, uint64_t key, const char *payload, size_t size)
{
    InstallOrder order;
    char why[CONTAINER_WHY_MAX];
    unsigned n_stuck = 0;

    if (install_order_decode(payload, size, &order) < 0)
        return; /* it has been decoded before */
    for (Installation *other = executor->installations; other; other = other->following) {
        if (strcmp(other->container, order.id) == 0) {
            put_off(other, key, payload, size);
            return;
        }
        n_stuck += other->is_stuck;
    }
    const Container *container = find_container(executor, &order, why);
    if (!container) {
        answer(executor, key, INSTALL_FAILED, why);
        return;
    }
    int result = n_stuck < STUCK_MAX ? start(executor, key, &order, container, why) : -EBUSY;
    if (result == -EBUSY)
        answer(executor, key, INSTALL_FAILED,
               "there are too many containers whose file systems do not answer");
    else if (result < 0)
        answer(executor, key, INSTALL_FAILED, strerror(-result));
}

int install_order_take(Executor *executor, const LinkFrame *frame)
{
    InstallOrder order;

    if (install_order_decode(frame->payload, frame->size, &order) < 0 || frame->n_fds > 0)
        return -EPROTO;
    take_order(executor, frame->key, frame->payload, frame->size);
    return 0;
}

void installations_free(Executor *executor)
{
    while (executor->installations) {
        Installation *installation = executor->installations;
        executor->installations = installation->following;
        free_installation(installation);
    }
}
