/*
 * Which process the engine has started for a request (engine-command.h). The engine says a number;
 * everything else is asked of the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/container-private.h"
#include "exec/engine-command.h"
#include "wire/launch.h"

#define NOT_HERE                                                                                   \
    "the engine's process cannot be seen from the warden: mirror_engine: docker needs an engine "  \
    "on this machine, and a warden in its pid namespace (pid: host)"

/* Is it executing the file that the jail's directory has? */
static bool is_launcher(const Request *request, const PidRef *process)
{
    struct stat wanted, running;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/jails/%s/" LAUNCHER_NAME,
                   request->executor->context->run_dir, request->jail->name);
    if (fstatat(AT_FDCWD, path, &wanted, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(wanted.st_mode))
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/exe", process->pid);
    return stat(path, &running) == 0 && running.st_dev == wanted.st_dev &&
           running.st_ino == wanted.st_ino && pidref_verify(process) == 0;
}

/* Somebody with the right to has hold of it: it may be anything by now. */
static bool is_traced(const PidRef *process)
{
    _cleanup_free_ char *status = NULL;
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/%d/status", process->pid);
    return fd_read_file(AT_FDCWD, path, 64 * 1024, &status, NULL) < 0 ||
           !strstr(status, "\nTracerPid:\t0\n");
}

static int check(const Request *request, const PidRef *process, char why[static CONTAINER_WHY_MAX])
{
    Container *found = NULL;
    Identity identity;
    World world;

    if (identity_read(process, &identity, &world) < 0)
        return container_refuse(why, "the process that the engine started has ended");
    if (namespace_is_same(&world, request->container->table->self, WORLD_PID))
        return container_refuse(why, NOT_HERE);
    if (container_of(request->executor->containers, process, &identity, &world, &found, why) != 0)
        return 1;
    if (found != request->container)
        return container_refuse(why, "the engine has started it in another container");
    for (size_t i = 0; i < 4; i++) {
        if (identity.uids[i] != request->caller_uid || identity.gids[i] != request->caller_gid)
            return container_refuse(why, "the engine has started it as another user or group");
    }
    if (is_traced(process))
        return container_refuse(why,
                                "somebody in the container traces what the engine has started");
    if (!is_launcher(request, process))
        return container_refuse(
            why, "what the engine has started is not this jail's clawrden-launcher (is the jail's "
                 "directory mounted at /run/clawrden, and nothing over it?)");
    return 0;
}

int engine_placing_check(const Request *request, pid_t pid, const char *container, PidRef *ret,
                         char why[static CONTAINER_WHY_MAX])
{
    if (strcmp(container, request->container->id) != 0)
        return container_refuse(why, "the engine has started it in another container");
    if (pid <= 1 || pidref_open(pid, ret) < 0)
        return container_refuse(why, NOT_HERE);
    if (check(request, ret, why) == 0)
        return 0;
    pidref_done(ret);
    return 1;
}
