/*
 * See control.h: the table in force, its copy on disk, and what ends by itself.
 */
#include "warden/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "warden/answers.h"
#include "warden/control-private.h"

/* An entry's end is looked for at least this often: the wall clock may be set meanwhile. */
#define LOOK_MAX_MS 60000u

/* Records. */

static void put_target(Buffer *text, const Switch *entry)
{
    if (entry->scope == SWITCH_SCOPE_CONTAINER)
        buffer_puts(text, "the container");
    else
        buffer_puts(text, entry->scope == SWITCH_SCOPE_JAIL ? "the jail" : "everything");
}

static void record(Warden *warden, const Switch *entry, JournalEvent event, const char *by,
                   const char *via, const char *reason, const char *message)
{
    JournalRecord line = {.event = event,
                          .jail = entry->scope == SWITCH_SCOPE_JAIL ? entry->name : NULL,
                          .container = entry->scope == SWITCH_SCOPE_CONTAINER ? entry->name : NULL,
                          .approver = by,
                          .via = via,
                          .reason = reason && *reason ? reason : NULL,
                          .message = message};
    warden_record(warden, &line);
}

void control_record_stop(Warden *warden, const Switch *entry, const char *before)
{
    Buffer text = BUFFER_EMPTY(512);
    char time[CLOCK_TEXT_MAX];
    bool killed = entry->state == SWITCH_KILLED;

    buffer_puts(&text, before);
    put_target(&text, entry);
    buffer_printf(&text, " is %s: new commands are refused until ", killed ? "ended" : "paused");
    buffer_puts(&text,
                entry->until_us > 0 ? clock_format_time(entry->until_us, time) : "it is resumed");
    _cleanup_free_ char *message = buffer_take_string(&text);
    record(warden, entry, killed ? JOURNAL_KILLED : JOURNAL_PAUSED, entry->by, entry->via,
           entry->reason, message);
}

void control_record_resume(Warden *warden, const Switch *entry, const char *by, const char *via,
                           const char *reason)
{
    Buffer text = BUFFER_EMPTY(512);

    put_target(&text, entry);
    buffer_puts(&text, " is resumed");
    _cleanup_free_ char *message = buffer_take_string(&text);
    record(warden, entry, JOURNAL_RESUMED, by, via, reason, message);
}

/* In force. */

Followed control_follow(Warden *warden, uint64_t key)
{
    Followed followed = {.n_orders = control_follow_containers(warden, key)};

    for (Jail *jail = warden->jails; jail; jail = jail->next) {
        for (Request *request = jail->requests, *next; request; request = next) {
            next = request->next;
            int change = request_follow_switch(request);
            followed.frozen += change > 0;
            followed.resumed += change < 0;
        }
    }
    return followed;
}

void control_save(Warden *warden)
{
    Buffer text = BUFFER_EMPTY(SWITCHES_TEXT_MAX), payload = BUFFER_EMPTY(SWITCHES_TEXT_MAX + 64);

    switches_encode(&warden->switches, &text);
    _cleanup_free_ char *string = buffer_take_string(&text);
    buffer_put_string(&payload, string ? string : "");
    warden->n_saves++;
    int result =
        string ? link_send_buffer(warden->control, MESSAGE_SWITCHES_SAVE, 0, &payload) : -ENOMEM;
    buffer_done(&payload);
    if (result < 0) /* a state that would be forgotten: better to end and be started with the old */
        warden_fail(warden, "the kill switch's state cannot be handed to the parent", result);
}

/* Ends by themselves. */

static void end_entry(Warden *warden, Switch *entry)
{
    Buffer text = BUFFER_EMPTY(1024);
    char since[CLOCK_TEXT_MAX];

    buffer_printf(&text, "its time is over: %s since %s by %.200s", switch_state_name(entry->state),
                  clock_format_time(entry->since_us, since), entry->by);
    _cleanup_free_ char *reason = buffer_take_string(&text);
    control_record_resume(warden, entry, NULL, "timer", reason);
    for (const Jail *jail = entry->scope == SWITCH_SCOPE_ALL ? warden->jails : NULL; jail;
         jail = jail->next) { /* for those who see it alone */
        Switch own = {.scope = SWITCH_SCOPE_JAIL};
        if (switches_find(&warden->switches, SWITCH_SCOPE_JAIL, jail->name))
            continue; /* it stays as it is */
        (void)snprintf(own.name, sizeof own.name, "%s", jail->name);
        control_record_resume(warden, &own, NULL, "timer", reason);
    }
    switches_remove(&warden->switches, entry);
}

static void on_switch_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Warden *warden = userdata;
    uint64_t now = clock_realtime_us();
    bool changed = false;

    for (Switch *entry = warden->switches.first, *next; entry; entry = next) {
        next = entry->next;
        if (entry->until_us == 0 || entry->until_us > now)
            continue;
        end_entry(warden, entry);
        changed = true;
    }
    if (changed) {
        (void)control_follow(warden, 0);
        control_save(warden);
    }
    control_arm(warden);
}

