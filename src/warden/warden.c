/*
 * The warden process (warden.h): its links, the policy it is given, the journal it writes to.
 *
 * The parent hands over everything that needs a file: the policy as an open file, the journal's
 * segments, the links. So this process opens nothing at all.
 */
#include "warden/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "warden/containers.h"
#include "warden/control.h"
#include "warden/ghost.h"
#include "wire/containers.h"

#define SEGMENT_BYTES (256u << 20)
#define HEAD_DELAY_MS 1000u /* the head is saved at most this long after a record */
#define PROBLEMS_MAX (64u * 1024)
#define DOOR_FRAME_MAX (SHIM_REQUEST_MAX + 64u * 1024)

void warden_fail(Warden *warden, const char *what, int error)
{
    log_error("%s: %s", what, strerror(-error));
    warden->exit_status = EXIT_FAILURE;
    (void)event_base_loopbreak(warden->loop);
}

void warden_expect_head(Warden *warden)
{
    struct timeval delay = clock_timeval_of_ms(HEAD_DELAY_MS);

    if (!warden->head_timer_on && warden->head_timer)
        warden->head_timer_on = event_add(warden->head_timer, &delay) == 0;
}

void warden_record(Warden *warden, const JournalRecord *record)
{
    if (!warden->journal)
        return;
    warden_expect_head(warden);
    int result = journal_append(warden->journal, record, false, NULL, NULL);
    if (result < 0)
        log_error("journal: a record (%s) could not be queued: %s",
                  journal_event_name(record->event), strerror(-result));
}

static void record_message(Warden *warden, JournalEvent event, const char *message)
{
    JournalRecord record = {.event = event, .message = message};
    warden_record(warden, &record);
}

/* The journal. */

/* Only what is on disk: a power failure must not put the file behind its own head. */
void warden_send_head(Warden *warden)
{
    JournalHead head = journal_synced_head(warden->journal);
    Buffer payload = BUFFER_EMPTY(64);

    if (head.seq == warden->head_sent)
        return;
    buffer_put_u64(&payload, head.seq);
    buffer_put(&payload, head.hash.bytes, DIGEST_SIZE);
    if (link_send_buffer(warden->control, MESSAGE_HEAD, 0, &payload) == 0)
        warden->head_sent = head.seq;
    buffer_done(&payload);
}

static void on_synced(int result, void *userdata)
{
    if (result == 0)
        warden_send_head(userdata);
}

static void on_head_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Warden *warden = userdata;

    warden->head_timer_on = false;
    if (journal_head(warden->journal).seq != warden->head_sent)
        (void)journal_sync(warden->journal, on_synced, warden);
}

static void on_journal(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Warden *warden = userdata;

    journal_dispatch(warden->journal);
    if (!warden->segment_wanted && journal_wants_segment(warden->journal, SEGMENT_BYTES)) {
        warden->segment_wanted = true;
        (void)link_send(warden->control, MESSAGE_SEGMENT_WANTED, 0, NULL, 0);
    }
}

static int take_journal(Warden *warden, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    JournalHead head = {.seq = reader_u64(&reader)};
    const char *hash = reader_bytes(&reader, DIGEST_SIZE);
    const char *report = reader_string(&reader);

    if (!reader_done(&reader) || frame->n_fds != 1 || warden->journal)
        return -EPROTO;
    memcpy(head.hash.bytes, hash, DIGEST_SIZE);
    int result = journal_open_take(&warden->journal, TAKE_FD(frame->fds[0]), &head, NULL);
    if (result < 0)
        return result;
    warden->head_sent = head.seq;
    warden->head_timer = event_new(warden->loop, -1, 0, on_head_timer, warden);
    warden->journal_event = event_new(warden->loop, journal_fd(warden->journal),
                                      EV_READ | EV_PERSIST, on_journal, warden);
    if (!warden->head_timer || !warden->journal_event || event_add(warden->journal_event, NULL) < 0)
        return -ENOMEM;
    record_message(warden, JOURNAL_START, "clawrden-warden " CLAWRDEN_VERSION);
    if (*report)
        record_message(warden, JOURNAL_RECOVERY, report);
    return 0;
}

static int take_segment(Warden *warden, LinkFrame *frame)
{
    warden->segment_wanted = false;
    if (frame->n_fds != 1) {
        Reader reader = reader_of(frame->payload, frame->size);
        log_error("journal: no new segment: %s", strerror((int)reader_u32(&reader)));
        return 0;
    }
    return journal_set_segment_take(warden->journal, TAKE_FD(frame->fds[0]));
}

