/*
 * From a command's name to its file: the caller's PATH, without the shims that stand in it.
 */
#pragma once

#include "exec/file.h"
#include "exec/refusal.h"

#define RESOLVE_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Finds `name` (without '/') in `path_list` (NULL: the default) as execvp(3) would, except that
 * empty and relative components and shims are passed over. 0 or an ExecFailure. */
int resolve_name(const char *name, const char *path_list, File *ret, Refusal *refusal);

/* Opens a program by a path (relative to the working directory); when a shim lies there, its name
 * is looked up instead. 0 or an ExecFailure. */
int resolve_path(const char *path, const char *path_list, File *ret, Refusal *refusal);

/* What stands behind the last '/'. */
const char *resolve_basename(const char *path);
