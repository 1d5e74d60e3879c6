/*
 * The parent process (parent.h): start-up, restarts, reloads, the journal's files, the end.
 */
#include "parent/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "parent/places.h"

#define PING_S 5
#define SILENCE_MAX_MS 20000u /* a child that says nothing for so long is ended */
#define RELOAD_DELAY_MS 50u   /* editors write in several steps */
#define RESTART_MIN_MS 100u
#define RESTART_MAX_MS 5000u
#define QUIET_MS 10000u /* without a failure: the count of failures starts again */
#define STOP_TIME_MAX_S 10

static void start_all(Parent *parent);

/* The policy. */

static void send_policy(Parent *parent)
{
    Child *warden = child_find(parent, CHILD_WARDEN);
    Buffer payload = BUFFER_EMPTY(8192);

    if (!warden)
        return;
    int fd = place_policy(parent->options->policy, geteuid());
    if (fd == -EPERM)
        log_error("%s: others can change this file (its owner must be root or the warden's own "
                  "user, and nobody else may write to it); the policy before stays in force",
                  parent->options->policy);
    else if (fd < 0)
        log_error("%s: %s; the policy before stays in force", parent->options->policy,
                  strerror(-fd));
    buffer_put_string(&payload, parent->options->policy);
    (void)child_send(warden, MESSAGE_POLICY, &payload, fd);
    fd_close(fd);
}

/* Loads the policy for its jails; complains on stderr. NULL when it is not good. */
static Policy *load_policy(const Parent *parent)
{
    PolicyProblems problems = {.items = NULL};
    Policy *policy = NULL;
    const char *path = parent->options->policy;
    int fd = place_policy(path, geteuid());

    if (fd == -EPERM)
        log_error("%s: others can change this file; its owner must be root or the warden's own "
                  "user, and nobody else may write to it",
                  path);
    if (fd < 0 && fd != -EPERM)
        log_error("%s: %s", path, strerror(-fd));
    if (fd < 0)
        return NULL;
    fd_close(fd);
    int result = policy_load_file(path, &policy, &problems);
    if (result < 0)
        log_error("%s: %s", path, strerror(-result));
    policy_problems_print(&problems, stderr);
    policy_problems_done(&problems);
    return policy;
}

static void on_policy_answer(Parent *parent, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    bool ok = reader_u8(&reader) != 0;
    const char *problems = reader_string(&reader);

    if (!ok) {
        log_error("policy refused, the one before stays in force: %s", problems);
        return;
    }
    log_info("policy %s is in force", parent->options->policy);
    if (!parent->announced)
        return;
    Policy *policy = load_policy(parent);
    if (policy && jails_reconcile(parent, policy) < 0)
        log_error("not every jail of the policy can be served");
    policy_free(policy);
    (void)malloc_trim(0);
}

static void on_reload_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    send_policy(userdata);
}

static void on_inotify(evutil_socket_t fd, short what UNUSED, void *userdata)
{
    Parent *parent = userdata;
    char events[4096] __attribute__((aligned(8)));
    struct timeval delay = clock_timeval_of_ms(RELOAD_DELAY_MS);
    const char *slash = strrchr(parent->options->policy, '/');
    bool touched = false;
    ssize_t got;

    while ((got = read(fd, events, sizeof events)) > 0) {
        for (char *at = events; at < events + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;
            /* "..data" is how orchestrators swap a whole directory of configuration. */
            touched |= event->len > 0 &&
                       (strcmp(event->name, slash + 1) == 0 || strcmp(event->name, "..data") == 0);
            touched |= event->len == 0 && (event->mask & (IN_CLOSE_WRITE | IN_ATTRIB)) != 0;
            at += sizeof *event + event->len;
        }
    }
    if (touched)
        (void)event_add(parent->reload_timer, &delay);
}

