/*
 * See access.h. The operators' group is the one that the api's directory belongs to.
 */
#include "cli/access.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/client.h"

#define GROUPS_MAX 1024

/* The group that may enter the socket's directory, or "clawrden". */
static const struct group *operators_group(const char *socket_path)
{
    const char *slash = strrchr(socket_path, '/');
    struct stat status;

    _cleanup_free_ char *directory =
        slash && slash != socket_path ? strndup(socket_path, (size_t)(slash - socket_path)) : NULL;
    if (directory && stat(directory, &status) == 0 && status.st_gid != 0 && getgrgid(status.st_gid))
        return getgrgid(status.st_gid);
    return getgrnam("clawrden");
}

static bool holds(const gid_t *groups, int count, gid_t gid)
{
    for (int i = 0; i < count; i++) {
        if (groups[i] == gid)
            return true;
    }
    return false;
}

/* As the user database has it; this process may be older than that. */
static bool is_listed(const struct passwd *user, gid_t gid)
{
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    return getgrouplist(user->pw_name, user->pw_gid, groups, &count) >= 0 &&
           holds(groups, count, gid);
}

static bool is_member(gid_t gid)
{
    gid_t groups[GROUPS_MAX];
    int count = getgroups(GROUPS_MAX, groups);
    return getegid() == gid || (count > 0 && holds(groups, count, gid));
}

char *access_hint(const Cli *cli)
{
    const char *socket_path = client_socket_path(cli->api);
    const struct passwd *user = getpwuid(geteuid());
    char *words = NULL;
    int result;

    if (!socket_path || geteuid() == 0)
        return NULL;
    const struct group *group = operators_group(socket_path);
    if (!group)
        return strdup("operators are root and, for a warden without root, the user who started it");
    if (is_member(group->gr_gid))
        return NULL;
    if (!user)
        result =
            asprintf(&words, "operators are root and the members of the group %s", group->gr_name);
    else if (is_listed(user, group->gr_gid))
        result = asprintf(&words,
                          "%s is in the group %s, but was not yet when this session began: log in "
                          "again, or try `newgrp %s`",
                          user->pw_name, group->gr_name, group->gr_name);
    else
        result = asprintf(&words,
                          "operators are root and the members of the group %s: `sudo usermod -aG "
                          "%s %s`, then log in again",
                          group->gr_name, group->gr_name, user->pw_name);
    return result < 0 ? NULL : words;
}
