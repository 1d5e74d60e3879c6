/*
 * The files that outlive the other processes: the policy, watched and handed to the warden open,
 * and the journal's segments and head.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "journal/segments.h"
#include "parent/parent.h"
#include "parent/places.h"

#define RELOAD_DELAY_MS 50u     /* editors write in several steps */
#define SEGMENTS_SENT_MAX 1000u /* the newest; at 256 MiB each */

/* The policy. */

void files_send_policy_to(Parent *parent, Child *child)
{
    Buffer payload = BUFFER_EMPTY(8192);

    int fd = place_trusted_file(parent->options->policy, geteuid());
    buffer_put_string(&payload, parent->options->policy);
    buffer_put_string(&payload, fd < 0 ? place_problem(fd) : "");
    (void)child_send(child, MESSAGE_POLICY, &payload, fd);
    fd_close(fd);
}

void files_send_policy(Parent *parent)
{
    Child *warden = child_find(parent, CHILD_WARDEN), *engine = child_find(parent, CHILD_ENGINE);

    if (engine) /* first: it must know what the warden judges by */
        files_send_policy_to(parent, engine);
    if (warden)
        files_send_policy_to(parent, warden);
}

/* One line of the log for each problem. */
static void log_problems(const PolicyProblems *problems)
{
    char *text = NULL, *rest = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    if (!memory)
        return;
    policy_problems_print(problems, memory);
    (void)fclose(memory);
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        log_write(strstr(line, ": warning: ") ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "%s", line);
    free(text);
}

Policy *files_load_policy(const char *path, bool json)
{
    PolicyProblems problems = {.items = NULL};
    Policy *policy = NULL;
    int fd = place_trusted_file(path, geteuid());

    if (fd < 0) {
        log_error("%s: %s", path, place_problem(fd));
        return NULL;
    }
    fd_close(fd);
    int result = policy_load_file(path, &policy, &problems);
    if (result < 0)
        log_error("%s: %s", path, strerror(-result));
    if (json)
        log_problems(&problems);
    else
        policy_problems_print(&problems, stderr);
    policy_problems_done(&problems);
    return policy;
}

void files_on_policy_answer(Parent *parent, const LinkFrame *frame)
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
    Policy *policy = files_load_policy(parent->options->policy, parent->options->log_json);
    if (policy && jails_reconcile(parent, policy) < 0)
        log_error("not every jail of the policy can be served");
    policy_free(policy);
    engine_side_on_jails(parent);
    (void)malloc_trim(0);
}

static void on_reload_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    files_send_policy(userdata);
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

int files_watch_policy(Parent *parent)
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
    parent->reload_timer = event_new(parent->loop, -1, 0, on_reload_timer, parent);
    if (!parent->inotify || !parent->reload_timer || event_add(parent->inotify, NULL) < 0)
        return -ENOMEM;
    return 0;
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

