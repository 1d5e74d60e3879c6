/*
 * Questions: what humans are asked, and what they answered.
 *
 * A question is one line in the queue. It is bound to what would run (Coverage); requests that are
 * equal in all of it wait for the same answer. It ends exactly once: a second or late decision
 * finds it among those that ended and is told so. An answer that comes while nobody waits is kept,
 * for one equal request, until its time is over.
 *
 * A pure data structure: no clock, no I/O. The warden feeds it monotonic milliseconds, owns the
 * waiters and the timer, and moves a question from state to state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "approval/coverage.h"
#include "policy/policy.h"
#include "wire/message.h"

#define QUESTION_ID_SIZE 7 /* six characters of Crockford's base32, and a NUL */
#define QUESTIONS_REMEMBERED 1024u
#define JAIL_NAME_SIZE 64

typedef enum QuestionState {
    QUESTION_PENDING,
    QUESTION_APPROVED, /* of one that has not ended: kept for a late caller */
    QUESTION_DENIED,   /* the same */
    QUESTION_EXPIRED,
    QUESTION_CANCELLED,
} QuestionState;

/* What an approver said who was not the last one needed. */
typedef struct Vote {
    char *name, *via; /* owned */
    Remember remember;
    uint64_t remember_ms;
    bool widened;
} Vote;

/* What the queue shows: enough without the request itself, which may be gone. All owned; bounded by
 * whoever fills it. NULL where there is nothing to show. */
typedef struct Subject {
    char *request; /* the first one's id */
    char *command, *container, *cwd, *exe, *script, *display;
    char *reason; /* why the policy asks */
    char **argv;  /* redacted; the first ones */
    size_t n_argv, n_argv_more;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    Digest exe_digest, script_digest, command_digest;
    const char *notes[4]; /* static */
    size_t n_notes;
    char *covers_exact, *covers_widened, *covers_not; /* what a grant would cover, in words */
} Subject;

struct Request;
struct PolicyRef;
struct Jail;
struct event;

typedef struct Question {
    char id[QUESTION_ID_SIZE];
    uint64_t number; /* in the order of asking */
    QuestionState state;
    char jail_name[JAIL_NAME_SIZE];
    Coverage coverage; /* `exact` zero: for the one request only */
    Subject subject;
    const char *rule; /* of the policy, which `policy` keeps, as `ask` */
    const PolicyAsk *ask;
    Vote *votes; /* in the order they came */
    size_t n_votes;
    char *approver, *via, *answer; /* of a kept answer; `answer` is the human's reason or NULL */
    uint64_t asked_us;             /* realtime, for display */
    uint64_t expires_at_ms;        /* monotonic, for display: when it ends if nothing happens */
    uint64_t grace_until_ms;       /* it lives without waiters until then; 0: not at all */

    /* The warden's. */
    struct Jail *jail;
    struct PolicyRef *policy;
    struct Request *waiters;
    size_t n_waiters;
    struct event *timer;

    struct Question *next, *previous;
    struct Question *next_of_binding;
} Question;

void subject_done(Subject *subject);

typedef struct Questions Questions;

int questions_new(Questions **ret);
/* Frees what is left; their timers, policies and waiters must be gone. Accepts NULL, returns NULL.
 */
Questions *questions_free(Questions *questions);

/* Adds a pending question about the jail with a fresh id, unlike any pending or remembered one. 0
 * or -ENOMEM. */
int questions_add(Questions *questions, const char *jail, const Coverage *coverage, Question **ret);
/* The one with an equal binding that is pending or keeps an answer, or NULL. */
Question *questions_equal(const Questions *questions, const Coverage *coverage);
/* From pending to a kept answer: what only the queue shows is released. */
void questions_keep(Questions *questions, Question *question, QuestionState state);
/* It is over, and remembered as such. The pointer is void then. */
void questions_end(Questions *questions, Question *question, QuestionState state);

/* Outcomes of questions_find beside 0. */
enum {
    QUESTION_UNKNOWN = 1, /* no such id, or none that the actor may see */
    QUESTION_OVER,        /* decided, expired or cancelled */
    QUESTION_AMBIGUOUS,   /* an abbreviated id that fits several */
};

/* Finds a pending question that the actor may see by its id (upper or lower case; O reads as 0, I
 * and L as 1), which may be abbreviated to 4 characters. For QUESTION_OVER `ret_before` is what
 * became of it. */
int questions_find(const Questions *questions, const char *id, const Actor *actor, Question **ret,
                   QuestionState *ret_before);
/* The place of an id in the order of asking, also of one that has ended. 0: not known. */
uint64_t questions_number(const Questions *questions, const char *id);

/* All that have not ended, oldest first; those with kept answers among them. */
Question *questions_first(const Questions *questions);
size_t questions_pending(const Questions *questions);

const char *question_state_name(QuestionState state);

/* How many distinct people must approve. */
unsigned question_needed(const Question *question);
/* Whether the two names are one person's as far as can be told: an operator at the unix socket
 * ("alice (uid 1000)") is the user "alice". */
bool question_same_person(const char *a, const char *b);
/* Why the actor may not decide it (static words), or NULL. `ret_voted` (may be NULL): it is because
 * he has approved it already. */
const char *question_objection(const Question *question, const Actor *actor, bool *ret_voted);
/* Counts an approval. 0 or -ENOMEM. */
int question_vote(Question *question, const Actor *actor, Remember remember, uint64_t remember_ms,
                  bool widened);
void question_unvote(Question *question); /* takes the last one back */
/* The approvers' names, with ", " between them. The caller frees; NULL: no memory. */
char *question_approvers(const Question *question);
/* What all approvers wanted to be remembered: the least of it. REMEMBER_NOT when they differ. */
Remember question_remembered(const Question *question, uint64_t *ret_ms, bool *ret_widened);

/* `size` - 1 random characters of Crockford's base32 (5 bits each) and a NUL. */
void approval_random_text(char *text, size_t size);
