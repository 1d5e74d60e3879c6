/*
 * The jails that are served: a directory and a socket each, and a door that owns it. Which they
 * are, and with which settings, is what the table says (jail/table.h).
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

ServedJail *jail_find(Parent *parent, const char *name)
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

/* The directory stays: it is mounted in the jail's prisoners. */
static void jail_free(ServedJail *jail)
{
    if (jail->listener >= 0)
        (void)unlink(jail->socket_path);
    fd_close(jail->listener);
    if (jail->restart)
        event_free(jail->restart);
    jail_settings_done(&jail->settings);
    free(jail->directory);
    free(jail->socket_path);
    free(jail);
}

static ServedJail *jail_new(Parent *parent, const JailSettings *settings)
{
    ServedJail *jail = calloc(1, sizeof *jail);

    if (!jail)
        return NULL;
    *jail = (ServedJail){.parent = parent, .listener = -EBADF};
    (void)snprintf(jail->name, sizeof jail->name, "%s", settings->jail.name);
    if (asprintf(&jail->directory, "%s/jails/%s", parent->context.run_dir, jail->name) < 0 ||
        asprintf(&jail->socket_path, "%s/warden.sock", jail->directory) < 0 ||
        jail_settings_of(&settings->jail, settings->source, &jail->settings) < 0 ||
        !(jail->restart = event_new(parent->loop, -1, 0, on_restart, jail))) {
        jail_free(jail);
        return NULL;
    }
    return jail;
}

static int jail_open(Parent *parent, const JailSettings *settings)
{
    ServedJail *jail = jail_new(parent, settings);

    if (!jail)
        return -ENOMEM;
    jail->fresh = access(jail->directory, F_OK) < 0;
    int result = jail_house_make(&parent->house, settings);
    if (result < 0) {
        log_error("jail %s: %s: %s", jail->name, jail->directory, jail_house_problem(result));
        jail_free(jail);
        return result;
    }
    jail->listener = place_socket(jail->socket_path, 0666, geteuid(), getegid(), true);
    if (jail->listener < 0) {
        result = jail->listener;
        log_error("jail %s: %s: %s", jail->name, jail->socket_path, place_problem(result));
        if (jail->fresh)
            (void)jail_house_remove(&parent->house, jail->name);
        jail_free(jail);
        return result;
    }
    jail->next = parent->jails;
    parent->jails = jail;
    if (parent->announced && jail_start_door(parent, jail) < 0)
        log_error("jail %s: its door cannot be started", jail->name);
    return 0;
}

static void send_settings(const ServedJail *jail, Child *to)
{
    Buffer payload = BUFFER_EMPTY(JAIL_ENCODED_MAX);

    if (!to)
        return;
    jail_settings_encode(&payload, &jail->settings, to->kind == CHILD_WARDEN);
    (void)child_send(to, MESSAGE_JAIL, &payload, -1);
}

static void send_settings_to_all(const ServedJail *jail)
{
    send_settings(jail, jail->door);
    send_settings(jail, child_find(jail->parent, CHILD_WARDEN));
    send_settings(jail, child_find(jail->parent, CHILD_EXECUTOR));
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
    send_settings_to_all(jail);
    int result = children_link(jail->door, executor, jail->door_id, jail->name, jail->socket_path);
    if (result == 0)
        result = children_link(jail->door, warden, jail->door_id, jail->name, jail->socket_path);
    if (result == 0 && warden->ready && executor->ready)
        jail_send_listener(jail);
    return result;
}

/* The warden ends what runs and waits in it, and then its door goes. */
static void jail_close(Parent *parent, ServedJail *jail)
{
    ServedJail **link = &parent->jails;
    Child *warden = child_find(parent, CHILD_WARDEN);
    Buffer payload = BUFFER_EMPTY(256);

    log_info("jail %s is no longer served", jail->name);
    while (*link != jail)
        link = &(*link)->next;
    *link = jail->next;
    if (warden) {
        buffer_put_string(&payload, jail->name);
        (void)child_send(warden, MESSAGE_JAIL_GONE, &payload, -1);
    }
    if (jail->door) {
        jail->door->jail = NULL;
        (void)child_send(jail->door, MESSAGE_STOP, NULL, -1);
    }
    int result = jail_house_remove(&parent->house, jail->name);
    if (result < 0)
        log_error("jail %s: %s cannot be removed: %s", jail->name, jail->directory,
                  jail_house_problem(result));
    jail_free(jail);
}

