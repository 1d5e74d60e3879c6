/*
 * The jailhouse: what stands on disk for each jail.
 *
 *     RUN/armory/clawrden-shim               0555, the master: copied at start from beside the
 *                                            warden's own binary
 *     RUN/armory/clawrden-launcher           0500, the same of the launcher (wire/launch.h)
 *     RUN/jails/NAME/                        0755, mounted at /run/clawrden in the prisoner
 *     RUN/jails/NAME/warden.sock             bound by the parent
 *     RUN/jails/NAME/clawrden-shim           0555, a copy and not a link: a prisoner that is root
 *                                            and can write to it must not reach anybody else's
 *     RUN/jails/NAME/clawrden-launcher       0111: whoever runs it must not read it, so that nobody
 *                                            can look into it while it runs (execve(2))
 *     RUN/jails/NAME/bin/CMD                 -> ../clawrden-shim
 *
 * A jail's directory is made as a whole beside and renamed in; what a crash left half made is swept
 * at the next start. It lives as long as the jail, not as long as the warden: a prisoner has it
 * mounted, so its inode must survive a restart. `bin` is changed in place, one link after the
 * other.
 *
 * Inside a jail's directory a prisoner may have been at work (as root, where somebody mounted it
 * writable). Every step is made relative to a directory that is held open, no symbolic link is
 * followed, and what is in the way is removed without looking through it. Everything above is ours
 * alone (parent/places.h checks that).
 *
 * No global state, no log: the caller says what went wrong, with jail_house_problem().
 */
#pragma once

#include <sys/types.h>

#include "jail/settings.h"

typedef struct JailHouse {
    int jails_fd;                /* RUN/jails */
    int armory_fd;               /* RUN/armory */
    bool has_shim, has_launcher; /* the armory has the master */
} JailHouse;

#define JAIL_HOUSE_EMPTY ((JailHouse){.jails_fd = -9, .armory_fd = -9})

/* Takes RUN/jails and RUN/armory, which are there, and sweeps what a crash left half made. 0 or
 * -errno. */
int jail_house_open(JailHouse *house, const char *run_dir);
void jail_house_close(JailHouse *house);

/* Puts the shim (or the launcher) into the armory, unless the very same is there already. The
 * descriptor is open for reading, at its beginning. 0 or -errno (-ENOEXEC: it is no program;
 * -EFBIG). */
int jail_house_arm(JailHouse *house, int shim_fd);
int jail_house_arm_launcher(JailHouse *house, int launcher_fd);

/* Makes the jail's directory, or makes one that is there what it should be, whatever is in it:
 * shim, `bin` and the commands' links, one by one. The directory's inode stays. Afterwards there is
 * nothing at warden.sock, or a socket. 0 or -errno; -ENOTDIR, -EPERM: at its place stands something
 * that is not ours. */
int jail_house_make(JailHouse *house, const JailSettings *settings);
/* Removes the jail's directory with all that is in it; it is gone from its place at once. 0, also
 * when there is none, or -errno. */
int jail_house_remove(JailHouse *house, const char *name);
/* Removes the directories of jails that nobody wants. */
void jail_house_sweep(JailHouse *house, bool (*is_wanted)(const char *name, const void *userdata),
                      const void *userdata);

/* Words for a negative result of these functions: what is wrong and what to do. */
const char *jail_house_problem(int error);
