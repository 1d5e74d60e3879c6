/*
 * The jails that are served: a directory and a socket each, and a door that owns it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "parent/parent.h"
#include "parent/places.h"

#define DOOR_RESTART_MS 200u

static ServedJail *find(Parent *parent, const char *name)
{
    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        if (strcmp(jail->name, name) == 0)
            return jail;
    return NULL;
}

static void on_restart(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    ServedJail *jail = userdata;
    if (!jail->parent->stopping && !jail->parent->restarting && !jail->door)
        (void)jail_start_door(jail->parent, jail);
}

static void jail_free(ServedJail *jail)
{
    if (jail->listener >= 0) {
        (void)unlink(jail->socket_path);
        (void)rmdir(jail->directory);
    }
    fd_close(jail->listener);
    if (jail->restart)
        event_free(jail->restart);
    free(jail->directory);
    free(jail->socket_path);
    free(jail);
}

static int jail_open(Parent *parent, const PolicyJail *settings, ServedJail **ret)
{
    ServedJail *jail = calloc(1, sizeof *jail);
    uid_t owner = geteuid();

    if (!jail)
        return -ENOMEM;
    *jail = (ServedJail){.parent = parent, .listener = -EBADF, .limits = settings->limits};
    (void)snprintf(jail->name, sizeof jail->name, "%s", settings->name);
    if (asprintf(&jail->directory, "%s/jails/%s", parent->context.run_dir, jail->name) < 0 ||
        asprintf(&jail->socket_path, "%s/warden.sock", jail->directory) < 0 ||
        !(jail->restart = event_new(parent->loop, -1, 0, on_restart, jail))) {
        jail_free(jail);
        return -ENOMEM;
    }
    int result = place_directory(jail->directory, 0755, owner, getegid());
    if (result == 0)
        jail->listener = place_socket(jail->socket_path, 0666, owner, getegid(), true);
    if (result == 0 && jail->listener < 0)
        result = jail->listener;
    if (result < 0) {
        log_error("jail %s: %s: %s", jail->name, jail->socket_path, place_problem(result));
        jail_free(jail);
        return result;
    }
    *ret = jail;
    return 0;
}

static void send_limits(const ServedJail *jail, Child *to)
{
    Buffer payload = BUFFER_EMPTY(1024);
    buffer_put_string(&payload, jail->name);
    buffer_put_u32(&payload, jail->limits.pending);
    buffer_put_u32(&payload, jail->limits.connections);
    buffer_put_u64(&payload, jail->limits.bytes);
    buffer_put_u32(&payload, jail->limits.commands);
    (void)child_send(to, MESSAGE_JAIL, &payload, -1);
}

static void send_limits_to_all(const ServedJail *jail, Child *warden, Child *executor)
{
    if (jail->door)
        send_limits(jail, jail->door);
    if (warden)
        send_limits(jail, warden);
    if (executor)
        send_limits(jail, executor);
}

void jail_send_listener(ServedJail *jail)
{
    Buffer payload = BUFFER_EMPTY(8192);
    if (!jail->door)
        return;
    buffer_put_string(&payload, jail->socket_path);
    (void)child_send(jail->door, MESSAGE_LISTENER, &payload, jail->listener);
}

int jail_start_door(Parent *parent, ServedJail *jail)
{
    Child *warden = child_find(parent, CHILD_WARDEN);
    Child *executor = child_find(parent, CHILD_EXECUTOR);

    if (!warden || !executor)
        return -ENOTCONN;
    jail->door = child_start(parent, CHILD_DOOR, jail);
    if (!jail->door)
        return -ENOMEM;
    jail->door_id = ++parent->next_door_id;
    send_limits_to_all(jail, warden, executor);
    int result = children_link(jail->door, executor, jail->door_id, jail->name, jail->socket_path);
    if (result == 0)
        result = children_link(jail->door, warden, jail->door_id, jail->name, jail->socket_path);
    if (result == 0 && warden->ready && executor->ready)
        jail_send_listener(jail);
    return result;
}

static void jail_close(Parent *parent, ServedJail *jail)
{
    ServedJail **link = &parent->jails;

    log_info("jail %s is no longer served", jail->name);
    while (*link != jail)
        link = &(*link)->next;
    *link = jail->next;
    if (jail->door) {
        jail->door->jail = NULL;
        (void)child_send(jail->door, MESSAGE_STOP, NULL, -1);
    }
    jail_free(jail);
}

static bool are_limits_equal(const PolicyLimits *a, const PolicyLimits *b)
{
    return a->pending == b->pending && a->connections == b->connections && a->bytes == b->bytes &&
           a->commands == b->commands;
}

static int serve(Parent *parent, const PolicyJail *settings)
{
    ServedJail *jail = find(parent, settings->name);

    if (!jail) {
        int result = jail_open(parent, settings, &jail);
        if (result < 0)
            return result;
        jail->next = parent->jails;
        parent->jails = jail;
        if (parent->announced && jail_start_door(parent, jail) < 0)
            log_error("jail %s: its door cannot be started", jail->name);
    } else if (!are_limits_equal(&jail->limits, &settings->limits)) {
        jail->limits = settings->limits;
        send_limits_to_all(jail, child_find(parent, CHILD_WARDEN),
                           child_find(parent, CHILD_EXECUTOR));
    }
    jail->wanted = true;
    return 0;
}

int jails_reconcile(Parent *parent, const Policy *policy)
{
    size_t n_jails = 0;
    const PolicyJail *jails = policy_jails(policy, &n_jails);
    int result = 0;

    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        jail->wanted = false;
    for (size_t i = 0; i < n_jails; i++) {
        int served = serve(parent, &jails[i]);
        if (served < 0)
            result = served;
    }
    for (ServedJail *jail = parent->jails, *next; jail; jail = next) {
        next = jail->next;
        if (!jail->wanted && result == 0)
            jail_close(parent, jail);
    }
    return result;
}

void jails_free(Parent *parent)
{
    while (parent->jails) {
        ServedJail *next = parent->jails->next;
        jail_free(parent->jails);
        parent->jails = next;
    }
}
