/*
 * GET /api/history: records of the journal, the newest first; a page of them as JSON, or all of
 * them as a file (CSV, JSON lines). The journal is walked backwards in small steps (scan.h).
 *
 * A page ends at its limit, at 4 MiB, or when 256 MiB of the journal have been looked at; "next"
 * says where the following one begins. A file leaves as fast as its reader takes it.
 */
#pragma once

typedef enum HistoryParameter {
    HISTORY_LIMIT,
    HISTORY_BEFORE,
    HISTORY_JAIL,
    HISTORY_EVENT,
    HISTORY_COMMAND,
    HISTORY_Q,
    HISTORY_SINCE,
    HISTORY_UNTIL,
    HISTORY_FORMAT,
    HISTORY_PARAMETERS,
} HistoryParameter;

extern const char *const history_parameters[];