static int jail_update(ServedJail *jail, const JailSettings *wanted)
{
    JailSettings settings;

    if (jail_settings_equal(&jail->settings, wanted) && jail->settings.source == wanted->source)
        return 0;
    int result = jail_house_make(&jail->parent->house, wanted);
    if (result == 0)
        result = jail_settings_of(&wanted->jail, wanted->source, &settings);
    if (result < 0) {
        log_error("jail %s: %s: %s", jail->name, jail->directory, jail_house_problem(result));
        return result;
    }
    jail_settings_done(&jail->settings);
    jail->settings = settings;
    send_settings_to_all(jail);
    return 0;
}

int jails_settle(Parent *parent, const char *name)
{
    const JailSettings *wanted = jail_table_find(&parent->wanted, name);
    ServedJail *jail = jail_find(parent, name);

    if (wanted)
        return jail ? jail_update(jail, wanted) : jail_open(parent, wanted);
    if (jail)
        jail_close(parent, jail);
    return 0;
}

int jails_settle_all(Parent *parent)
{
    int result = 0;

    for (size_t i = 0; i < parent->wanted.n_items; i++) {
        const JailSettings *settings = &parent->wanted.items[i];
        int settled = jail_table_is_in_force(&parent->wanted, i)
                          ? jails_settle(parent, settings->jail.name)
                          : 0;
        if (settled < 0 && settings->source == JAIL_OF_POLICY)
            result = settled;
    }
    for (ServedJail *jail = parent->jails, *next; jail; jail = next) {
        next = jail->next;
        if (!jail_table_find(&parent->wanted, jail->name))
            jail_close(parent, jail);
    }
    return result;
}

/* Policy. */

int jails_reconcile(Parent *parent, const Policy *policy)
{
    size_t n_jails = 0;
    const PolicyJail *jails = policy_jails(policy, &n_jails);

    for (size_t i = parent->wanted.n_items; i-- > 0;) {
        const JailSettings *settings = &parent->wanted.items[i];
        if (settings->source == JAIL_OF_POLICY && !policy_jail(policy, settings->jail.name))
            (void)jail_table_remove(&parent->wanted, settings->jail.name, JAIL_OF_POLICY);
    }
    for (size_t i = 0; i < n_jails; i++) {
        JailSettings settings;
        int result = jail_settings_of(&jails[i], JAIL_OF_POLICY, &settings);
        if (result == 0)
            result = jail_table_put_take(&parent->wanted, &settings);
        jail_settings_done(&settings);
        if (result < 0)
            return result;
        if (jail_table_find_of(&parent->wanted, jails[i].name, JAIL_OF_API))
            log_warning("jail %s was made by an operator and stands in the policy too: the "
                        "policy's settings are in force",
                        jails[i].name);
    }
    return jails_settle_all(parent);
}

/* Labels. */

int jails_put_label_take(Parent *parent, JailSettings *settings)
{
    char name[POLICY_JAIL_NAME_SIZE];

    (void)snprintf(name, sizeof name, "%s", settings->jail.name);
    int result = jail_table_put_take(&parent->wanted, settings);
    if (result < 0)
        return result;
    return jails_settle(parent, name);
}

void jails_remove_label(Parent *parent, const char *name)
{
    char copy[POLICY_JAIL_NAME_SIZE]; /* `name` may be the jail's own */

    (void)snprintf(copy, sizeof copy, "%s", name);
    if (jail_table_remove(&parent->wanted, copy, JAIL_OF_LABEL))
        (void)jails_settle(parent, copy);
}

/* The house. */

static bool is_wanted(const char *name, const void *userdata)
{
    return jail_table_find(userdata, name) != NULL;
}

void jails_sweep(Parent *parent)
{
    if (!parent->kept_problem) /* else there are jails that we know nothing of */
        jail_house_sweep(&parent->house, is_wanted, &parent->wanted);
}

void jails_free(Parent *parent)
{
    while (parent->jails) {
        ServedJail *next = parent->jails->next;
        if (!parent->announced && parent->jails->fresh)
            (void)jail_house_remove(&parent->house, parent->jails->name);
        jail_free(parent->jails);
        parent->jails = next;
    }
    jail_table_done(&parent->wanted);
    jail_house_close(&parent->house);
    fd_close(parent->state_fd);
    free(parent->kept_problem);
}
