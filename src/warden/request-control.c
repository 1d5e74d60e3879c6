/*
 * What the kill switch does to one request (control.h): killed, frozen, held, refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/control.h"
#include "warden/ghost.h"
#include "warden/request.h"

#define WORDS_MAX (8u * 1024)

const Switch *request_switch(const Request *request)
{
    const char *container = request->facts ? request->facts->prepared.container : "";
    return switches_of(&request->warden->switches, request->jail->name, container);
}

/* "an operator has paused this jail (a look at the logs) until …" */
static void put_stop(Buffer *text, const Switch *stop)
{
    static const char *const whats[] = {[SWITCH_SCOPE_JAIL] = "this jail",
                                        [SWITCH_SCOPE_CONTAINER] = "this container",
                                        [SWITCH_SCOPE_ALL] = "everything"};
    char time[CLOCK_TEXT_MAX];

    buffer_printf(text, "an operator has %s %s",
                  stop->state == SWITCH_PAUSED ? "paused" : "stopped", whats[stop->scope]);
    if (stop->reason[0]) {
        buffer_puts(text, " (");
        text_display(text, stop->reason, strlen(stop->reason), 0);
        buffer_put_u8(text, ')');
    }
    if (stop->until_us > 0)
        buffer_printf(text, " until %.16sZ", clock_format_time(stop->until_us, time));
}

bool request_refused_by_switch(Request *request)
{
    if (request->facts)
        control_meet_container(request->warden, request->facts->prepared.container,
                               request->jail->name);
    const Switch *stop = request_switch(request);
    Buffer text = BUFFER_EMPTY(WORDS_MAX);

    if (request->warden->stopping) {
        request_end_refused(request, JOURNAL_REFUSED, EXIT_WARDEN_FAILED, "refused", NULL,
                            "the warden was told to stop; nothing was run");
        return true;
    }
    if (!stop)
        return false;
    put_stop(&text, stop);
    buffer_puts(&text, stop->until_us > 0 ? "; nothing runs before that"
                                          : "; nothing runs until it is resumed: tell your user "
                                            "instead of trying again");
    _cleanup_free_ char *reason = buffer_take_string(&text);
    request_end_refused(request, JOURNAL_DENIED, EXIT_DENIED, "denied", NULL,
                        reason ? reason : "an operator has stopped it");
    return true;
}

static void tell_stop(Request *request, const char *before, const Switch *stop, const char *after)
{
    Buffer text = BUFFER_EMPTY(WORDS_MAX);

    buffer_puts(&text, before);
    put_stop(&text, stop);
    buffer_puts(&text, after);
    _cleanup_free_ char *line = buffer_take_string(&text);
    if (line)
        request_tell(request, line);
}

bool request_held_by_switch(Request *request)
{
    const Switch *stop = request_switch(request);

    if (!stop || request->warden->stopping || !request->asked)
        return request_refused_by_switch(request);
    request_drop_child(request);
    request_set_state(request, REQUEST_REOPENING);
    request_clear_deadline(request);
    request->held = true;
    tell_stop(request, "approved, but ", stop, "; it runs when it is resumed");
    return true;
}

static bool has_processes(const Request *request)
{
    return request->state == REQUEST_STARTING || request->state == REQUEST_RUNNING ||
           request->state == REQUEST_ENDING;
}

static void freeze(Request *request, bool frozen)
{
    const uint8_t payload = frozen;

    request->frozen = frozen;
    request_to_executor(request, EXEC_FREEZE, &payload, sizeof payload);
    ghost_freeze(request, frozen);
    if (request->state == REQUEST_STARTING && frozen)
        request_clear_deadline(request); /* it starts when it may */
    else if (request->state == REQUEST_STARTING && request->ghost)
        ghost_set_start_deadline(request);
    else if (request->state == REQUEST_STARTING)
        request_set_deadline(request, STEP_TIME_MAX_MS);
    else if (request->state == REQUEST_RUNNING && !frozen)
        request_release_signals(request);
}

int request_follow_switch(Request *request)
{
    const Switch *stop = request_switch(request);

    if (request->held && !stop) {
        request->held = false;
        request_reopen(request);
        return -1;
    }
    if (!has_processes(request) || request->killed)
        return 0;
    bool wanted = stop && stop->state == SWITCH_PAUSED;
    if (wanted == request->frozen)
        return 0;
    if (wanted)
        tell_stop(request, "", stop, "; this command is frozen until it is resumed");
    freeze(request, wanted);
    if (!wanted)
        request_tell(request, "resumed by an operator");
    return wanted ? 1 : -1;
}

void request_refuse_killed(Request *request)
{
    const Switch *stop = request_switch(request);
    bool is_container = stop && stop->scope == SWITCH_SCOPE_CONTAINER;

    request_end_refused(request, JOURNAL_KILLED, EXIT_DENIED, "denied", NULL,
                        is_container ? "an operator ended everything in this container"
                                     : "an operator ended everything in this jail");
}

/* Whoever killed it, not whoever approved it before. */
static void set_killer(Request *request, const Actor *actor)
{
    free(request->approver);
    free(request->via);
    request->approver = strdup(actor->name);
    request->via = strdup(actor->via);
}

static void record_kill(Request *request, const Actor *actor, const char *reason)
{
    JournalRecord record = request_record(request, JOURNAL_KILLED);

    record.approver = actor->name;
    record.via = actor->via;
    record.reason = reason;
    warden_record(request->warden, &record);
}

bool request_kill(Request *request, const Actor *actor, const char *reason)
{
    request->killed = true;
    if (has_processes(request)) {
        request_tell(request, "ended by an operator");
        request_end_in_executor(request, 0);
        record_kill(request, actor, reason);
        request->jail->n_dying += !request->dying;
        request->dying = true;
        return true;
    }
    set_killer(request, actor);
    if (request->state == REQUEST_PENDING)
        question_remove_waiter(request);
    if (request->state == REQUEST_PENDING || request->state == REQUEST_HASHING || request->held)
        request_refuse_killed(request);
    return false; /* the others are refused as soon as their next step comes */
}
