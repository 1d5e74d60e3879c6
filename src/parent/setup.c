/*
 * Start-up: who the processes will be, and the places on disk that they serve.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "parent/parent.h"
#include "parent/places.h"

static int find_user(const char *name, const char *suffix, ProcessUser *ret)
{
    char full[80];
    (void)snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct passwd *user = getpwnam(full);
    if (!user || user->pw_uid == 0) {
        log_error("there is no user '%s'%s; create it with: useradd --system --user-group "
                  "--no-create-home --shell /usr/sbin/nologin %s",
                  full, user ? " but root" : "", full);
        return -ENOENT;
    }
    *ret = (ProcessUser){.uid = user->pw_uid, .gid = user->pw_gid};
    return 0;
}

int setup_find_users(Parent *parent)
{
    const char *name = parent->options->user;
    ProcessContext *context = &parent->context;

    if (!context->privileged) {
        log_warning("not started as root: everything runs as this user, and nothing separates the "
                    "agent from the warden. This is no security boundary");
        context->operators = getegid();
        return 0;
    }
    /* All three are looked up, so that all that are missing are named. */
    int warden = find_user(name, "", &context->warden);
    int door = find_user(name, "-door", &context->door);
    int api = find_user(name, "-api", &context->api);
    if (warden < 0 || door < 0 || api < 0)
        return -ENOENT;
    context->operators = context->warden.gid;
    return 0;
}

/* The journal's directory is made here too, so that its lock can be taken before it is opened. */
static int make_journal_place(const Options *options, gid_t operators)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s", options->audit);
    const char *directory = dirname(path);
    int result = place_directory(directory, 0750, geteuid(), operators);
    if (result < 0)
        log_error("%s: %s", directory, place_problem(result));
    return result;
}

int setup_make_places(Parent *parent)
{
    const ProcessContext *context = &parent->context;
    const Options *options = parent->options;
    char path[PATH_MAX];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    gid_t operators = context->privileged ? context->operators : gid;
    const char *at = options->run_dir;

    int result = place_directory(at, 0755, uid, gid);
    if (result == 0) {
        (void)snprintf(path, sizeof path, "%s/jails", options->run_dir);
        result = place_directory(at = path, 0755, uid, gid);
    }
    if (result == 0) {
        at = options->state_dir;
        result = place_directory(at, 0750, uid, operators);
    }
    char api_path[PATH_MAX];
    (void)snprintf(api_path, sizeof api_path, "%s", options->api_socket);
    const char *api_directory = dirname(api_path);
    if (result == 0) {
        at = api_directory;
        result = place_directory(at, 0750, uid, operators);
    }
    if (result < 0)
        log_error("%s: %s", at, place_problem(result));
    return result < 0 ? result : make_journal_place(options, operators);
}

/* Two wardens would take each other's sockets away and break each other's chain of records. */
static int take_locks(Parent *parent)
{
    const Options *options = parent->options;
    char paths[LOCKS][PATH_MAX + 16];

    (void)snprintf(paths[0], sizeof paths[0], "%s/lock", options->state_dir);
    (void)snprintf(paths[1], sizeof paths[1], "%s/lock", options->run_dir);
    (void)snprintf(paths[2], sizeof paths[2], "%s.lock", options->audit);
    for (size_t i = 0; i < LOCKS; i++) {
        parent->locks[i] = place_lock(paths[i]);
        if (parent->locks[i] < 0) {
            log_error("%s: %s", paths[i], place_problem(parent->locks[i]));
            return parent->locks[i];
        }
    }
    return 0;
}

int setup_open_places(Parent *parent)
{
    const Options *options = parent->options;
    gid_t operators = parent->context.privileged ? parent->context.operators : getegid();

    int locked = take_locks(parent);
    if (locked < 0)
        return locked;
    parent->api_listener = place_socket(options->api_socket, 0660, geteuid(), operators, false);
    if (parent->api_listener < 0) {
        log_error("%s: %s", options->api_socket, place_problem(parent->api_listener));
        return parent->api_listener;
    }
    if (asprintf(&parent->head_path, "%s/journal.head", options->state_dir) < 0)
        return -ENOMEM;
    int loaded = journal_head_load(parent->head_path, &parent->head);
    if (loaded < 0)
        log_warning("%s: %s; the journal's tail cannot be checked against it", parent->head_path,
                    strerror(-loaded));
    return 0;
}

int setup_serve_jails(Parent *parent)
{
    Policy *policy = files_load_policy(parent->options->policy);
    if (!policy)
        return -EINVAL;
    int result = jails_reconcile(parent, policy);
    policy_free(policy);
    (void)malloc_trim(0);
    if (result < 0)
        return result;
    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        if (strcmp(jail->name, "default") == 0 && parent->options->socket)
            result = place_symlink(jail->socket_path, parent->options->socket);
    if (result < 0)
        log_error("%s: %s", parent->options->socket, place_problem(result));
    return result;
}
