/*
 * The warden's state (private to warden/): jails, requests, and what they hold.
 *
 * One road for every command, in request.c:
 *
 *     RECEIVED ─▶ judged ─▶ RECORDING ─▶ STARTING ─▶ RUNNING ─▶ ENDING ─▶ gone
 *                   │ ask                  ▲
 *                   ▼                      │ prepared again, compared
 *                HASHING ─▶ PENDING ─▶ RECORDING ─▶ REOPENING
 *
 * and from every place to a refusal: a line for the agent, an exit code, a record.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "approval/approval.h"
#include "base/digest.h"
#include "base/process.h"
#include "journal/journal.h"
#include "policy/policy.h"
#include "wire/link.h"
#include "wire/message.h"
#include "wire/shim-request.h"

#define REQUEST_ID_SIZE 14 /* 13 characters of base32 and a NUL */

typedef struct Warden Warden;
typedef struct Jail Jail;
typedef struct Request Request;

/* A loaded policy, kept as long as a verdict points into it. */
typedef struct PolicyRef {
    Policy *policy;
    unsigned references;
} PolicyRef;

PolicyRef *policy_ref(PolicyRef *reference);
PolicyRef *policy_unref(PolicyRef *reference); /* accepts NULL, returns NULL */

typedef enum RequestState {
    REQUEST_RECEIVED,  /* waits for the other of its two halves: words and facts */
    REQUEST_HASHING,   /* a human will be asked: what exactly would run? */
    REQUEST_PENDING,   /* a human is asked */
    REQUEST_RECORDING, /* admitted; the record is on its way to the journal */
    REQUEST_REOPENING, /* approved; the executor prepares it again */
    REQUEST_STARTING,  /* the order to run is given */
    REQUEST_RUNNING,
    REQUEST_ENDING, /* the command has ended, what it left behind is being ended */
} RequestState;

/* What the executor said when it prepared the request; owns its bytes. */
typedef struct Facts {
    char *payload;
    Prepared prepared;
    gid_t groups[PREPARED_GROUPS_MAX];
} Facts;

struct Request {
    uint64_t key;
    char id[REQUEST_ID_SIZE];
    Warden *warden;
    Jail *jail;
    RequestState state;
    Request *next_in_bucket;
    Request *next, *previous; /* of the jail */

    /* Words: what the shim said, by way of the door. */
    bool has_words;
    char *message; /* header and body, owned; a large one is forgotten when the command runs */
    size_t message_size;
    ShimRequest words;
    char *name; /* the command's name, owned */
    pid_t pid;  /* of the writer, by the door's word; the facts' word counts */
    uid_t uid;
    gid_t gid;

    /* Facts: what the executor found. */
    Facts *facts;
    ExecFailure failure; /* instead of facts */
    char *failure_text;

    /* Judgement. */
    PolicyRef *policy;
    PolicyVerdict verdict;
    const char **env; /* the environment after scrubbing; points into `message` */
    size_t envc;
    uint8_t *keep; /* the same as bits */
    size_t keep_size;
    Digest command;
    bool asked; /* a human was, or will be, asked */
    Hashed hashed;
    Approval *approval; /* while PENDING */
    char approval_id[APPROVAL_ID_SIZE];
    char *approver, *via, *approval_reason;

    struct event *timer; /* the deadline of the present state */
    uint64_t running_since_ms;
    pid_t command_pid;
    uint64_t
        held_signals; /* for the command, before it runs: bit N - 1; EXEC_STARTED lets them go */
    uint64_t held_groups; /* those of them that are for its whole group */
    bool exit_known;      /* kind and value are the command's */
    uint8_t exit_kind, exit_value;
    bool timed_out, killed, cancelled;
    bool shim_gone;   /* nobody listens */
    bool door_done;   /* the door has been told the end */
    bool recording;   /* a journal ticket is out with this request as its userdata */
    bool child_waits; /* the executor holds a prepared child without orders */
    bool dead;        /* free it when the ticket comes back */
};

struct Jail {
    char name[64];
    uint32_t door_id; /* of the door that serves it now; 0: none */
    Link *door;
    unsigned pending_max;
    unsigned n_pending, n_running, n_requests;
    bool paused;
    Request *requests;
    Jail *next;
    Warden *warden;
};

#define BUCKETS 4096u
#define RELOADS_MAX 16u

struct Warden {
    const ProcessContext *context;
    struct event_base *loop;
    Link *control, *executor, *api;
    PolicyRef *policy;
    char *policy_path, *policy_error;
    uint64_t policy_loaded_us;
    uint64_t reloads[RELOADS_MAX]; /* api calls that wait for a reload's outcome */
    size_t n_reloads;
    Journal *journal;
    struct event *journal_event, *head_timer, *stop_timer;
    uint64_t stop_began_ms;
    bool head_timer_on, segment_wanted;
    uint64_t head_sent;
    Approvals *approvals;
    Jail *jails;
    Request *buckets[BUCKETS];
    size_t n_requests;
    bool ready;
    uint64_t started_ms;
    uint64_t n_total, n_allowed, n_denied;
    int exit_status;
};

/* warden.c */
void warden_fail(Warden *warden, const char *what, int error);
/* A record is on its way: the head will be saved soon. */
void warden_expect_head(Warden *warden);
/* Queues a record; when it cannot be queued the loss is logged (nobody waits for these). */
void warden_record(Warden *warden, const JournalRecord *record);

/* table.c */
Request *requests_find(Warden *warden, uint64_t key);
void requests_add(Warden *warden, Request *request);
void requests_remove(Warden *warden, Request *request);
Jail *jail_of_door(Warden *warden, uint32_t door_id);
Jail *jail_by_name(Warden *warden, const char *name);

/* request.c: events of the one state machine. */
void request_on_words(Jail *jail, LinkFrame *frame);
void request_on_signal(Jail *jail, const LinkFrame *frame);
void request_on_gone(Jail *jail, uint64_t key, bool by_user);
void request_on_executor(Warden *warden, LinkFrame *frame);
/* Approved or denied by a human. Takes the strings. */
void request_on_decision(Request *request, bool approve, char *approver, char *via, char *reason);
/* The kill switch: ends it at once. */
void request_kill(Request *request, const char *approver, const char *via);
/* The warden stops: it is ended, and its end recorded. */
void request_on_stop(Request *request);
/* Its door has died. */
void request_on_door_lost(Request *request);
/* Frees without telling anyone: the warden itself ends. */
void request_free(Request *request);

/* words.c: what agents and humans read. The caller frees. */
char *words_refusal(const Request *request, const char *what, const char *rule, const char *reason);
char *words_waiting(const Request *request);
/* argv as humans may see it: secrets redacted, display form, folded. */
void words_display(const Request *request, Buffer *out, size_t most);
/* argv for records: redacted, bytes kept. `ret_vector` and its strings are owned by `store`. */
typedef struct RedactedArgv {
    const char **argv;
    size_t argc;
    char **owned;
} RedactedArgv;
void words_argv(const Request *request, RedactedArgv *ret);
void redacted_argv_done(RedactedArgv *argv);
/* Why an approval binds less than everything; NULL-terminated, static strings. */
size_t words_notes(const Request *request, const char *notes[static 4]);

/* record.c: the journal's view of a request. `argv` is released by the caller. */
JournalRecord request_record(const Request *request, JournalEvent event, RedactedArgv *argv);

/* answers.c: the api's calls. */
void answers_on_api(Warden *warden, LinkFrame *frame);
void answers_reload_done(Warden *warden, bool ok, const char *problems);
