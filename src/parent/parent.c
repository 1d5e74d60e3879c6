/*
 * The parent process (parent.h): restarts, the watchdog, the end.
 */
#include "parent/parent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "parent/places.h"

#define PING_S 5
#define SILENCE_MAX_MS 20000u /* a child that says nothing for so long is ended */
#define RESTART_MIN_MS 100u
#define RESTART_MAX_MS 5000u
#define QUIET_MS 10000u /* without a failure: the count of failures starts again */
#define STOP_TIME_MAX_S 10

static void start_all(Parent *parent);

/* Children. */

static bool all_ready(const Parent *parent)
{
    for (const Child *child = parent->children; child; child = child->next)
        if (!child->ready)
            return false;
    return parent->children != NULL;
}

static void announce(Parent *parent)
{
    const ServedJail *first = NULL;
    for (const ServedJail *jail = parent->jails; jail; jail = jail->next)
        if (strcmp(jail->name, "default") == 0)
            first = jail;
    log_info("READY (socket %s, api %s%s%s)", first ? first->socket_path : "none",
             parent->options->api_socket, parent->tcp.fd >= 0 ? ", " : "", parent->tcp.url);
    notify_service_manager("READY=1");
    parent->announced = true;
}

static void on_ready(Child *child)
{
    Parent *parent = child->parent;
    Child *warden = child_find(parent, CHILD_WARDEN);
    Child *executor = child_find(parent, CHILD_EXECUTOR);

    child->ready = true;
    if ((child == warden || child == executor) && warden && warden->ready && executor &&
        executor->ready)
        for (ServedJail *jail = parent->jails; jail; jail = jail->next)
            jail_send_listener(jail);
    if ((child == warden || child == executor) && warden && warden->ready && executor &&
        executor->ready)
        engine_side_on_ready(parent);
    if (all_ready(parent) && !parent->announced)
        announce(parent);
}

void parent_on_child_frame(Child *child, LinkFrame *frame)
{
    Parent *parent = child->parent;
    bool warden = child->kind == CHILD_WARDEN;

    if (frame->type == MESSAGE_PONG || engine_side_on_frame(child, frame))
        return;
    if (frame->type == MESSAGE_READY)
        on_ready(child);
    else if (frame->type == MESSAGE_POLICY_ANSWER && warden)
        files_on_policy_answer(parent, frame);
    else if (frame->type == MESSAGE_SEGMENT_WANTED && warden)
        files_on_segment_wanted(parent, child);
    else if (frame->type == MESSAGE_HEAD && warden)
        files_on_head(parent, frame);
    else if (frame->type == MESSAGE_SWITCHES_SAVE && warden)
        switches_on_save(parent, child, frame);
    else if (frame->type == MESSAGE_RELOAD && warden)
        files_send_policy(parent);
    else if (frame->type == MESSAGE_JAIL_WANTED && warden)
        jails_on_wanted(parent, child, frame);
    else if (frame->type == MESSAGE_SEGMENTS_WANTED && child->kind == CHILD_API)
        files_send_segments(parent, child);
    else {
        log_error("%s sent message %u, which it may not", child->role, frame->type);
        child_kill(child);
    }
}

static void send_listener(Child *api, const char *where, bool tls, const char *hosts, int fd)
{
    Buffer payload = BUFFER_EMPTY(64 << 10);

    buffer_put_string(&payload, where);
    buffer_put_u8(&payload, tls);
    buffer_put_string(&payload, hosts);
    (void)child_send(api, MESSAGE_LISTENER, &payload, fd);
}

static void start_api(Parent *parent)
{
    Child *api = child_start(parent, CHILD_API, NULL);
    Child *warden = child_find(parent, CHILD_WARDEN);
    Child *executor = child_find(parent, CHILD_EXECUTOR);

    if (!api || !warden || !executor || children_link(api, warden, 0, "", "") < 0 ||
        children_link(api, executor, 0, "", "") < 0)
        return;
    send_listener(api, parent->options->api_socket, false, "", parent->api_listener);
    if (parent->tcp.fd >= 0) {
        const char *hosts = parent->options->api_hosts;
        files_send_tls(parent);
        send_listener(api, parent->tcp.url, parent->tcp.tls, hosts ? hosts : "", parent->tcp.fd);
    }
}

static void fail(Parent *parent)
{
    parent->exit_status = EXIT_FAILURE;
    (void)event_base_loopbreak(parent->loop);
}

