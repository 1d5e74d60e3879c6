/*
 * A jail into a container that runs already: its directory at /run/clawrden, and its shims where
 * the prisoner's PATH finds them.
 *
 * Done by a child of the executor that joins the container's mount namespace and no other: it is
 * never visible to the container, runs nothing of it, and follows no symbolic link of it where it
 * makes or mounts anything (openat2(2), RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS). What is mounted is
 * the jail's directory and files of it, read-only, without set-ids and devices: nothing else of the
 * host comes into reach.
 *
 * Where. The directories that login shells and engines have first in PATH are /usr/local/sbin and
 * /usr/local/bin (a login shell of somebody who is not root has the second one only), so the names
 * stand in both. A name that is there already gets the shim mounted over it; one that is not gets a
 * symbolic link to /run/clawrden/bin/NAME, which is nothing when the command is taken from the jail
 * again. On a read-only root the link is made through a mount of our own of the same file system.
 * Nothing outside the container changes by it (install-mounts.h).
 * `hardened`: the shim is mounted over the command in every directory of PATH too, over each
 * symbolic link on the way to its program, over the program, and over further hard links of it; a
 * program with many names (busybox) is left alone, only the command's own names are covered.
 *
 * The engine undoes all of it when it restarts the container; then it is done again.
 */
#pragma once

#include <sys/types.h>

#include "base/buffer.h"
#include "wire/containers.h"

/* In a child that may go anywhere: joins the mount namespace of `init_pidfd` and does it.
 * `root_fd`: the container's root directory. An InstallResult, with words in `why` (which has room
 * for 512 bytes): why not, or what is less than it should be. */
#define INSTALL_WHY_MAX 512u
InstallResult install_into(const InstallOrder *order, int init_pidfd, int root_fd,
                           char why[static INSTALL_WHY_MAX]);