void control_arm(Warden *warden)
{
    uint64_t next = switches_next_end(&warden->switches), now = clock_realtime_us();
    uint64_t left = next > now ? (next - now) / 1000 + 1 : 0;

    if (next == 0)
        return;
    if (!warden->switch_timer)
        warden->switch_timer = event_new(warden->loop, -1, 0, on_switch_timer, warden);
    struct timeval time = clock_timeval_of_ms(left < LOOK_MAX_MS ? left : LOOK_MAX_MS);
    if (!warden->switch_timer || event_add(warden->switch_timer, &time) < 0)
        log_error("out of memory: what was stopped for a time must be resumed by hand");
}

/* The beginning and the end. */

/* Nobody knows what had been stopped: everything is. */
static int stop_unknown(Warden *warden, const char *why)
{
    char reason[SWITCH_REASON_MAX + 1], by[] = "clawrden-warden", via[] = "start";
    Switch entry = {.scope = SWITCH_SCOPE_ALL,
                    .state = SWITCH_KILLED,
                    .since_us = clock_realtime_us(),
                    .by = by,
                    .via = via,
                    .reason = reason};

    (void)snprintf(reason, sizeof reason,
                   "what operators had stopped cannot be read: %s; resume --all when you know that "
                   "all may run",
                   why);
    log_error("everything is stopped: %s", reason);
    switches_done(&warden->switches);
    return switches_set(&warden->switches, &entry);
}

int control_take_table(Warden *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    SwitchesFound found = (SwitchesFound)reader_u8(&reader);
    const char *text = reader_string(&reader);
    int result = 0;

    if (!reader_done(&reader) || warden->are_switches_known)
        return -EPROTO;
    if (found == SWITCHES_TEXT)
        result = switches_decode(text, strlen(text), &warden->switches);
    if (result == -EBADMSG)
        result = stop_unknown(warden, "the file is not as it was written");
    else if (found != SWITCHES_NONE && found != SWITCHES_TEXT)
        result = stop_unknown(warden, text);
    warden->are_switches_known = result == 0;
    return result;
}

void control_begin(Warden *warden)
{
    for (const Switch *entry = warden->switches.first; entry; entry = entry->next)
        if (entry->state != SWITCH_RUNNING)
            control_record_stop(warden, entry, "still, after a start of the warden: ");
    control_freeze_again(warden);
    control_arm(warden);
}

void control_done(Warden *warden)
{
    control_forget_calls(warden);
    if (warden->switch_timer)
        event_free(warden->switch_timer);
    if (warden->call_timer)
        event_free(warden->call_timer);
    switches_done(&warden->switches);
}

/* What is shown. */

static void put_entry(Buffer *json, const Switch *entry)
{
    char time[CLOCK_TEXT_MAX];

    buffer_put_u8(json, '{');
    json_put_member(json, "state", switch_state_name(entry->state));
    json_put_member(json, "scope", switch_scope_name(entry->scope));
    if (entry->scope != SWITCH_SCOPE_ALL)
        json_put_member(json, entry->scope == SWITCH_SCOPE_JAIL ? "jail" : "container",
                        entry->name);
    json_put_member(json, "by", entry->by);
    json_put_member(json, "via", entry->via);
    json_put_member(json, "reason", entry->reason);
    json_put_member(json, "since", clock_format_time(entry->since_us, time));
    answer_put_text(json, "until",
                    entry->until_us > 0 ? clock_format_time(entry->until_us, time) : NULL);
    buffer_put_u8(json, '}');
}

void control_put_jail(Buffer *json, const Jail *jail)
{
    const Switch *stop = switches_of(&jail->warden->switches, jail->name, "");

    json_put_member_bool(json, "paused", stop != NULL);
    json_put_name(json, "stopped");
    if (stop)
        put_entry(json, stop);
    else
        buffer_puts(json, "null");
}

/* An entry for everything concerns everybody. */
static bool sees(Warden *warden, const Actor *actor, const Switch *entry)
{
    if (entry->state == SWITCH_RUNNING)
        return false;
    if (entry->scope == SWITCH_SCOPE_JAIL)
        return actor_sees(actor, entry->name);
    return entry->scope == SWITCH_SCOPE_ALL || control_sees_container(warden, actor, entry->name);
}

void control_put_table(Warden *warden, Buffer *json, const Actor *actor)
{
    json_put_name(json, "switches");
    buffer_put_u8(json, '[');
    for (const Switch *entry = warden->switches.first; entry; entry = entry->next) {
        if (!sees(warden, actor, entry))
            continue;
        answer_put_comma(json);
        put_entry(json, entry);
    }
    buffer_put_u8(json, ']');
}
