/*
 * The jails that operators make through the api: what the warden asks for on their behalf, kept in
 * jails.json, and made or unmade. The warden has checked who asks and what may be asked; here it is
 * checked once more that the policy's jails are not touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "jail/kept.h"
#include "parent/parent.h"
#include "parent/places.h"

/* Places of the shim and the launcher, seen from the directory of the warden's program: beside it,
 * as `make install` puts it, and as the build has it. */
static const char *const shim_places[] = {"clawrden-shim", "../bin/clawrden-shim",
                                          "../shim/clawrden-shim"};
static const char *const launcher_places[] = {"clawrden-launcher", "../bin/clawrden-launcher",
                                              "../exec/clawrden-launcher"};

/* A descriptor, or -ENOENT. */
static int find_program(const char *const places[static 3])
{
    char directory[PATH_MAX], path[2 * PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", directory, sizeof directory - 1);

    if (size <= 0)
        return -ENOENT;
    directory[size] = '\0';
    *strrchr(directory, '/') = '\0';
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, places[i]);
        int fd = place_trusted_file(path, geteuid());
        if (fd != -ENOENT && fd != -ENOTDIR) {
            if (fd < 0)
                log_warning("%s: %s", path, place_problem(fd));
            return fd;
        }
    }
    return -ENOENT;
}

/* Without a shim the jails are served all the same: prisoners may have their own. */
static int arm(Parent *parent)
{
    const char *given = parent->options->shim;
    _cleanup_fd_ int fd = given ? place_trusted_file(given, geteuid()) : find_program(shim_places);
    int result = fd < 0 ? fd : jail_house_arm(&parent->house, fd);

    if (result == 0)
        return 0;
    if (given) {
        log_error("--shim %s: %s", given, fd < 0 ? place_problem(fd) : jail_house_problem(result));
        return result;
    }
    log_warning("no clawrden-shim for the jails' directories%s%s: give --shim FILE",
                fd < 0 ? "" : ": ", fd < 0 ? "" : jail_house_problem(result));
    return 0;
}

/* Only root's wardens run anything in containers. Without it mirror_engine: docker refuses. */
static void arm_launcher(Parent *parent)
{
    _cleanup_fd_ int fd = geteuid() == 0 ? find_program(launcher_places) : -ENOENT;
    int result = fd < 0 ? 0 : jail_house_arm_launcher(&parent->house, fd);

    if (result < 0)
        log_warning("clawrden-launcher: %s; mirror_engine: docker refuses everything",
                    jail_house_problem(result));
}

static void read_kept(Parent *parent)
{
    int result = jails_kept_read(parent->state_fd, &parent->wanted, &parent->kept_problem);

    if (result == 0)
        return;
    if (!parent->kept_problem)
        parent->kept_problem = strdup("out of memory");
    log_error("%s/" JAILS_KEPT_FILE ": %s. The jails in it are not served, and none can be made "
              "or changed, until the file is corrected (or moved away) and the warden restarted",
              parent->options->state_dir, parent->kept_problem ? parent->kept_problem : "");
}

int jails_open(Parent *parent)
{
    struct statvfs status;
    const Options *options = parent->options;

    int result = jail_house_open(&parent->house, options->run_dir);
    if (result < 0) {
        log_error("%s: %s", options->run_dir, place_problem(result));
        return result;
    }
    if (statvfs(options->run_dir, &status) == 0 && (status.f_flag & ST_NOEXEC))
        log_warning("%s is mounted noexec: the shims in the jails' directories cannot be run; "
                    "choose another --run-dir, or mount it exec",
                    options->run_dir);
    result = arm(parent);
    if (result < 0)
        return result;
    arm_launcher(parent);
    parent->state_fd = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent->state_fd < 0) {
        result = -errno;
        log_error("%s: %s", options->state_dir, place_problem(result));
        return result;
    }
    read_kept(parent);
    return 0;
}

/* Wishes. */

static void answer(Child *warden, uint64_t key, const char *why)
{
    Buffer payload = BUFFER_EMPTY(4096);

    buffer_put_u8(&payload, why == NULL);
    buffer_put_string(&payload, why ? why : "");
    if (link_send_buffer(warden->control, MESSAGE_JAIL_ANSWER, key, &payload) < 0)
        log_error("cannot reach %s", warden->role);
    buffer_done(&payload);
}

/* Puts `settings` (taken), or nothing, in the place of what an operator has wanted so far. */
static int put(Parent *parent, const char *name, JailSettings *settings)
{
    if (settings->memory)
        return jail_table_put_take(&parent->wanted, settings);
    (void)jail_table_remove(&parent->wanted, name, JAIL_OF_API);
    return 0;
}

/* Makes it so, on disk first; what does not work leaves everything as it was. */
static const char *make_so(Parent *parent, const char *name, JailSettings *wanted)
{
    const JailSettings *now = jail_table_find_of(&parent->wanted, name, JAIL_OF_API);
    _cleanup_(jail_settings_done)
    JailSettings before = JAIL_SETTINGS_EMPTY;
    const char *why = NULL;

    if (now && jail_settings_of(&now->jail, JAIL_OF_API, &before) < 0)
        return "out of memory";
    int result = put(parent, name, wanted);
    if (result == 0)
        result = jails_kept_write(parent->state_fd, &parent->wanted);
    if (result < 0) {
        log_error("%s/" JAILS_KEPT_FILE ": %s", parent->options->state_dir, strerror(-result));
        why = "it could not be kept: " JAILS_KEPT_FILE " cannot be written (see the warden's log)";
    } else if ((result = jails_settle(parent, name)) < 0) {
        why = jail_house_problem(result);
    }
    if (!why)
        return NULL;
    if (put(parent, name, &before) < 0 || jails_kept_write(parent->state_fd, &parent->wanted) < 0)
        log_error("jail %s: its settings could not be put back", name);
    (void)jails_settle(parent, name);
    return why;
}

static const char *grant_wish(Parent *parent, JailWish wish, JailSettings *settings)
{
    char name[POLICY_JAIL_NAME_SIZE];

    (void)snprintf(name, sizeof name, "%s", settings->jail.name);
    if (parent->kept_problem)
        return JAILS_KEPT_FILE " cannot be read: correct it, or move it away, and restart the "
                               "warden";
    if (jail_table_find_of(&parent->wanted, name, JAIL_OF_POLICY))
        return "this jail is the policy's";
    if (wish == JAIL_WISH_REMOVE)
        jail_settings_done(settings);
    else if (!jail_table_find_of(&parent->wanted, name, JAIL_OF_API) &&
             jail_table_count(&parent->wanted, JAIL_OF_API) >= JAILS_KEPT_MAX)
        return "there are 1000 jails that operators have made: delete some";
    return make_so(parent, name, settings);
}

void jails_on_wanted(Parent *parent, Child *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    JailWish wish = (JailWish)reader_u8(&reader);
    _cleanup_(jail_settings_done)
    JailSettings settings = JAIL_SETTINGS_EMPTY;

    int result = jail_settings_decode(&reader, &settings);
    if (result < 0 || !reader_done(&reader) || settings.source != JAIL_OF_API ||
        (wish != JAIL_WISH_PUT && wish != JAIL_WISH_REMOVE)) {
        log_error("%s wants a jail that cannot be", warden->role);
        child_kill(warden);
        return;
    }
    answer(warden, frame->key, grant_wish(parent, wish, &settings));
    engine_side_on_jails(parent);
}