static void start_all(Parent *parent)
{
    Child *executor = child_start(parent, CHILD_EXECUTOR, NULL);
    Child *warden = child_start(parent, CHILD_WARDEN, NULL);

    parent->restarting = false;
    if (!executor || !warden || children_link(warden, executor, 0, "", "") < 0 ||
        files_send_journal(parent, warden) < 0 || switches_send(parent, warden) < 0) {
        if (!parent->announced)
            fail(parent);
        return;
    }
    files_send_policy(parent);
    start_api(parent);
    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        (void)jail_start_door(parent, jail);
    engine_side_start(parent);
}

static void kill_all(Parent *parent)
{
    for (Child *child = parent->children; child; child = child->next)
        child_kill(child);
}

static uint64_t restart_delay(Parent *parent)
{
    uint64_t now = clock_monotonic_ms();

    if (now - parent->last_failure_ms > QUIET_MS)
        parent->failures = 0;
    parent->last_failure_ms = now;
    uint64_t delay = (uint64_t)RESTART_MIN_MS << (parent->failures < 8 ? parent->failures : 8);
    parent->failures++;
    return delay < RESTART_MAX_MS ? delay : RESTART_MAX_MS;
}

/* All children of a failed generation are gone: the next one starts after a while. */
static void restart_when_empty(Parent *parent)
{
    struct timeval delay;

    if (parent->children)
        return;
    delay = clock_timeval_of_ms(restart_delay(parent));
    (void)event_add(parent->restart_timer, &delay);
}

static void on_restart_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Parent *parent = userdata;
    if (parent->restarting)
        start_all(parent);
    else if (!child_find(parent, CHILD_API))
        start_api(parent);
}

/* The order of the end: doors and api, then the warden (it writes the last record), then the
 * executor. */
static void go_on_stopping(Parent *parent)
{
    bool outer = false;
    Child *warden = child_find(parent, CHILD_WARDEN),
          *executor = child_find(parent, CHILD_EXECUTOR),
          *engine = child_find(parent, CHILD_ENGINE);

    for (Child *child = parent->children; child; child = child->next)
        outer |= child->kind == CHILD_DOOR || child->kind == CHILD_API;
    if (!parent->children)
        (void)event_base_loopbreak(parent->loop);
    else if (!outer && warden)
        (void)child_send(warden, MESSAGE_STOP, NULL, -1);
    else if (!outer && engine) /* it removes what the warden had it run */
        (void)link_send(engine->control, MESSAGE_STOP, 0, NULL, 0);
    if (!outer && !warden && executor) /* it may have gone already, after the warden */
        (void)link_send(executor->control, MESSAGE_STOP, 0, NULL, 0);
}

static void door_ended(Parent *parent, ServedJail *jail)
{
    struct timeval delay = clock_timeval_of_ms(restart_delay(parent));
    jail->door = NULL;
    (void)event_add(jail->restart, &delay);
}

void parent_on_child_ended(Child *child)
{
    Parent *parent = child->parent;
    ChildKind kind = child->kind;
    ServedJail *jail = child->jail;
    bool was_ready = child->ready;
    char role[sizeof child->role];

    memcpy(role, child->role, sizeof role);
    if (jail && jail->door == child)
        jail->door = NULL;
    child_free(child);
    if (parent->stopping) {
        go_on_stopping(parent);
        return;
    }
    if (!parent->announced && !was_ready && !parent->restarting) {
        log_error("%s could not start", role);
        fail(parent);
        return;
    }
    if (parent->restarting) {
        restart_when_empty(parent);
    } else if (kind == CHILD_DOOR) {
        if (jail)
            door_ended(parent, jail);
    } else if (kind == CHILD_ENGINE) {
        engine_side_on_ended(parent);
    } else if (kind == CHILD_API) {
        struct timeval delay = clock_timeval_of_ms(restart_delay(parent));
        (void)event_add(parent->restart_timer, &delay);
    } else {
        log_error("%s is gone: everything is ended and started again", role);
        parent->restarting = true;
        kill_all(parent);
        restart_when_empty(parent);
    }
}

/* The watchdog: a child that does not answer is ended, and that starts it again. */
static void on_watchdog(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Parent *parent = userdata;
    uint64_t now = clock_monotonic_ms();

    for (Child *child = parent->children; child; child = child->next) {
        if (now - child->answered_ms > SILENCE_MAX_MS) {
            log_error("%s does not answer and is ended", child->role);
            child_kill(child);
        }
        (void)link_send(child->control, MESSAGE_PING, 0, NULL, 0);
    }
    notify_service_manager("WATCHDOG=1");
}

static void on_stop_time(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    kill_all(userdata);
}