int files_send_journal(Parent *parent, Child *warden)
{
    JournalHead head = {.seq = 0};
    JournalRecovery recovery = {.torn_bytes = 0};
    Buffer payload = BUFFER_EMPTY(8192);
    gid_t group = parent->context.privileged ? parent->context.operators : getegid();

    _cleanup_fd_ int fd =
        journal_file_open(parent->options->audit, group, &parent->head, &head, &recovery);
    if (fd < 0) {
        log_error("the journal %s cannot be opened: %s", parent->options->audit, place_problem(fd));
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

void files_on_segment_wanted(Parent *parent, Child *warden)
{
    gid_t group = parent->context.privileged ? parent->context.operators : getegid();
    _cleanup_fd_ int fd = journal_file_rotate(parent->options->audit, group);
    Buffer payload = BUFFER_EMPTY(64);

    buffer_put_u32(&payload, fd < 0 ? (uint32_t)-fd : 0);
    (void)child_send(warden, MESSAGE_SEGMENT, &payload, fd);
}

void files_on_head(Parent *parent, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    JournalHead head = {.seq = reader_u64(&reader)};
    const char *hash = reader_bytes(&reader, DIGEST_SIZE);

    if (!reader_done(&reader) || head.seq <= parent->head.seq)
        return; /* a head never goes back */
    memcpy(head.hash.bytes, hash, DIGEST_SIZE);
    parent->head = head;
    int result = journal_head_save(parent->head_path, &head);
    if (result == 0 && parent->context.privileged && /* so that operators can verify */
        (chown(parent->head_path, (uid_t)-1, parent->context.operators) < 0 ||
         chmod(parent->head_path, 0640) < 0))
        result = -errno;
    if (result < 0)
        log_warning("the journal's head cannot be saved to %s: %s", parent->head_path,
                    strerror(-result));
}

/* Descriptors on their way to the api. */
typedef struct SegmentBatch {
    Child *api;
    int fds[SEGMENTS_FDS_MAX]; /* owned */
    size_t n_fds;
    uint32_t following;
    bool failed;
} SegmentBatch;

static void send_batch(SegmentBatch *batch)
{
    Buffer payload = BUFFER_EMPTY(64);

    buffer_put_u32(&payload, batch->following);
    if (!batch->failed)
        batch->failed =
            link_send_fds(batch->api->control, MESSAGE_SEGMENTS, 0, buffer_head(&payload),
                          buffer_size(&payload), batch->fds, batch->n_fds) < 0;
    buffer_done(&payload);
    fd_close_many(batch->fds, batch->n_fds);
    batch->n_fds = 0;
}

/* Opens the segments in order; the last one is `audit.log` itself. Nobody rotates meanwhile: that
 * is done by this process too. */
static void send_named(SegmentBatch *batch, int directory, const char *base,
                       const JournalSegments *segments)
{
    size_t first = segments->count > SEGMENTS_SENT_MAX ? segments->count - SEGMENTS_SENT_MAX : 0;
    char name[NAME_MAX + 1];

    batch->following = (uint32_t)(segments->count - first) + 1;
    for (size_t i = first; i <= segments->count; i++) {
        uint64_t seq = i < segments->count ? segments->seqs[i] : 0;
        int fd = journal_segment_name(base, seq, name) < 0
                     ? -EBADF
                     : openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0)
            batch->fds[batch->n_fds++] = fd;
        batch->following--;
        if (batch->n_fds == SEGMENTS_FDS_MAX || batch->following == 0)
            send_batch(batch);
    }
}

void files_send_segments(Parent *parent, Child *api)
{
    _cleanup_free_ char *path = NULL;
    const char *base = journal_path_split(parent->options->audit, &path);
    JournalSegments segments = {NULL, 0};
    SegmentBatch batch = {.api = api};
    _cleanup_fd_ int directory = base ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;

    int result = directory < 0 ? -errno : journal_segments_list(directory, base, &segments);
    if (result < 0) {
        log_warning("the journal's segments cannot be listed: %s", strerror(-result));
        send_batch(&batch); /* none */
        return;
    }
    send_named(&batch, directory, base, &segments);
    journal_segments_done(&segments);
    if (batch.failed) {
        log_error("the journal's segments cannot be handed to the api, which is ended");
        child_kill(api);
    }
}

/* TLS. */

void files_send_tls(Parent *parent)
{
    const Options *options = parent->options;
    Child *api = child_find(parent, CHILD_API);
    Buffer chain, key, payload = BUFFER_EMPTY(1 << 20);

    if (!api || !parent->tcp.tls)
        return;
    if (listen_read_tls(options->tls_cert, options->tls_key, &chain, &key) == 0) {
        buffer_put_blob(&payload, buffer_head(&chain), buffer_size(&chain));
        buffer_put_blob(&payload, buffer_head(&key), buffer_size(&key));
        if (payload.error == 0)
            (void)link_send(api->control, MESSAGE_TLS, 0, buffer_head(&payload),
                            buffer_size(&payload));
    }
    Buffer *secrets[] = {&key, &payload};
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
        if (secrets[i]->bytes)
            sodium_memzero(secrets[i]->bytes, secrets[i]->capacity);
    buffer_done(&chain);
    buffer_done(&key);
    buffer_done(&payload);
}
