/*
 * Are the directories that a ghost is about to get those that its caller has? An engine finds them
 * by their paths on the machine, follows what it finds, and does so as root: whoever can rename
 * something above such a directory could have it find another one.
 *
 * So each must be, when the ghost is about to be started, where its path says, by what the kernel
 * says of the caller's mount; and no governed container may have something above it to write to.
 * Nothing is opened: a path may lead to a file system that does not answer.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "exec/container.h"

/* A directory by its file system and its path in there (mountinfo, proc(5)). */
typedef struct GhostPlace {
    char device[32];
    char path[PATH_MAX];
} GhostPlace;

/* `reader` has the bind mounts: u32 number, then source and target of each, strings; and `self` is
 * our own view. 0, 1 with the words, -EPROTO. */
int ghost_mounts_check(const Container *caller, const World *self, Reader *reader,
                       char why[static CONTAINER_WHY_MAX]);

/* For tests: the parts of it, over texts. False: there is none. */
bool ghost_place_on_host(const char *mountinfo, const char *path, GhostPlace *ret);
bool ghost_place_of_mount(const char *mountinfo, const char *target, GhostPlace *ret);
/* Are these the mounts of a governed container, and may it write to what the place lies in? */
bool ghost_place_is_exposed(const char *mountinfo, const GhostPlace *place);
