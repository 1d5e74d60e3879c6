/*
 * The steps a request can take (private to warden/; the states are in state.h).
 */
#pragma once

#include "warden/state.h"

#define STEP_TIME_MAX_MS 15000u /* for the door's and the executor's part of a request */
#define WORDS_KEPT_MAX (32u * 1024)
#define TERM_GRACE_MS 5000u

Facts *facts_free(Facts *facts); /* accepts NULL, returns NULL */

/* A fresh request of the jail, in the table, with a deadline for its other half. NULL: no memory.
 */
Request *request_new(Jail *jail, uint64_t key);
void request_set_state(Request *request, RequestState state);
void request_set_deadline(Request *request, uint64_t milliseconds);
void request_clear_deadline(Request *request);
void request_on_deadline(evutil_socket_t fd, short what, void *userdata);

/* To the door: nothing is sent when nobody listens any more. */
void request_ack(Request *request, uint8_t ack);
void request_tell(Request *request, const char *text);
void request_exit(Request *request, uint8_t kind, uint8_t value);

/* To the engine process, if there is one; `payload` may be NULL. What fails is logged: the
 * request's deadline tells. */
void request_to_engine(Request *request, uint16_t type, const Buffer *payload);
/* To the executor. */
void request_to_executor(Request *request, uint16_t type, const void *payload, size_t size);
void request_end_in_executor(Request *request, uint32_t grace_ms);
/* Ends the executor's child, if one waits for an order. */
void request_drop_child(Request *request);

/* Steps on the road. */
void request_proceed(Request *request);    /* both halves are here? then judge */
void request_admit(Request *request);      /* write the admission record */
void request_give_order(Request *request); /* run it */
/* place.c: "ghost", "mirror" or "local"; and why it cannot run where its rule says (or NULL). */
const char *request_executor_name(const Request *request);
const char *request_place_problem(const Request *request);
void request_reopen(Request *request); /* approved: it is prepared once more */
/* request-events.c: it runs, its record apart; and what had to wait for that. */
void request_begin_running(Request *request);
void request_go_on_running(Request *request);
void request_release_signals(Request *request); /* those that came before it could have them */

/* Ends; the request is void afterwards. `line` (may be NULL) is what the agent reads, `reason` what
 * the journal does. */
void request_end_told(Request *request, JournalEvent event, uint8_t exit_code, const char *line,
                      const char *reason);
/* The same with a line made of what happened, the command, and the rule or reason. */
void request_end_refused(Request *request, JournalEvent event, uint8_t exit_code, const char *what,
                         const char *rule, const char *reason);
void request_refuse_failure(Request *request);               /* the executor could not */
void request_refuse_unrecorded(Request *request, int error); /* the journal could not */
void request_refuse_killed(Request *request);
void request_cancel(Request *request, const char *reason); /* nobody wants it any more */
void request_finish(Request *request, unsigned leftovers); /* it has run */
void request_retire(Request *request);

void request_record_event(Request *request, JournalEvent event, const char *reason, int exit_code);
