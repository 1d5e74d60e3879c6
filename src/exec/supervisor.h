/*
 * The supervisor: a process between executor and runner that stands in for a cgroup.
 *
 * As a subreaper it becomes the parent of every orphan among the command's descendants, so nothing
 * can get away from under it, and it can say for certain when nothing is left: when it has no
 * children. Under a root executor it stays root (with CAP_KILL and CAP_SYS_NICE alone), so that the
 * command cannot kill it; without root it runs as the same user and can be killed: then the
 * executor, a subreaper too, inherits what was below it and kills that (cell.c).
 *
 * It lives as long as one request. Its end of the lead closes when the executor dies: then it kills
 * all that is below it.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "exec/runner.h"

/* Datagrams on the lead (SOCK_SEQPACKET). */
enum {
    SUPERVISOR_SIGNAL = 1, /* executor → supervisor: value signal number, extra 1 = its group */
    SUPERVISOR_SIGNAL_ALL, /* value signal number */
    SUPERVISOR_KILL_ALL,
    SUPERVISOR_FREEZE,      /* value 1: stops all of them, and whoever is continued; 0: continues */
    SUPERVISOR_FORKED = 64, /* supervisor → executor: value pid of the runner */
    SUPERVISOR_EXITED,      /* value: kind << 8 | code; extra: processes left behind */
    SUPERVISOR_EMPTY,       /* nothing is left; the supervisor ends */
};

typedef struct SupervisorMessage {
    uint32_t type;
    uint32_t value;
    uint32_t extra;
} SupervisorMessage;

/* The supervisor's life. Forks the runner on `control_fd`; closes everything else but `lead_fd`. */
_Noreturn void supervisor_main(int lead_fd, int control_fd, const RunnerOrigin *origin);

/* How a process ended, as the protocol tells it (EXEC_ENDED). */
void supervisor_exit_of(int code, int status, uint8_t *ret_kind, uint8_t *ret_value);
