/*
 * The warden's state (private to warden/): jails, requests, and what they hold.
 *
 * One road for every command, in request.c:
 *
 *     RECEIVED ─▶ judged ─▶ RECORDING ─▶ STARTING ─▶ RUNNING ─▶ ENDING ─▶ gone
 *                   │ ask                  ▲
 *                   ▼                      │ prepared again, compared, and the record on disk
 *                HASHING ─▶ PENDING ─▶ REOPENING
 *                   │                      ▲
 *                   └──────────────────────┘ a grant or a kept answer
 *
 * and from every place to a refusal: a line for the agent, an exit code, a record.
 *
 * A request that is PENDING waits at a Question (question.c), which may have several such waiters
 * or none.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "approval/grant.h"
#include "approval/question.h"
#include "approval/rate.h"
#include "base/digest.h"
#include "base/process.h"
#include "jail/settings.h"
#include "journal/journal.h"
#include "policy/policy.h"
#include "warden/switches.h"
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
    char *text; /* as the operator wrote it */
    unsigned references;
} PolicyRef;

PolicyRef *policy_ref(PolicyRef *reference);
PolicyRef *policy_unref(PolicyRef *reference); /* accepts NULL, returns NULL */

typedef enum RequestState {
    REQUEST_RECEIVED,  /* waits for the other of its two halves: words and facts */
    REQUEST_HASHING,   /* a human will be asked: what exactly would run? */
    REQUEST_PENDING,   /* a human is asked: it waits at its question */
    REQUEST_RECORDING, /* admitted; the record is on its way to the journal */
    REQUEST_REOPENING, /* approved; the executor prepares it again while the record is written */
    REQUEST_STARTING,  /* the order to run is given */
    REQUEST_RUNNING,
    REQUEST_ENDING, /* the command has ended, what it left behind is being ended */
} RequestState;

/* argv as humans and records may have it, made as far as it is needed (redaction.c). */
#define REDACTED_STEPS 3u
typedef struct RedactedArgv {
    const char **made[REDACTED_STEPS]; /* owned, longer and longer */
    size_t n_made;
    size_t count; /* arguments of the last one */
} RedactedArgv;

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
    RedactedArgv redacted;
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
    char *rate_reason; /* owned: why its rule's rate changed the verdict */
    const char **env;  /* the environment after scrubbing; points into `message` */
    size_t envc;
    uint8_t *keep; /* the same as bits */
    size_t keep_size;
    Digest command;     /* argv and env */
    Digest environment; /* env alone; of an asked one */
    Digest arguments;   /* argv alone, once a record was cut */
    bool asked;         /* a human was, or will be, asked */
    Hashed hashed;
    Coverage coverage; /* of an asked one, once it is hashed */

    struct GhostRun *ghost;  /* owned; it runs in an ephemeral container (ghost.h); else NULL */
    struct EngineExec *exec; /* owned; the engine has been told to run it (engine-exec.h) */

    /* The answer. */
    Question *question;                     /* while PENDING */
    Request *next_waiter, *previous_waiter; /* of the question */
    uint64_t asked_until_ms;                /* while PENDING: its own patience or timeout */
    bool impatient;                         /* it is its patience that ends first */
    char approval_id[QUESTION_ID_SIZE];
    char grant_id[GRANT_ID_SIZE];
    size_t n_answered; /* how many got this answer together */
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
    bool frozen;      /* by the kill switch, while it runs */
    bool held;        /* REOPENING, and waits until it is resumed */
    bool dying;       /* killed while it ran: counted in its jail's n_dying */
    bool shim_gone;   /* nobody listens */
    bool door_done;   /* the door has been told the end */
    bool recording;   /* a journal ticket is out with this request as its userdata */
    bool looked;      /* REOPENING: prepared again, and waits for its record to be on disk */
    int record_error; /* REOPENING: its record could not be written; else 0 */
    bool child_waits; /* the executor holds a prepared child without orders */
    bool dead;        /* free it when the ticket comes back */
};

struct Jail {
    char name[64];
    uint32_t door_id; /* of the door that serves it now; 0: none */
    Link *door;
    JailSettings settings; /* as the parent has told them */
    bool gone;             /* kept until all that was in it has ended */
    unsigned pending_max;
    unsigned n_pending; /* questions */
    unsigned n_running, n_requests;
    uint64_t n_total, n_allowed, n_denied, n_cancelled, n_refused; /* requests, since the start */
    unsigned n_dying; /* killed by an operator, and not gone yet */
    Rates rates;      /* of the policy in force */
    Request *requests;
    Jail *next;
    Warden *warden;
};