static void on_signal(evutil_socket_t number, short what UNUSED, void *userdata)
{
    Parent *parent = userdata;
    struct timeval limit = {.tv_sec = STOP_TIME_MAX_S};

    if (number == SIGCHLD) {
        children_reap_strangers(parent);
        return;
    }
    if (number == SIGHUP) {
        files_send_policy(parent);
        files_send_tls(parent);
        return;
    }
    if (parent->stopping) {
        kill_all(parent); /* asked twice: now */
        return;
    }
    log_info("stopping");
    notify_service_manager("STOPPING=1");
    parent->stopping = true;
    (void)event_add(parent->stop_timer, &limit);
    for (Child *child = parent->children; child; child = child->next)
        if (child->kind == CHILD_DOOR || child->kind == CHILD_API)
            (void)child_send(child, MESSAGE_STOP, NULL, -1);
    if (!parent->children)
        (void)event_base_loopbreak(parent->loop);
}

static int watch_signals(Parent *parent)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t none;

    (void)signal(SIGPIPE, SIG_IGN);
    _Static_assert(ARRAY_SIZE(numbers) == ARRAY_SIZE(parent->signals), "one event for each");
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        parent->signals[i] = evsignal_new(parent->loop, numbers[i], on_signal, parent);
        if (!parent->signals[i] || event_add(parent->signals[i], NULL) < 0)
            return -ENOMEM;
    }
    (void)sigemptyset(&none); /* whoever started us may block what we must hear */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

static int make_timers(Parent *parent)
{
    struct timeval ping = {.tv_sec = PING_S};

    parent->watchdog = event_new(parent->loop, -1, EV_PERSIST, on_watchdog, parent);
    parent->restart_timer = event_new(parent->loop, -1, 0, on_restart_timer, parent);
    parent->stop_timer = event_new(parent->loop, -1, 0, on_stop_time, parent);
    if (!parent->watchdog || !parent->restart_timer || !parent->stop_timer ||
        event_add(parent->watchdog, &ping) < 0)
        return -ENOMEM;
    return 0;
}

static void tear_down(Parent *parent)
{
    struct event *events[] = {parent->inotify,       parent->reload_timer, parent->watchdog,
                              parent->restart_timer, parent->stop_timer,   parent->signals[0],
                              parent->signals[1],    parent->signals[2],   parent->signals[3]};
    kill_all(parent);
    while (parent->children)
        child_free(parent->children);
    engine_side_free(parent);
    jails_free(parent);
    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        if (events[i])
            event_free(events[i]);
    if (parent->api_listener >= 0)
        (void)unlink(parent->options->api_socket);
    fd_close(parent->api_listener);
    fd_close(parent->tcp.fd);
    fd_close(parent->inotify_fd);
    if (!parent->announced)
        setup_undo_places(parent);
    fd_close_many(parent->locks, LOCKS);
    for (size_t i = 0; i < parent->n_fresh; i++)
        free(parent->fresh[i]);
    free(parent->head_path);
    free(parent->switches);
    if (parent->loop)
        event_base_free(parent->loop);
}

int parent_run(const Options *options)
{
    Parent parent = {
        .options = options,
        .context = {.control_fd = -EBADF,
                    .privileged = geteuid() == 0,
                    .run_dir = options->run_dir,
                    .state_dir = options->state_dir,
                    .policy_path = options->policy,
                    .audit_path = options->audit,
                    .api_socket = options->api_socket,
                    .dry_run = options->dry_run},
        .locks = {-EBADF, -EBADF, -EBADF},
        .api_listener = -EBADF,
        .house = JAIL_HOUSE_EMPTY,
        .state_fd = -EBADF,
        .tcp = {.fd = -EBADF},
        .inotify_fd = -EBADF,
    };

    if (setup_find_users(&parent) < 0)
        return 2;
    (void)prctl(PR_SET_NAME, "clwd-parent", 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    parent.loop = event_base_new();
    int result = parent.loop ? make_timers(&parent) : -ENOMEM;
    if (result == 0)
        result = watch_signals(&parent);
    if (result == 0 && options->engine)
        result = engine_side_new(&parent);
    if (result == 0)
        result = setup_listen(&parent);
    parent.context.api_url = parent.tcp.url;
    if (result == 0)
        result = setup_make_places(&parent);
    if (result == 0)
        result = setup_open_places(&parent);
    if (result == 0)
        result = setup_serve_jails(&parent);
    if (result == 0)
        result = files_watch_policy(&parent);
    if (result < 0) {
        tear_down(&parent);
        return EXIT_FAILURE;
    }
    start_all(&parent);
    if (parent.exit_status == EXIT_SUCCESS) /* a break before the loop would be forgotten */
        (void)event_base_dispatch(parent.loop);
    tear_down(&parent);
    return parent.exit_status;
}
