/*
 * See hasher.h. Messages, key 0: HASH_VERIFY (string password, string hash) → HASH_ANSWER (u8
 * good, string ""); HASH_CREATE (string password) → HASH_ANSWER (u8 1, string hash).
 */
#include "api/hasher.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/link.h"

enum { HASH_VERIFY = 1, HASH_CREATE, HASH_ANSWER };

#define HASHER_FILES 16u
#define LOWEST_PRIORITY 19

static const LinkLimits limits = {.frame_max = 4096, .queue_max = 8192, .fds_max = 0};

typedef struct Job {
    uint16_t type;
    char password[PASSWORD_MAX + 1];
    char hash[crypto_pwhash_STRBYTES];
    HasherDone done;
    void *userdata;
} Job;

struct Hasher {
    Link *link;
    void (*gone)(void *userdata);
    void *userdata;
    Job jobs[HASHER_QUEUE_MAX]; /* the first one is being worked on */
    size_t n_jobs;
};

/* The process. */

typedef struct Work {
    struct event_base *loop;
    char nobody[crypto_pwhash_STRBYTES]; /* the hash of a password that nobody has */
} Work;

static int hash_password(const char *password, char *hash)
{
    return crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                             crypto_pwhash_MEMLIMIT_INTERACTIVE);
}

static void on_question(Link *link, LinkFrame *frame, void *userdata)
{
    Work *work = userdata;
    Reader reader = reader_of(frame->payload, frame->size);
    const char *password = reader_string(&reader);
    const char *hash = frame->type == HASH_VERIFY ? reader_string(&reader) : "";
    char made[crypto_pwhash_STRBYTES] = "";
    bool good = false;
    Buffer answer = BUFFER_EMPTY(1024);

    if (!reader_done(&reader))
        exit(1);
    if (frame->type == HASH_CREATE) {
        good = hash_password(password, made) == 0;
    } else {
        /* Somebody who does not exist costs as much as somebody who does. */
        const char *against = *hash ? hash : work->nobody;
        good = crypto_pwhash_str_verify(against, password, strlen(password)) == 0 && *hash;
    }
    buffer_put_u8(&answer, good);
    buffer_put_string(&answer, made);
    (void)link_send_buffer(link, HASH_ANSWER, 0, &answer);
    buffer_done(&answer);
}

static void on_end(Link *link UNUSED, int error UNUSED, void *userdata)
{
    Work *work = userdata;
    (void)event_base_loopbreak(work->loop);
}

static int confine(const ProcessContext *context)
{
    int result = confine_limits(HASHER_FILES);
    if (result >= 0)
        result = confine_become(context->privileged ? &context->api : NULL, false);
    if (result >= 0)
        result = confine_files(NULL);
    if (result >= 0)
        result = confine_syscalls(false);
    return result;
}