static int watch_policy(Parent *parent)
{
    char directory[PATH_MAX], target[PATH_MAX];
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE;

    parent->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (parent->inotify_fd < 0)
        return -errno;
    (void)snprintf(directory, sizeof directory, "%s", parent->options->policy);
    if (inotify_add_watch(parent->inotify_fd, dirname(directory), mask) < 0)
        return -errno;
    /* A symlink's target may be edited elsewhere. */
    if (realpath(parent->options->policy, target) && strcmp(target, parent->options->policy) != 0)
        (void)inotify_add_watch(parent->inotify_fd, target, IN_CLOSE_WRITE);
    parent->inotify =
        event_new(parent->loop, parent->inotify_fd, EV_READ | EV_PERSIST, on_inotify, parent);
    return parent->inotify && event_add(parent->inotify, NULL) == 0 ? 0 : -ENOMEM;
}

/* The journal's files. */

static char *recovery_text(const JournalRecovery *recovery, const JournalHead *head)
{
    char *text = NULL;
    int size = 0;

    if (recovery->behind_head || recovery->head_differs)
        size = asprintf(&text,
                        "the journal is not the one that was written: %s (now at seq %llu); run "
                        "clawrden-cli audit verify",
                        recovery->behind_head ? "its tail is missing"
                                              : "the record at the saved head was changed",
                        (unsigned long long)head->seq);
    else if (recovery->torn_bytes > 0)
        size = asprintf(&text, "a torn last line of %llu bytes was cut after a crash",
                        (unsigned long long)recovery->torn_bytes);
    else if (head->seq > 0 && !recovery->clean_stop)
        text = strdup("the run before did not stop cleanly: what ran then was ended, its ends "
                      "were not recorded");
    return size < 0 ? NULL : text;
}

static int send_journal(Parent *parent, Child *warden)
{
    JournalHead head = {.seq = 0};
    JournalRecovery recovery = {.torn_bytes = 0};
    Buffer payload = BUFFER_EMPTY(8192);
    gid_t group = parent->context.privileged ? parent->context.operators : getegid();

    _cleanup_fd_ int fd =
        journal_file_open(parent->options->audit, group, &parent->head, &head, &recovery);
    if (fd < 0) {
        log_error("the journal %s cannot be opened: %s", parent->options->audit, strerror(-fd));
        return fd;
    }
    _cleanup_free_ char *text = recovery_text(&recovery, &head);
    if (text)
        log_warning("%s", text);
    parent->head = head;
    buffer_put_u64(&payload, head.seq);
    buffer_put(&payload, head.hash.bytes, DIGEST_SIZE);
    buffer_put_string(&payload, text);
    return child_send(warden, MESSAGE_JOURNAL, &payload, fd);
}

static void on_segment_wanted(Parent *parent, Child *warden)
{
    gid_t group = parent->context.privileged ? parent->context.operators : getegid();
    _cleanup_fd_ int fd = journal_file_rotate(parent->options->audit, group);
    Buffer payload = BUFFER_EMPTY(64);

    buffer_put_u32(&payload, fd < 0 ? (uint32_t)-fd : 0);
    (void)child_send(warden, MESSAGE_SEGMENT, &payload, fd);
}

static void on_head(Parent *parent, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    JournalHead head = {.seq = reader_u64(&reader)};
    const char *hash = reader_bytes(&reader, DIGEST_SIZE);

    if (!reader_done(&reader) || head.seq <= parent->head.seq)
        return; /* a head never goes back */
    memcpy(head.hash.bytes, hash, DIGEST_SIZE);
    parent->head = head;
    int result = journal_head_save(parent->head_path, &head);
    if (result < 0)
        log_warning("the journal's head cannot be saved to %s: %s", parent->head_path,
                    strerror(-result));
}

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
    log_info("READY (socket %s, api %s)", first ? first->socket_path : "none",
             parent->options->api_socket);
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
    if (all_ready(parent) && !parent->announced)
        announce(parent);
}