/* The policy. */

static char *problems_text(const PolicyProblems *problems)
{
    Buffer text = BUFFER_EMPTY(PROBLEMS_MAX);

    for (size_t i = 0; i < problems->n_items; i++) {
        const PolicyProblem *problem = &problems->items[i];
        if (problem->warning)
            continue;
        buffer_printf(&text, "%s%s:%u:%u: %s%s%s", text.size ? "; " : "", problem->file,
                      problem->line, problem->column, problem->message, problem->text ? ": " : "",
                      problem->text ? problem->text : "");
        if (text.error < 0) { /* enough is enough */
            text.error = 0;
            break;
        }
    }
    return buffer_take_string(&text);
}

static int read_policy(int fd, char **ret_text, size_t *ret_size)
{
    struct stat status;
    size_t got = 0;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    size_t size = (size_t)status.st_size;
    _cleanup_free_ char *text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    while (got < size) {
        ssize_t part = pread(fd, text + got, size - got, (off_t)got);
        if (part < 0)
            return -errno;
        if (part == 0)
            break;
        got += (size_t)part;
    }
    text[got] = '\0';
    *ret_text = TAKE_PTR(text);
    *ret_size = got;
    return 0;
}

/* Takes the policy and its text. What was answered or counted under another one is void. */
static void put_in_force(Warden *warden, Policy *policy, char *text)
{
    PolicyRef *before = warden->policy, *reference = calloc(1, sizeof *reference);
    if (!reference) {
        policy_free(policy);
        free(text);
        warden_fail(warden, "policy", -ENOMEM);
        return;
    }
    *reference = (PolicyRef){.policy = policy, .text = text, .references = 1};
    warden->policy = reference;
    warden->policy_loaded_us = clock_realtime_us();
    if (before && strcmp(policy_digest(before->policy), policy_digest(policy)) != 0) {
        questions_on_policy(warden);
        grants_on_policy(warden);
        for (Jail *jail = warden->jails; jail; jail = jail->next)
            rates_done(&jail->rates);
    }
    policy_unref(before);
}

static void answer_policy(Warden *warden, bool ok, const char *problems)
{
    Buffer payload = BUFFER_EMPTY(PROBLEMS_MAX + 64);
    JournalRecord record = {.event = JOURNAL_CONFIG};
    char *message = NULL;

    free(warden->policy_error);
    warden->policy_error = ok ? NULL : strdup(problems);
    if (asprintf(&message, "policy %s %s%s%s", warden->policy_path,
                 ok ? "loaded, digest " : "refused, the one before stays in force: ",
                 ok ? policy_digest(warden->policy->policy) : problems, "") >= 0)
        record.message = message;
    if (warden->n_reloads > 0) { /* who asked for it first */
        record.approver = warden->reloads[0].name;
        record.via = warden->reloads[0].via;
    }
    warden_record(warden, &record);
    free(message);

    buffer_put_u8(&payload, ok);
    buffer_put_string(&payload, problems);
    (void)link_send_buffer(warden->control, MESSAGE_POLICY_ANSWER, 0, &payload);
    buffer_done(&payload);
    answers_reload_done(warden, ok, problems);
}

static int take_policy(Warden *warden, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    const char *path = reader_string(&reader), *problem = reader_string(&reader);
    PolicyProblems problems = {.items = NULL};
    Policy *policy = NULL;
    _cleanup_free_ char *text = NULL;
    size_t size = 0;

    if (!reader_done(&reader))
        return -EPROTO;
    free(warden->policy_path);
    warden->policy_path = strdup(path);
    if (frame->n_fds != 1) {
        _cleanup_free_ char *words = NULL;
        answer_policy(warden, false,
                      asprintf(&words, "%s: %s", path, problem) < 0 ? problem : words);
        return 0;
    }
    int result = read_policy(frame->fds[0], &text, &size);
    if (result == 0)
        result = policy_load_text(path, text, size, &policy, &problems);
    if (result == 0) {
        put_in_force(warden, policy, TAKE_PTR(text));
        answer_policy(warden, true, "");
    } else {
        _cleanup_free_ char *words =
            result < 0 ? strdup(strerror(-result)) : problems_text(&problems);
        answer_policy(warden, false, words ? words : "out of memory");
    }
    policy_problems_done(&problems);
    return 0;
}

/* Links. */