static int run(const ProcessContext *context, int fd)
{
    static const LinkHandlers handlers = {.frame = on_question, .closed = on_end};
    Work work = {.loop = NULL};
    Link *link = NULL;
    unsigned char secret[32];
    char text[sizeof secret * 2 + 1];

    (void)prctl(PR_SET_NAME, "clwd-hasher", 0, 0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    log_set_role("hasher");
    (void)fd_close_all_except(&fd, 1);
    (void)setpriority(PRIO_PROCESS, 0, LOWEST_PRIORITY);
    work.loop = event_base_new();
    int result = work.loop ? confine(context) : -ENOMEM;
    if (result < 0) {
        log_error("cannot start: %s", strerror(-result));
        return 1;
    }
    randombytes_buf(secret, sizeof secret);
    (void)sodium_bin2hex(text, sizeof text, secret, sizeof secret);
    if (hash_password(text, work.nobody) < 0 ||
        link_new_take(&link, work.loop, fd, &limits, &handlers, &work) < 0)
        return 1;
    (void)event_base_dispatch(work.loop);
    return 0;
}

/* The api's side. */

static void send_first(Hasher *hasher)
{
    const Job *job = &hasher->jobs[0];
    Buffer payload = BUFFER_EMPTY(4096);

    if (hasher->n_jobs == 0)
        return;
    buffer_put_string(&payload, job->password);
    if (job->type == HASH_VERIFY)
        buffer_put_string(&payload, job->hash);
    /* A link that fails is reported by itself. */
    (void)link_send_buffer(hasher->link, job->type, 0, &payload);
    if (payload.bytes)
        sodium_memzero(payload.bytes, payload.capacity);
    buffer_done(&payload);
}

static void on_answer(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Hasher *hasher = userdata;
    Reader reader = reader_of(frame->payload, frame->size);
    bool good = reader_u8(&reader) != 0;
    const char *hash = reader_string(&reader);

    if (frame->type != HASH_ANSWER || !reader_done(&reader) || hasher->n_jobs == 0) {
        hasher->gone(hasher->userdata);
        return;
    }
    HasherDone done = hasher->jobs[0].done;
    void *whom = hasher->jobs[0].userdata;
    hasher->n_jobs--;
    memmove(hasher->jobs, hasher->jobs + 1, hasher->n_jobs * sizeof *hasher->jobs);
    sodium_memzero(&hasher->jobs[hasher->n_jobs], sizeof *hasher->jobs);
    send_first(hasher);
    if (done)
        done(good, hash, whom);
}

static void on_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    const Hasher *hasher = userdata;
    hasher->gone(hasher->userdata);
}

int hasher_start(Hasher **ret, struct event_base *loop, const ProcessContext *context,
                 void (*gone)(void *userdata), void *userdata)
{
    static const LinkHandlers handlers = {.frame = on_answer, .closed = on_closed};
    int pair[2];
    Hasher *hasher = calloc(1, sizeof *hasher);

    if (!hasher)
        return -ENOMEM;
    *hasher = (Hasher){.gone = gone, .userdata = userdata};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        free(hasher);
        return -errno;
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(run(context, pair[1]));
    int result = pid < 0 ? -errno : 0;
    fd_close(pair[1]);
    if (result == 0)
        result = link_new_take(&hasher->link, loop, pair[0], &limits, &handlers, hasher);
    else
        fd_close(pair[0]);
    if (result < 0) {
        free(hasher);
        return result;
    }
    *ret = hasher;
    return 0;
}

Hasher *hasher_free(Hasher *hasher)
{
    if (!hasher)
        return NULL;
    hasher->link = link_free(hasher->link);
    sodium_memzero(hasher, sizeof *hasher);
    free(hasher);
    return NULL;
}

static int enqueue(Hasher *hasher, uint16_t type, const char *password, const char *hash,
                   HasherDone done, void *userdata)
{
    if (hasher->n_jobs == HASHER_QUEUE_MAX)
        return -EBUSY;
    if (strlen(password) > PASSWORD_MAX || strlen(hash) >= crypto_pwhash_STRBYTES)
        return -EINVAL;
    Job *job = &hasher->jobs[hasher->n_jobs++];
    *job = (Job){.type = type, .done = done, .userdata = userdata};
    memcpy(job->password, password, strlen(password) + 1);
    memcpy(job->hash, hash, strlen(hash) + 1);
    if (hasher->n_jobs == 1)
        send_first(hasher);
    return 0;
}

int hasher_verify(Hasher *hasher, const char *password, const char *hash, HasherDone done,
                  void *userdata)
{
    return enqueue(hasher, HASH_VERIFY, password, hash ? hash : "", done, userdata);
}

int hasher_create(Hasher *hasher, const char *password, HasherDone done, void *userdata)
{
    return enqueue(hasher, HASH_CREATE, password, "", done, userdata);
}

void hasher_forget(Hasher *hasher, const void *userdata)
{
    for (size_t i = 0; i < hasher->n_jobs; i++)
        if (hasher->jobs[i].userdata == userdata)
            hasher->jobs[i].done = NULL;
}