void parent_on_child_frame(Child *child, LinkFrame *frame)
{
    Parent *parent = child->parent;
    bool warden = child->kind == CHILD_WARDEN;

    if (frame->type == MESSAGE_PONG)
        return;
    if (frame->type == MESSAGE_READY)
        on_ready(child);
    else if (frame->type == MESSAGE_POLICY_ANSWER && warden)
        on_policy_answer(parent, frame);
    else if (frame->type == MESSAGE_SEGMENT_WANTED && warden)
        on_segment_wanted(parent, child);
    else if (frame->type == MESSAGE_HEAD && warden)
        on_head(parent, frame);
    else if (frame->type == MESSAGE_RELOAD && warden)
        send_policy(parent);
    else {
        log_error("%s sent message %u, which it may not", child->role, frame->type);
        child_kill(child);
    }
}

static void start_api(Parent *parent)
{
    Child *api = child_start(parent, CHILD_API, NULL);
    Child *warden = child_find(parent, CHILD_WARDEN);
    Child *executor = child_find(parent, CHILD_EXECUTOR);
    Buffer payload = BUFFER_EMPTY(8192);

    if (!api || !warden || !executor || children_link(api, warden, 0, "", "") < 0 ||
        children_link(api, executor, 0, "", "") < 0)
        return;
    buffer_put_string(&payload, parent->options->api_socket);
    (void)child_send(api, MESSAGE_LISTENER, &payload, parent->api_listener);
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
        send_journal(parent, warden) < 0) {
        if (!parent->announced)
            fail(parent);
        return;
    }
    send_policy(parent);
    start_api(parent);
    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        (void)jail_start_door(parent, jail);
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
          *executor = child_find(parent, CHILD_EXECUTOR);

    for (Child *child = parent->children; child; child = child->next)
        outer |= child->kind == CHILD_DOOR || child->kind == CHILD_API;
    if (!parent->children)
        (void)event_base_loopbreak(parent->loop);
    else if (!outer && warden)
        (void)child_send(warden, MESSAGE_STOP, NULL, -1);
    else if (!outer && executor) /* it may have gone already, after the warden */
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

    if (number == SIGHUP) {
        send_policy(parent);
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

/* Start-up. */

static int find_user(const char *name, const char *suffix, ProcessUser *ret)
{
    char full[80];
    (void)snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct passwd *user = getpwnam(full);
    if (!user || user->pw_uid == 0) {
        log_error("there is no user '%s'%s; create it with: useradd --system --user-group "
                  "--no-create-home --shell /usr/sbin/nologin %s",
                  full, user ? " but root" : "", full);
        return -ENOENT;
    }
    *ret = (ProcessUser){.uid = user->pw_uid, .gid = user->pw_gid};
    return 0;
}

static int find_users(Parent *parent)
{
    const char *name = parent->options->user;
    ProcessContext *context = &parent->context;

    if (!context->privileged) {
        log_warning("not started as root: everything runs as this user, and nothing separates the "
                    "agent from the warden. This is no security boundary");
        context->operators = getegid();
        return 0;
    }
    /* All three are looked up, so that all that are missing are named. */
    int warden = find_user(name, "", &context->warden);
    int door = find_user(name, "-door", &context->door);
    int api = find_user(name, "-api", &context->api);
    if (warden < 0 || door < 0 || api < 0)
        return -ENOENT;
    context->operators = context->warden.gid;
    return 0;
}

static int make_places(Parent *parent)
{
    const ProcessContext *context = &parent->context;
    const Options *options = parent->options;
    char path[PATH_MAX];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    const char *at = options->run_dir;

    int result = place_directory(at, 0755, uid, gid);
    if (result == 0) {
        (void)snprintf(path, sizeof path, "%s/jails", options->run_dir);
        result = place_directory(at = path, 0755, uid, gid);
    }
    if (result == 0) {
        at = options->state_dir;
        result = place_directory(at, 0700, uid, gid);
    }
    char api_path[PATH_MAX];
    (void)snprintf(api_path, sizeof api_path, "%s", options->api_socket);
    const char *api_directory = dirname(api_path);
    gid_t operators = context->privileged ? context->operators : gid;
    if (result == 0) {
        at = api_directory;
        result = place_directory(at, 0750, uid, operators);
    }
    if (result < 0)
        log_error("%s: %s", at,
                  result == -EPERM ? "others own this directory or can write to it"
                                   : strerror(-result));
    return result;
}

static int open_places(Parent *parent)
{
    const Options *options = parent->options;
    gid_t operators = parent->context.privileged ? parent->context.operators : getegid();

    parent->lock_fd = place_lock(options->state_dir);
    if (parent->lock_fd < 0) {
        log_error("%s: %s", options->state_dir,
                  parent->lock_fd == -EWOULDBLOCK ? "another warden uses this state directory"
                                                  : strerror(-parent->lock_fd));
        return parent->lock_fd;
    }
    parent->api_listener = place_socket(options->api_socket, 0660, geteuid(), operators, false);
    if (parent->api_listener < 0) {
        log_error("%s: %s", options->api_socket, strerror(-parent->api_listener));
        return parent->api_listener;
    }
    if (asprintf(&parent->head_path, "%s/journal.head", options->state_dir) < 0)
        return -ENOMEM;
    int loaded = journal_head_load(parent->head_path, &parent->head);
    if (loaded < 0)
        log_warning("%s: %s; the journal's tail cannot be checked against it", parent->head_path,
                    strerror(-loaded));
    return 0;
}

static int serve_jails(Parent *parent)
{
    Policy *policy = load_policy(parent);
    if (!policy)
        return -EINVAL;
    int result = jails_reconcile(parent, policy);
    policy_free(policy);
    (void)malloc_trim(0);
    if (result < 0)
        return result;
    for (ServedJail *jail = parent->jails; jail; jail = jail->next)
        if (strcmp(jail->name, "default") == 0 && parent->options->socket)
            result = place_symlink(jail->socket_path, parent->options->socket);
    if (result < 0)
        log_error("%s: %s", parent->options->socket, strerror(-result));
    return result;
}

static int watch_signals(Parent *parent)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        parent->signals[i] = evsignal_new(parent->loop, numbers[i], on_signal, parent);
        if (!parent->signals[i] || event_add(parent->signals[i], NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int make_timers(Parent *parent)
{
    struct timeval ping = {.tv_sec = PING_S};

    parent->watchdog = event_new(parent->loop, -1, EV_PERSIST, on_watchdog, parent);
    parent->reload_timer = event_new(parent->loop, -1, 0, on_reload_timer, parent);
    parent->restart_timer = event_new(parent->loop, -1, 0, on_restart_timer, parent);
    parent->stop_timer = event_new(parent->loop, -1, 0, on_stop_time, parent);
    if (!parent->watchdog || !parent->reload_timer || !parent->restart_timer ||
        !parent->stop_timer || event_add(parent->watchdog, &ping) < 0)
        return -ENOMEM;
    return 0;
}

static void tear_down(Parent *parent)
{
    struct event *events[] = {parent->inotify,       parent->reload_timer, parent->watchdog,
                              parent->restart_timer, parent->stop_timer,   parent->signals[0],
                              parent->signals[1],    parent->signals[2]};
    kill_all(parent);
    while (parent->children)
        child_free(parent->children);
    jails_free(parent);
    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        if (events[i])
            event_free(events[i]);
    if (parent->api_listener >= 0)
        (void)unlink(parent->options->api_socket);
    fd_close(parent->api_listener);
    fd_close(parent->inotify_fd);
    fd_close(parent->lock_fd);
    free(parent->head_path);
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
        .lock_fd = -EBADF,
        .api_listener = -EBADF,
        .inotify_fd = -EBADF,
    };

    if (find_users(&parent) < 0)
        return 2;
    (void)prctl(PR_SET_NAME, "clwd-parent", 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    parent.loop = event_base_new();
    int result = parent.loop ? make_timers(&parent) : -ENOMEM;
    if (result == 0)
        result = watch_signals(&parent);
    if (result == 0)
        result = make_places(&parent);
    if (result == 0)
        result = open_places(&parent);
    if (result == 0)
        result = serve_jails(&parent);
    if (result == 0)
        result = watch_policy(&parent);
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
