/*
 * Who is behind a connection, and may it: the executor's own word, for the door's requests
 * (EXEC_OPEN) and the api's clients (VET_PEER).
 *
 * The door is not believed. It hands over the connection itself; that it is one of its jail's, and
 * not a socketpair, a listener or another's connection, is seen by the name of its own end, which a
 * door cannot bind a second time, and whose it is by the kernel's note of who connected. A door
 * could still hand over a connection that it made itself: its own user is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "exec/descendants.h"
#include "exec/executor-private.h"
#include "exec/mirror.h"
#include "exec/peer.h"

/* Chains of parents are not longer than this. */
#define ANCESTORS_MAX 256u

static bool is_own_user(const Executor *executor, uid_t uid)
{
    const ProcessContext *context = executor->context;
    return context->privileged &&
           (uid == context->door.uid || uid == context->warden.uid || uid == context->api.uid);
}

/* Reads who the peer is now; `ret_container`: and in which container, NULL for one who lives where
 * we do (then nobody from elsewhere is let through). 0; 1 with the reason in `why`; never "broken":
 * what cannot be read is refused. */
static int identify(const Executor *executor, int connection_fd, Identity *ret,
                    Container **ret_container, char why[static IDENTITY_WHY_MAX])
{
    _cleanup_(peer_done)
    Peer peer = PEER_EMPTY;
    World world;

    int result = peer_of(connection_fd, executor->options->old_kernel, &peer);
    if (result != PEER_OK) {
        (void)snprintf(why, IDENTITY_WHY_MAX, "%s",
                       result < 0 ? strerror(-result) : peer_problem_text((PeerProblem)result));
        return 1;
    }
    result = identity_read(&peer.process, ret, &world);
    if (result < 0) {
        (void)snprintf(why, IDENTITY_WHY_MAX, "who the caller is cannot be read: %s",
                       strerror(-result));
        return 1;
    }
    bool is_same = world_is_same(&world, &executor->world, why);
    if (!is_same && ret_container && world_shares_pids(&world, &executor->world)) {
        /* There nothing tells containers apart: whoever differs is refused. */
        size_t size = strlen(why);
        (void)snprintf(why + size, IDENTITY_WHY_MAX - size,
                       "; if it is in a container, start that without pid: host");
        return 1;
    }
    if (!is_same && (!ret_container || container_of(executor->containers, &peer.process, ret,
                                                    &world, ret_container, why) != 0))
        return 1;
    if (!identity_is_plain(ret, why))
        return 1;
    if (ret->uids[0] != peer.uid || ret->gids[0] != peer.gid) {
        (void)snprintf(why, IDENTITY_WHY_MAX,
                       "the caller has changed its user or group since it connected");
        return 1;
    }
    return 0;
}

/* The warden's users are nobody in a container: their numbers may be anybody's there. */
static bool may_ask(const Executor *executor, const Identity *caller, const Container *container,
                    char why[static IDENTITY_WHY_MAX])
{
    if (container)
        return mirror_is_possible(executor->block, why);
    if (is_own_user(executor, caller->uids[0])) {
        (void)snprintf(why, IDENTITY_WHY_MAX, "the warden's own users run no commands");
        return false;
    }
    if (!executor->context->privileged && caller->uids[0] != executor->self.uids[0]) {
        (void)snprintf(why, IDENTITY_WHY_MAX,
                       "the caller is another user than the warden, which has not been started as "
                       "root");
        return false;
    }
    return identity_is_confined_alike(caller, &executor->self, why);
}

void open_request(Door *door, LinkFrame *frame)
{
    Executor *executor = door->executor;
    /* The runner reads the first; the shim's connection it only keeps open. */
    int fds[2] = {TAKE_FD(frame->fds[1]), TAKE_FD(frame->fds[0])};
    char why[IDENTITY_WHY_MAX] = "";
    Identity caller;
    Container *container = NULL;

    bool permitted = false;
    if (!executor->warden)
        (void)snprintf(why, sizeof why, "the warden is not there");
    else if (!peer_is_stream(fds[0]))
        (void)snprintf(why, sizeof why, "the door passed something that is no unix stream socket");
    else if (!peer_was_accepted_at(fds[1], door->socket))
        (void)snprintf(why, sizeof why, "%s", peer_problem_text(PEER_NOT_A_CONNECTION));
    else if (identify(executor, fds[1], &caller, &container, why) == 0)
        permitted = may_ask(executor, &caller, container, why);

    if (permitted) {
        request_open_take(door, frame->key, &caller, container, fds, 2);
        return;
    }
    dispose_take(executor, &door->jail->share, fds, 2);
    if (executor->warden)
        request_refuse(executor, frame->key, EXEC_FAILURE_IDENTITY, why);
}

/* Is the process one that a request has started? By its cgroup, or by its ancestors where there are
 * no cgroups. */
static bool is_in_request(const Executor *executor, pid_t pid)
{
    _cleanup_free_ char *text = NULL;
    char path[32];

    if (executor->block->tree) {
        (void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
        if (fd_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL) < 0)
            return true;
        const char *cgroup = cgroup_path_in(text);
        return !cgroup || cgroup_tree_has(executor->block->tree, cgroup);
    }
    for (unsigned i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
        for (const Cell *cell = executor->block->cells; cell; cell = cell->next) {
            if (cell->child.pid == pid)
                return true;
        }
        pid = descendants_parent_of(pid);
    }
    return false;
}

static bool may_operate(const Executor *executor, const Identity *client,
                        char why[static IDENTITY_WHY_MAX])
{
    const ProcessContext *context = executor->context;

    if (is_in_request(executor, client->pid)) {
        (void)snprintf(why, IDENTITY_WHY_MAX, "a command of a jail may not decide about jails");
        return false;
    }
    if (context->privileged && client->uids[0] == context->door.uid) {
        (void)snprintf(why, IDENTITY_WHY_MAX, "a door may not decide about jails");
        return false;
    }
    return true;
}

void vet_peer(Executor *executor, LinkFrame *frame)
{
    int connection = TAKE_FD(frame->fds[0]);
    char why[IDENTITY_WHY_MAX] = "";
    Buffer payload = BUFFER_EMPTY(1024);
    Identity client = {.pid = 0, .uids = {(uid_t)-1}, .gids = {(gid_t)-1}};

    bool ok = identify(executor, connection, &client, NULL, why) == 0 &&
              may_operate(executor, &client, why);
    buffer_put_u8(&payload, ok);
    buffer_put_u32(&payload, (uint32_t)client.pid);
    buffer_put_u32(&payload, client.uids[0]);
    buffer_put_u32(&payload, client.gids[0]);
    buffer_put_u8(&payload, ok && identity_has_group(&client, executor->context->operators));
    buffer_put_string(&payload, why);
    if (link_send_buffer(executor->api, VET_ANSWER, frame->key, &payload) < 0)
        log_error("the api does not read");
    buffer_done(&payload);
    dispose_vetted_take(executor, connection);
}
