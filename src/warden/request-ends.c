/*
 * How a request ends: told to the agent, recorded, counted, and out of the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "warden/request.h"

void request_record_event(Request *request, JournalEvent event, const char *reason, int exit_code)
{
    JournalRecord record = request_record(request, event);

    record.reason = reason;
    record.has_exit_code = exit_code >= 0;
    record.exit_code = exit_code;
    warden_record(request->warden, &record);
}

static void count_end(Jail *jail, JournalEvent event)
{
    if (event == JOURNAL_CANCELLED)
        jail->n_cancelled++;
    else if (event == JOURNAL_REFUSED)
        jail->n_refused++;
    else
        jail->n_denied++;
}

void request_end_told(Request *request, JournalEvent event, uint8_t exit_code, const char *line,
                      const char *reason)
{
    request_drop_child(request);
    request_ack(request, SHIM_ACK_DENIED);
    if (line)
        request_tell(request, line);
    request_exit(request, 0, exit_code);
    request_record_event(request, event, reason, exit_code);
    count_end(request->jail, event);
    request_retire(request);
}

/* The request does not run: the agent is told why, the journal too. */
void request_end_refused(Request *request, JournalEvent event, uint8_t exit_code, const char *what,
                         const char *rule, const char *reason)
{
    _cleanup_free_ char *line = words_refusal(request, what, rule, reason);
    request_end_told(request, event, exit_code, line, reason ? reason : what);
}

void request_cancel(Request *request, const char *reason)
{
    request_drop_child(request);
    request_ack(request, SHIM_ACK_DENIED);
    request_exit(request, 0, EXIT_DENIED);
    request_record_event(request, JOURNAL_CANCELLED, reason, -1);
    count_end(request->jail, JOURNAL_CANCELLED);
    request_retire(request);
}

void request_finish(Request *request, unsigned leftovers)
{
    JournalRecord record = request_record(request, JOURNAL_ENDED);

    if (request->timed_out)
        request_exit(request, 0, EXIT_TIMED_OUT);
    else
        request_exit(request, request->exit_kind, request->exit_value);
    record.has_exit_code = request->exit_kind == 0;
    record.exit_code = request->exit_value;
    record.has_signal = request->exit_kind == 1;
    record.signal = request->exit_value;
    record.has_duration = true;
    record.duration_ms = clock_monotonic_ms() - request->running_since_ms;
    record.timeout_violation = request->timed_out;
    record.has_leftovers = leftovers > 0;
    record.leftovers = leftovers;
    record.executor = request_executor_name(request);
    if (request->cancelled)
        record.reason = "the caller went away";
    warden_record(request->warden, &record);
    request_retire(request);
}

void request_refuse_failure(Request *request)
{
    const char *text = request->failure_text ? request->failure_text : "no reason given";

    switch (request->failure) {
    case EXEC_FAILURE_NOT_FOUND:
        request_end_refused(request, JOURNAL_REFUSED, EXIT_NOT_FOUND, "command not found", NULL,
                            NULL);
        return;
    case EXEC_FAILURE_NOT_RUNNABLE:
    case EXEC_FAILURE_CWD:
        request_end_refused(request, JOURNAL_REFUSED, EXIT_DENIED, "cannot run", NULL, text);
        return;
    case EXEC_FAILURE_DRIFT:
        request_end_refused(request, JOURNAL_DRIFT, EXIT_DENIED, "denied", NULL, text);
        return;
    case EXEC_FAILURE_IDENTITY:
    case EXEC_FAILURE_BROKEN:
    case EXEC_FAILURE_MAX_:
    default:
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused", NULL, text);
    }
}

void request_refuse_unrecorded(Request *request, int error)
{
    char reason[200];

    (void)snprintf(reason, sizeof reason,
                   "the journal cannot be written (%s), so nothing was run; try again when the "
                   "operator has mended it",
                   strerror(-error));
    request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "failed", NULL, reason);
}