static void on_door_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Jail *jail = userdata;
    Reader reader = reader_of(frame->payload, frame->size);

    if (frame->type != DOOR_REFUSED && MESSAGE_KEY_DOOR(frame->key) != jail->door_id) {
        log_error("the door of jail %s used a key that is not its own", jail->name);
        return;
    }
    switch (frame->type) {
    case DOOR_REQUEST:
        request_on_words(jail, frame);
        return;
    case DOOR_SIGNAL:
        request_on_signal(jail, frame);
        return;
    case DOOR_CANCEL:
        request_on_cancel(jail, frame);
        return;
    case DOOR_GONE:
        request_on_gone(jail, frame->key);
        return;
    case DOOR_REFUSED: {
        JournalRecord record = {.event = JOURNAL_REFUSED, .jail = jail->name, .has_caller = true};
        record.pid = (pid_t)reader_u32(&reader);
        record.uid = reader_u32(&reader);
        record.gid = reader_u32(&reader);
        record.reason = reader_string(&reader);
        warden_record(jail->warden, &record);
        return;
    }
    default:
        log_error("the door of jail %s sent message %u, which it may not", jail->name, frame->type);
    }
}

static void on_door_closed(Link *link, int error UNUSED, void *userdata)
{
    Jail *jail = userdata;

    jail->door = NULL;
    jail->door_id = 0;
    for (Request *request = jail->requests, *next; request; request = next) {
        next = request->next;
        request_on_door_lost(request);
    }
    link_free(link);
}

static void on_executor_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    if (frame->type != EXEC_CONTAINER_DONE)
        request_on_executor(userdata, frame);
    else if (control_take_done(userdata, frame) < 0)
        log_error("the executor sent a malformed answer about a container");
}

static void on_api_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    answers_on_api(userdata, frame);
}

static void on_api_closed(Link *link, int error UNUSED, void *userdata)
{
    Warden *warden = userdata;
    warden->api = NULL;
    answers_reloads_forget(warden);
    answers_jails_forget(warden);
    control_forget_calls(warden);
    subscription_set(warden, false);
    link_free(link);
}

/* Without the executor or the parent there is no sound way on; the parent restarts us together. */
static void on_vital_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    Warden *warden = userdata;
    (void)event_base_loopbreak(warden->loop);
}

static const LinkHandlers door_handlers = {.frame = on_door_frame, .closed = on_door_closed};
static const LinkHandlers executor_handlers = {.frame = on_executor_frame,
                                               .closed = on_vital_closed};
static const LinkHandlers api_handlers = {.frame = on_api_frame, .closed = on_api_closed};

static int take_door(Warden *warden, int fd, uint32_t id, const char *name)
{
    LinkLimits limits = {.frame_max = DOOR_FRAME_MAX, .queue_max = 4u << 20};
    Jail *jail = jail_get(warden, name);

    if (!jail) {
        fd_close(fd);
        return -ENOMEM;
    }
    if (jail->door) /* the new one is here before the old one's end was seen */
        on_door_closed(jail->door, 0, jail);
    int result = link_new_take(&jail->door, warden->loop, fd, &limits, &door_handlers, jail);
    if (result == 0)
        jail->door_id = id;
    return result;
}

static int take_link(Warden *warden, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t role = reader_u8(&reader);
    uint32_t id = reader_u32(&reader);
    const char *name = reader_string(&reader);
    (void)reader_string(&reader);
    LinkLimits limits = {.frame_max = 256u * 1024, .queue_max = 64u << 20};

    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;
    int fd = TAKE_FD(frame->fds[0]);
    if (role == LINK_ROLE_DOOR)
        return take_door(warden, fd, id, name);
    if (role == LINK_ROLE_EXECUTOR && !warden->executor)
        return link_new_take(&warden->executor, warden->loop, fd, &limits, &executor_handlers,
                             warden);
    if (role == LINK_ROLE_API && warden->api)
        on_api_closed(warden->api, 0, warden);
    if (role == LINK_ROLE_API)
        return link_new_take(&warden->api, warden->loop, fd, &limits, &api_handlers, warden);
    if (role == LINK_ROLE_ENGINE)
        return ghost_link_take(warden, fd);
    fd_close(fd);
    return -EPROTO;
}

/* Serving begins when there is a policy, a journal, an executor, and the word of what is stopped.
 */
