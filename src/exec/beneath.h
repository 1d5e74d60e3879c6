/*
 * Which arguments of a command are paths beneath its working directory.
 *
 * Part of what a human's wider approval stands on ("the same with other files in here"), so in
 * doubt an argument is none. Found out by the runner, with the caller's own rights.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"

/* Sets one bit for each argument that, taken as a path, leads to something beneath the directory
 * `cwd_fd` (not the directory itself) without a symbolic link on the way or at its end. What does
 * not exist counts when its directory does and is no link either. An absolute path must begin with
 * `cwd`, the directory's resolved name. Never set for "", what begins with '-', and when there are
 * more than EXAMINED_ARGUMENTS_MAX arguments. */
void beneath_find(int cwd_fd, const char *cwd, const char *const *argv, size_t argc,
                  uint8_t bits[static EXAMINED_ARGUMENTS_MAX / 8]);
