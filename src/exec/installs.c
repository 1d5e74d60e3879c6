/*
 * The parent's orders to put a jail into a running container (install.h), each done by a child that
 * has a time for it.
 *
 * The parent has the container's id and its first process from the engine. Which container that
 * process is in is the kernel's word (container.h): another one's, or none's, is refused.
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

struct Installation {
    Executor *executor;
    uint64_t key;
    PidRef child;
    int result_fd; /* owned: the child's words, or its end */
    struct event done, deadline;
    char note[CONTAINER_WHY_MAX]; /* what is wrong with the container all the same */
    Installation *next;
};

static void answer(Executor *executor, uint64_t key, InstallResult result, const char *why)
{
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_u8(&payload, (uint8_t)result);
    buffer_put_string(&payload, why);
    if (link_send_buffer(executor->control, MESSAGE_INSTALLED, key, &payload) < 0)
        executor_lose(executor, "the parent does not read");
    buffer_done(&payload);
}

static void free_installation(Installation *installation)
{
    (void)event_del(&installation->done);
    (void)event_del(&installation->deadline);
    if (pidref_is_set(&installation->child)) {
        siginfo_t info;
        (void)pidref_kill(&installation->child, SIGKILL);
        (void)waitid(P_PIDFD, (id_t)installation->child.pidfd, &info, WEXITED);
    }
    pidref_done(&installation->child);
    fd_close(installation->result_fd);
    free(installation);
}

static void finish(Installation *installation, InstallResult result, const char *why)
{
    Executor *executor = installation->executor;
    Installation **link = &executor->installations;
    uint64_t key = installation->key;
    char words[INSTALL_WHY_MAX];

    while (*link != installation)
        link = &(*link)->next;
    *link = installation->next;
    (void)snprintf(words, sizeof words, "%s", *why ? why : installation->note);
    free_installation(installation);
    answer(executor, key, result, words);
}

static void on_deadline(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    finish(userdata, INSTALL_FAILED, "putting the jail into the container took too long");
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

/* Mounting is none of the executor's own work, so its effective set lacks what that takes. */
static _Noreturn void be_child(const InstallOrder *order, const Container *container, int result_fd)
{
    char text[INSTALL_WHY_MAX + 1];
    InstallResult result = INSTALL_FAILED;

    (void)prctl(PR_SET_NAME, "clwd-install", 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && become_effective(UINT64_MAX) == 0)
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
    (void)snprintf(installation->note, sizeof installation->note, "%s", note);
    (void)event_assign(&installation->done, executor->loop, ends[0], EV_READ | EV_PERSIST, on_done,
                       installation);
    (void)evtimer_assign(&installation->deadline, executor->loop, on_deadline, installation);
    int forked = pidref_fork(&installation->child, -1);
    if (forked == 0)
        be_child(order, container, ends[1]);
    fd_close(ends[1]);
    if (forked < 0 || event_add(&installation->done, NULL) < 0 ||
        event_add(&installation->deadline, &most) < 0) {
        free_installation(installation);
        return forked < 0 ? forked : -ENOMEM;
    }
    installation->next = executor->installations;
    executor->installations = installation;
    return 0;
}

int install_order_take(Executor *executor, const LinkFrame *frame)
{
    InstallOrder order;
    char why[CONTAINER_WHY_MAX];

    if (install_order_decode(frame->payload, frame->size, &order) < 0 || frame->n_fds > 0)
        return -EPROTO;
    const Container *container = find_container(executor, &order, why);
    if (!container) {
        answer(executor, frame->key, INSTALL_FAILED, why);
        return 0;
    }
    int result = start(executor, frame->key, &order, container, why);
    if (result < 0)
        answer(executor, frame->key, INSTALL_FAILED, strerror(-result));
    return 0;
}

void installations_free(Executor *executor)
{
    while (executor->installations) {
        Installation *installation = executor->installations;
        executor->installations = installation->next;
        free_installation(installation);
    }
}