static void maybe_ready(Warden *warden)
{
    if (warden->ready || !warden->policy || !warden->journal || !warden->executor ||
        !warden->are_switches_known)
        return;
    warden->ready = true;
    control_begin(warden);
    (void)link_send(warden->control, MESSAGE_READY, 0, NULL, 0);
}

static void on_control_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Warden *warden = userdata;
    int result = -EPROTO;

    switch (frame->type) {
    case MESSAGE_PING:
        result = link_send(link, MESSAGE_PONG, 0, NULL, 0);
        break;
    case MESSAGE_LINK:
        result = take_link(warden, frame);
        break;
    case MESSAGE_JAIL:
        result = jails_take(warden, frame);
        break;
    case MESSAGE_JAIL_GONE:
        result = jails_take_gone(warden, frame);
        break;
    case MESSAGE_JAIL_ANSWER:
        result = answers_on_jail(warden, frame);
        break;
    case MESSAGE_POLICY:
        result = take_policy(warden, frame);
        break;
    case MESSAGE_JOURNAL:
        result = take_journal(warden, frame);
        break;
    case MESSAGE_SEGMENT:
        result = take_segment(warden, frame);
        break;
    case MESSAGE_SWITCHES:
        result = control_take_table(warden, frame);
        break;
    case MESSAGE_SWITCHES_SAVED:
        result = control_take_saved(warden, frame);
        break;
    case MESSAGE_CONTAINER_TOLD:
        result = containers_take(warden, frame);
        break;
    case MESSAGE_ENGINE_TOLD:
        result = containers_take_engine(warden, frame);
        break;
    case MESSAGE_STOP:
        warden_stop(warden);
        return;
    default:
        break;
    }
    if (result < 0)
        warden_fail(warden, "control message", result);
    else
        maybe_ready(warden);
}

static const LinkHandlers control_handlers = {.frame = on_control_frame, .closed = on_vital_closed};

static int set_up(Warden *warden, const ProcessContext *context)
{
    LinkLimits limits = {.frame_max = 512u * 1024, .queue_max = 2u << 20, .fds_max = 1};

    int result = confine_become(context->privileged ? &context->warden : NULL, false);
    if (result == 0)
        result = confine_limits(4096);
    if (result == 0)
        result = confine_files(NULL);
    if (result >= 0)
        result = confine_syscalls(true);
    if (result >= 0)
        result = questions_new(&warden->questions);
    if (result == 0)
        result = link_new_take(&warden->control, warden->loop, context->control_fd, &limits,
                               &control_handlers, warden);
    return result;
}

/* The last words: what ran is ended by the executor, which loses us now. */
static void tear_down(Warden *warden)
{
    for (Jail *jail = warden->jails; jail; jail = jail->next)
        for (Request *request = jail->requests; request; request = request->next)
            request->shim_gone = request->cancelled = true;
    if (warden->journal_event)
        event_free(warden->journal_event);
    if (warden->head_timer)
        event_free(warden->head_timer);
    if (warden->stop_timer)
        event_free(warden->stop_timer);
    if (warden->grant_timer)
        event_free(warden->grant_timer);
    warden->journal = journal_close(warden->journal);
    link_drain(warden->control, 500);
    if (warden->questions)
        questions_forget(warden);
    grants_done(&warden->grants);
    answers_reloads_forget(warden);
    answers_jails_done(warden);
    containers_done(warden);
    control_done(warden);
    while (warden->jails) {
        Jail *jail = warden->jails;
        while (jail->requests) {
            Request *request = jail->requests;
            requests_remove(warden, request);
            request_free(request);
        }
        link_free(jail->door);
        warden->jails = jail->next;
        jail_free(jail);
    }
    policy_unref(warden->policy);
    link_free(warden->api);
    link_free(warden->engine);
    link_free(warden->executor);
    link_free(warden->control);
    free(warden->policy_path);
    free(warden->policy_error);
}

int warden_main(const ProcessContext *context)
{
    _cleanup_free_ Warden *warden = calloc(1, sizeof *warden);
    if (!warden)
        return EXIT_FAILURE;
    *warden =
        (Warden){.context = context, .loop = event_base_new(), .started_ms = clock_monotonic_ms()};
    int result = warden->loop ? set_up(warden, context) : -ENOMEM;
    if (result < 0) {
        log_error("cannot set up: %s", strerror(-result));
        return EXIT_FAILURE;
    }
    (void)event_base_dispatch(warden->loop);
    int status = warden->exit_status;
    struct event_base *loop = warden->loop;
    tear_down(warden);
    event_base_free(loop);
    return status;
}
