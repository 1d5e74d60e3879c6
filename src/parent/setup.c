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

int setup_listen(Parent *parent)
{
    const Options *options = parent->options;
    bool tls = options->tls_cert != NULL;
    Buffer chain, key;

    if (strcmp(options->api, "none") == 0)
        return 0;
    if (tls) { /* that they can be used is better known now than later */
        int result = listen_read_tls(options->tls_cert, options->tls_key, &chain, &key);
        if (key.bytes)
            sodium_memzero(key.bytes, key.capacity);
        buffer_done(&chain);
        buffer_done(&key);
        if (result < 0)
            return result;
    }
    return listen_tcp(options->api, tls, &parent->tcp);
}

/* Remembers `path` and all directories above it that are not there yet, the uppermost first. */
static void note_fresh(Parent *parent, const char *path)
{
    char *missing[FRESH_MAX];
    size_t count = 0;
    char *copy = strdup(path);

    while (copy && access(copy, F_OK) < 0 && errno == ENOENT && count < FRESH_MAX) {
        char *above = strdup(copy);
        missing[count++] = copy;
        copy = above ? strdup(dirname(above)) : NULL;
        free(above);
    }
    free(copy);
    while (count > 0) {
        char *directory = missing[--count];
        if (parent->n_fresh < FRESH_MAX)
            parent->fresh[parent->n_fresh++] = directory;
        else
            free(directory);
    }
}

static int make_place(Parent *parent, const char *path, mode_t mode, uid_t owner, gid_t group)
{
    note_fresh(parent, path);
    int result = place_directory(path, mode, owner, group);
    if (result < 0)
        log_error("%s: %s", path, place_problem(result));
    return result;
}

/* The api's own directory: tokens and users are its to keep, and nobody else's to read. */
static int make_api_place(Parent *parent)
{
    const ProcessContext *context = &parent->context;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/api", parent->options->state_dir);
    return context->privileged ? make_place(parent, path, 0700, context->api.uid, context->api.gid)
                               : make_place(parent, path, 0700, geteuid(), getegid());
}

int setup_make_places(Parent *parent)
{
    const Options *options = parent->options;
    char jails[PATH_MAX], armory[PATH_MAX], api[PATH_MAX], audit[PATH_MAX];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    gid_t operators = parent->context.privileged ? parent->context.operators : gid;

    (void)snprintf(jails, sizeof jails, "%s/jails", options->run_dir);
    (void)snprintf(armory, sizeof armory, "%s/armory", options->run_dir);
    (void)snprintf(api, sizeof api, "%s", options->api_socket);
    (void)snprintf(audit, sizeof audit, "%s", options->audit);
    int result = make_place(parent, options->run_dir, 0755, uid, gid);
    if (result == 0)
        result = make_place(parent, jails, 0755, uid, gid);
    if (result == 0)
        result = make_place(parent, armory, 0755, uid, gid);
    if (result == 0)
        result = make_place(parent, options->state_dir, 0750, uid, operators);
    if (result == 0)
        result = make_api_place(parent);
    if (result == 0)
        result = make_place(parent, dirname(api), 0750, uid, operators);
    if (result == 0) /* the journal's, so that its lock can be taken before it is opened */
        result = make_place(parent, dirname(audit), 0750, uid, operators);
    return result;
}

static bool is_fresh(const Parent *parent, const char *path)
{
    char copy[PATH_MAX + 16];

    (void)snprintf(copy, sizeof copy, "%.*s", PATH_MAX - 1, path);
    const char *directory = dirname(copy);
    for (size_t i = 0; i < parent->n_fresh; i++)
        if (strcmp(parent->fresh[i], directory) == 0)
            return true;
    return false;
}

static void lock_paths(const Options *options, char paths[LOCKS][PATH_MAX + 16])
{
    (void)snprintf(paths[0], PATH_MAX + 16, "%s/lock", options->state_dir);
    (void)snprintf(paths[1], PATH_MAX + 16, "%s/lock", options->run_dir);
    (void)snprintf(paths[2], PATH_MAX + 16, "%s.lock", options->audit);
}

void setup_undo_places(Parent *parent)
{
    char paths[LOCKS][PATH_MAX + 16];

    lock_paths(parent->options, paths);
    for (size_t i = 0; i < LOCKS; i++)
        if (parent->locks[i] >= 0 && is_fresh(parent, paths[i]))
            (void)unlink(paths[i]);
    static const char *const programs[] = {"clawrden-shim", "clawrden-launcher"};
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        (void)snprintf(paths[0], sizeof paths[0], "%s/armory/%s", parent->options->run_dir,
                       programs[i]);
        if (is_fresh(parent, paths[0]))
            (void)unlink(paths[0]);
    }
    for (size_t i = parent->n_fresh; i-- > 0;) /* those that hold something stay */
        (void)rmdir(parent->fresh[i]);
}

/* Two wardens would take each other's sockets away and break each other's chain of records. */
static int take_locks(Parent *parent)
{
    const Options *options = parent->options;
    char paths[LOCKS][PATH_MAX + 16];

    lock_paths(options, paths);
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
    switches_load(parent);
    int loaded = journal_head_load(parent->head_path, &parent->head);
    if (loaded < 0)
        log_warning("%s: %s; the journal's tail cannot be checked against it", parent->head_path,
                    strerror(-loaded));
    return 0;
}

int setup_serve_jails(Parent *parent)
{
    int result = jails_open(parent);
    if (result < 0)
        return result;
    Policy *policy = files_load_policy(parent->options->policy, parent->options->log_json);
    if (!policy)
        return -EINVAL;
    result = jails_reconcile(parent, policy);
    policy_free(policy);
    (void)malloc_trim(0);
    if (result < 0)
        return result;
    if (!parent->engine) /* nobody else will ask for jails */
        jails_sweep(parent);
    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        if (strcmp(jail->name, "default") == 0 && parent->options->socket)
            result = place_symlink(jail->socket_path, parent->options->socket);
    if (result < 0)
        log_error("%s: %s", parent->options->socket, place_problem(result));
    return result;
}