/* An operator's kill, pause or resume that is in effect and not answered yet (control.c). */
typedef struct SwitchCall {
    uint64_t key;
    uint64_t save; /* the number of the save that it waits for */
    bool is_saved;
    int save_error;
    uint64_t give_up_ms;
    SwitchScope scope;
    char name[SWITCH_NAME_SIZE];
    char *jails; /* owned: the actor's */
    SwitchState wanted;
    uint64_t orders;       /* the key of its orders about containers */
    unsigned n_waiting;    /* of them, without an answer */
    unsigned n_containers; /* that did as ordered */
    Buffer json;           /* owned: the answer without its end */
    Buffer failures;       /* owned: of containers, JSON objects with commas between them */
} SwitchCall;

#define SWITCH_CALLS_MAX 16u
/* An operator's wish for a jail that the parent has not answered yet (answers-jails.c). */
typedef struct JailCall {
    uint64_t key; /* of the api's call; answered only while `is_awaited` */
    uint64_t parent_key;
    bool is_awaited;
    uint16_t type; /* API_JAIL_… */
    char jail[POLICY_JAIL_NAME_SIZE];
    char *name, *via; /* who asked; owned */
    char *what;       /* for the record; owned */
} JailCall;

#define JAIL_CALLS_MAX 16u
#define BUCKETS 4096u
#define RELOADS_MAX 16u

/* An api call that waits for a reload's outcome. */
typedef struct Reload {
    uint64_t key;
    char *name, *via; /* who asked; owned */
} Reload;

struct Warden {
    const ProcessContext *context;
    struct event_base *loop;
    Link *control, *executor, *api;
    Link *engine; /* NULL: nothing can run by the engine */
    PolicyRef *policy;
    char *policy_path, *policy_error;
    uint64_t policy_loaded_us;
    Reload reloads[RELOADS_MAX];
    size_t n_reloads;
    Journal *journal;
    struct event *journal_event, *head_timer, *stop_timer;
    uint64_t stop_began_ms;
    bool head_timer_on, segment_wanted;
    uint64_t head_sent;
    Questions *questions;
    Grants grants;
    struct event *grant_timer; /* the next grant's expiry */
    Switches switches;
    bool are_switches_known;
    struct event *switch_timer; /* the next entry's end */
    uint64_t n_saves, n_saved;  /* of the table: asked for, answered */
    SwitchCall switch_calls[SWITCH_CALLS_MAX];
    size_t n_switch_calls;
    uint64_t last_orders; /* the newest key of orders about containers */
    struct event *call_timer;
    JailCall jail_calls[JAIL_CALLS_MAX];
    size_t n_jail_calls;
    struct KnownContainer *containers; /* with labels (containers.c) */
    uint8_t engine_state;              /* EngineState */
    char *engine_words;                /* owned */
    uint64_t last_jail_call;           /* the parent's key of the newest */
    Jail *jails;
    Request *buckets[BUCKETS];
    size_t n_requests;
    bool ready, stopping;
    uint64_t started_ms;
    int exit_status;
};

/* warden.c */
void warden_fail(Warden *warden, const char *what, int error);
/* A record is on its way: the head will be saved soon. */
void warden_expect_head(Warden *warden);
/* Queues a record; when it cannot be queued the loss is logged (nobody waits for these). */
void warden_record(Warden *warden, const JournalRecord *record);

void warden_send_head(Warden *warden);

/* stop.c */
void warden_stop(Warden *warden);

/* policy-ref.c: policy_ref(), policy_unref() */

/* jails.c */
/* The jail of this name, made when there is none; NULL: out of memory. */
Jail *jail_get(Warden *warden, const char *name);
void jail_free(Jail *jail);
/* It is gone, and so is all that was in it: nobody can stop it or see it any more. */
bool jail_is_over(const Jail *jail);
int jails_take(Warden *warden, const LinkFrame *frame);      /* MESSAGE_JAIL */
int jails_take_gone(Warden *warden, const LinkFrame *frame); /* MESSAGE_JAIL_GONE */
/* Its settings: what the policy says about it, else what made it; NULL: nobody said anything. */
const PolicyJail *jail_settings_under(const Jail *jail, const Policy *policy);

/* table.c */
Request *requests_find(Warden *warden, uint64_t key);
void requests_add(Warden *warden, Request *request);
void requests_remove(Warden *warden, Request *request);
Jail *jail_of_door(Warden *warden, uint32_t door_id);
Jail *jail_by_name(Warden *warden, const char *name);

/* request.c: events of the one state machine. */
void request_on_words(Jail *jail, LinkFrame *frame);
void request_on_signal(Jail *jail, const LinkFrame *frame);
void request_on_cancel(Jail *jail, const LinkFrame *frame);
void request_on_gone(Jail *jail, uint64_t key);
void request_on_executor(Warden *warden, LinkFrame *frame);
/* Approved or denied by a human. `waiters`: how many got the answer together. */
void request_on_decision(Request *request, bool approve, const char *approver, const char *via,
                         const char *reason, size_t waiters);
