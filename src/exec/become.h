/*
 * Becoming the caller: a runner gives up everything that the caller does not have.
 */
#pragma once

#include "exec/join.h"
#include "exec/runner.h"

/* Cuts or raises the effective set to what is both permitted and wanted (bit N for capability N).
 * 0 or -errno. */
int become_effective(uint64_t wanted);

/* Cuts the bounding set to what the executor has and is wanted. 0 or -errno. */
int become_bounding(const RunnerOrigin *origin, uint64_t wanted);

/* Steps that need no identity, done while nobody waits: signals, process group, keyring,
 * no_new_privs unless the runner joins a container. 0 or -errno. */
int become_clean(const RunnerOrigin *origin);

/* What needs privilege: higher limits, niceness, the capability bounding set. `joined` is NULL for
 * a caller who lives where we do. 0 or -errno; the name of the step that failed in `ret_step`. */
int become_prepare(const RunnerOrigin *origin, const Identity *caller, Joined *joined,
                   const char **ret_step);

/* The ids and capabilities; in a container also its filters and no_new_privs as the caller has it.
 * From here on the caller may send us signals. 0 or -errno. */
int become_caller(const RunnerOrigin *origin, const Identity *caller, Joined *joined,
                  const char **ret_step);

/* The caller's resource limits, exactly or as near as they can be. Last before the exec. */
int become_limited(const RunnerOrigin *origin, const Identity *caller);
