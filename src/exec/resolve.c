/*
 * See resolve.h.
 *
 * A candidate that is there but may not be executed does not end the search (execvp(3)); if nothing
 * better comes, it is what the refusal names.
 */
#include "exec/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const char *resolve_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int not_runnable(const char *path, int error, Refusal *refusal)
{
    switch (error) {
    case -ENOEXEC:
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                      "%s: may be executed but not read by the caller, so it cannot be checked",
                      path);
    case -ESTALE:
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                      "%s: its place in the file system cannot be named", path);
    default:
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE, "%s: %s", path, strerror(-error));
    }
}

/* 0: `ret` is the file; -ENOENT: a shim; else -errno. */
static int open_candidate(const char *path, File *ret)
{
    int result = file_open(AT_FDCWD, path, FILE_TO_EXECUTE, ret);
    if (result < 0)
        return result;
    result = file_is_shim(ret);
    if (result == 0)
        return 0;
    file_done(ret);
    return result < 0 ? result : -ENOENT;
}

/* Errors that mean "not here" to a PATH search (execvpe in glibc). */
static bool is_absence(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ENODEV || error == -ETIMEDOUT ||
           error == -ESTALE || error == -ELOOP || error == -ENAMETOOLONG;
}

int resolve_name(const char *name, const char *path_list, File *ret, Refusal *refusal)
{
    char path[PATH_MAX], remembered[PATH_MAX];
    int remembered_error = 0;

    file_init(ret);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return refuse(refusal, EXEC_FAILURE_NOT_FOUND, "command not found: %s", name);
    for (const char *next = path_list ? path_list : RESOLVE_DEFAULT_PATH; next;) {
        size_t size = strcspn(next, ":");
        const char *directory = next;
        next = next[size] ? next + size + 1 : NULL;
        if (size == 0 || directory[0] != '/')
            continue;
        int written = snprintf(path, sizeof path, "%.*s/%s", (int)size, directory, name);
        if (written < 0 || (size_t)written >= sizeof path)
            continue;
        int result = open_candidate(path, ret);
        if (result == 0)
            return 0;
        if (!is_absence(result) && remembered_error == 0) {
            remembered_error = result;
            memcpy(remembered, path, (size_t)written + 1);
        }
    }
    if (remembered_error < 0)
        return not_runnable(remembered, remembered_error, refusal);
    return refuse(refusal, EXEC_FAILURE_NOT_FOUND, "command not found: %s", name);
}

int resolve_path(const char *path, const char *path_list, File *ret, Refusal *refusal)
{
    int result = file_open(AT_FDCWD, path, FILE_TO_EXECUTE, ret);

    if (result == -ENOENT || result == -ENOTDIR)
        return refuse(refusal, EXEC_FAILURE_NOT_FOUND, "%s: %s", path, strerror(-result));
    if (result == 0) {
        result = file_is_shim(ret);
        if (result == 0)
            return 0;
        file_done(ret);
    }
    if (result < 0)
        return not_runnable(path, result, refusal);
    return resolve_name(resolve_basename(path), path_list, ret, refusal);
}