/* The kill switch: ends it at once (`reason` may be NULL). True when it ran. */
bool request_kill(Request *request, const Actor *actor, const char *reason);
/* The warden stops: it is ended, and its end recorded. */
void request_on_stop(Request *request);
/* Its jail is no more. */
void request_on_jail_gone(Request *request, const char *why);
/* Its door has died. */
void request_on_door_lost(Request *request);
/* Frees without telling anyone: the warden itself ends. */
void request_free(Request *request);

/* words.c: what agents and humans read. The caller frees. */
char *words_refusal(Request *request, const char *what, const char *rule, const char *reason);
char *words_waiting(const Request *request);
/* The caller waits no longer; the question stays open. */
char *words_unanswered(const Request *request, uint64_t patience_ms, uint64_t kept_ms);
/* argv as humans may see it: secrets redacted, display form, folded. */
void words_display(Request *request, Buffer *out, size_t most);
/* Why an approval binds less than everything: static strings. */
size_t words_notes(const Request *request, const char *notes[static 4]);

/* redaction.c: one redaction per request. */
/* The first `wanted` arguments (SIZE_MAX: all), redacted but with their bytes kept. They live as
 * long as the request's words. What lies beyond the work that one request may cause is "[redacted]"
 * whether it needs it or not. */
const char *const *redacted_first(Request *request, size_t wanted, size_t *ret_count);
/* As many as fit `most` bytes. */
const char *const *redacted_argv(Request *request, size_t most, size_t *ret_count);
void redacted_argv_done(RedactedArgv *argv);

/* record.c: the journal's view of a request, and of a question that nobody waits at. Valid until
 * the request changes. Only the record of an admission has the whole argv. */
#define RECORD_ARGV_MAX (8u * 1024)
JournalRecord request_record(Request *request, JournalEvent event);
JournalRecord question_record(const Question *question, JournalEvent event);

/* question.c: questions and those who wait at them. */
/* What would run is known: it is answered from a grant or a kept answer, joins an equal question,
 * or becomes one. */
void question_ask(Request *request, const Examined *examined);
/* The waiter's time is over. */
void question_on_waiter_deadline(Request *waiter);
/* A waiter leaves: lost, or interrupted by its user. It is ended with that reason. */
void question_lose_waiter(Request *waiter, const char *reason, bool by_user);
/* Takes it off its question for another end; the question may be void then. */
void question_remove_waiter(Request *waiter);
typedef struct Answered {
    bool counted; /* more approvals are needed */
    size_t n_requests;
    const Grant *grant; /* made by it, or NULL */
} Answered;
/* An approval that the actor may give, or a denial. The question is void afterwards unless the
 * approval was only counted. 0; -ENOMEM, -ENOSPC: nothing was decided. */
int question_approve(Warden *warden, Question *question, const Actor *actor, Remember remember,
                     uint64_t remember_ms, bool widened, const char *reason, Answered *ret);
void question_deny(Warden *warden, Question *question, const Actor *actor, const char *reason,
                   Answered *ret);
/* All of a jail's (NULL: of every jail), of one container of it if `container` is not NULL, with
 * kept answers, after its waiters were ended. Returns how many were pending. */
unsigned questions_cancel(Warden *warden, const Jail *jail, const char *container,
                          const char *reason);
/* Another policy is in force: what could not be picked up any more is over. */
void questions_on_policy(Warden *warden);
/* The warden ends: no events, nothing is recorded. */
void questions_forget(Warden *warden);

/* grants.c */
/* A grant covers the request: it is admitted. */
void grant_admit(Request *request, Grant *grant);
int grant_create(Warden *warden, const Question *question, bool widened, bool session,
                 uint64_t for_ms, const char *approver, const char *via, Grant **ret);
void grant_end(Warden *warden, Grant *grant, const char *why, const Actor *actor);
void grants_on_policy(Warden *warden);
/* `container`: NULL: all of the jail. */
void grants_on_kill(Warden *warden, const Jail *jail, const char *container, const Actor *actor);

/* subscription.c: the api sees what is recorded. */
void subscription_set(Warden *warden, bool wanted);

/* answers.c: the api's calls. */
void answers_on_api(Warden *warden, LinkFrame *frame);
void answers_reload_done(Warden *warden, bool ok, const char *problems);
int answers_on_jail(Warden *warden, const LinkFrame *frame); /* MESSAGE_JAIL_ANSWER */
void answers_jails_forget(Warden *warden);                   /* nobody waits for them any more */
void answers_jails_done(Warden *warden);
void answers_reloads_forget(Warden *warden); /* nobody waits for them any more */
