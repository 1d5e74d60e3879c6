/*
 * doctor's look at the kernel. Every feature is tried, not derived from a version number: vendors
 * backport, and containers and seccomp profiles take away.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "cli/doctor.h"

#define LANDLOCK_VERSION_FLAG 1u /* LANDLOCK_CREATE_RULESET_VERSION */

static void check_version(Doctor *doctor)
{
    struct utsname name;
    char *end;

    (void)uname(&name); /* cannot fail with a valid address: uname(2) */
    unsigned long major = strtoul(name.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    bool new_enough = major > 6 || (major == 6 && minor >= 1);
    doctor_say(doctor, new_enough ? DOCTOR_OK : DOCTOR_FAILED, "kernel", "Linux %s on %s%s",
               name.release, name.machine, new_enough ? "" : ": 6.1 or newer is needed");
}

/* Who is at the other end of a socket, without a race (Linux 6.5). */
static void check_sockets(Doctor *doctor)
{
    int pair[2] = {-EBADF, -EBADF}, pidfd = -1, one = 1;
    socklen_t size = sizeof pidfd;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        doctor_say(doctor, DOCTOR_FAILED, "kernel", "no unix sockets: %s", strerror(errno));
        return;
    }
    if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
        fd_close(pidfd);
        doctor_say(doctor, DOCTOR_OK, "kernel", "SO_PEERPIDFD");
    } else {
        doctor_say(doctor, DOCTOR_NOTE, "kernel",
                   "no SO_PEERPIDFD (Linux 6.5): peers are known by pid and start time");
    }
    if (setsockopt(pair[0], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof one) == 0)
        doctor_say(doctor, DOCTOR_OK, "kernel", "SO_PASSPIDFD");
    else
        doctor_say(doctor, DOCTOR_NOTE, "kernel",
                   "no SO_PASSPIDFD (Linux 6.5): writers are known by pid and start time");
    fd_close_many(pair, 2);
}

static void check_confinement(Doctor *doctor)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (abi > 0)
        doctor_say(doctor, DOCTOR_OK, "kernel", "Landlock ABI %ld", abi);
    else
        doctor_say(doctor, DOCTOR_WARNING, "kernel",
                   "no Landlock: the processes can open what their users can");
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
        doctor_say(doctor, DOCTOR_OK, "kernel", "seccomp");
    else
        doctor_say(doctor, DOCTOR_WARNING, "kernel",
                   "no seccomp: the processes can make any system call");
}

/* Calls without which nothing runs. */
static void check_calls(Doctor *doctor)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
    const struct {
        const char *name;
        int fd;
    } calls[] = {
        {"pidfd_open", (int)syscall(SYS_pidfd_open, getpid(), 0)},
        {"openat2", (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)},
        {"memfd_create with seals", memfd_create("doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        doctor_say(doctor, calls[i].fd >= 0 ? DOCTOR_OK : DOCTOR_FAILED, "kernel", "%s%s",
                   calls[i].name, calls[i].fd >= 0 ? "" : " is missing");
        fd_close(calls[i].fd);
    }
}

void doctor_check_kernel(Doctor *doctor)
{
    check_version(doctor);
    check_sockets(doctor);
    check_confinement(doctor);
    check_calls(doctor);
}

/* Where the unified hierarchy is mounted (proc(5), mountinfo: the file system's type stands after
 * " - ", the mount point is the fifth field). */
static bool find_cgroup2(char *ret, size_t room)
{
    _cleanup_(fclosep)
    FILE *file = fopen("/proc/self/mountinfo", "re");
    _cleanup_free_ char *line = NULL;
    size_t size = 0;

    while (file && getline(&line, &size, file) > 0) {
        char point[512];
        if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %511s", point) == 1 &&
            (size_t)snprintf(ret, room, "%s", point) < room)
            return true;
    }
    return false;
}

/* This process's own group below it: "0::/path" (cgroups(7)). */
static bool find_own_group(char *ret, size_t room)
{
    _cleanup_free_ char *text = NULL;

    if (fd_read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL) < 0)
        return false;
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return false;
    line = strstr(line, "0::") + 3;
    return (size_t)snprintf(ret, room, "%.*s", (int)strcspn(line, "\n"), line) < room;
}

/* cgroup.kill (Linux 5.14) is in every group but the root. */
static bool has_kill(const char *mount, const char *own)
{
    char path[2048];

    (void)snprintf(path, sizeof path, "%s%s/cgroup.kill", mount, own);
    if (access(path, F_OK) == 0)
        return true;
    (void)snprintf(path, sizeof path, "%s/clawrden-doctor-%d", mount, (int)getpid());
    if (mkdir(path, 0755) < 0)
        return false;
    char file[2100];
    (void)snprintf(file, sizeof file, "%s/cgroup.kill", path);
    bool found = access(file, F_OK) == 0;
    (void)rmdir(path);
    return found;
}

void doctor_check_cgroup(Doctor *doctor)
{
    char mount[512], own[1024] = "";
    /* Without cgroups a request's processes are kept together by a subreaper. */
    static const char instead[] = "each request's processes are kept by a subreaper instead";

    if (!find_cgroup2(mount, sizeof mount)) {
        doctor_say(doctor, DOCTOR_WARNING, "cgroup", "no cgroup2 is mounted: %s", instead);
        return;
    }
    (void)find_own_group(own, sizeof own);
    doctor_say(doctor, DOCTOR_OK, "cgroup", "cgroup2 at %s", mount);
    if (has_kill(mount, own))
        doctor_say(doctor, DOCTOR_OK, "cgroup", "cgroup.kill");
    else
        doctor_say(doctor, DOCTOR_NOTE, "cgroup",
                   "cgroup.kill was not found: processes are ended one by one");
    if (!doctor->system)
        doctor_say(doctor, DOCTOR_NOTE, "cgroup", "a warden without root makes no groups: %s",
                   instead);
    else if (access(mount, W_OK) == 0)
        doctor_say(doctor, DOCTOR_OK, "cgroup", "groups can be made");
    else if (geteuid() == 0)
        doctor_say(doctor, DOCTOR_WARNING, "cgroup", "%s cannot be written: %s", mount, instead);
}
