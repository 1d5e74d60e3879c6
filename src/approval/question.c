/*
 * See question.h. The alphabet is Douglas Crockford's base32: no I, L, O, U, so that an id can be
 * read aloud and typed. Six characters are 30 bits: ids are names, not secrets.
 *
 * Ten thousand may be pending, so equal ones are found by a hash table over the binding, which is a
 * digest and spreads by itself. Ids are looked for by people, one by one.
 */
#include "approval/question.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define ID_LENGTH (QUESTION_ID_SIZE - 1)
#define ABBREVIATION_MIN 4u
#define BUCKETS 4096u

typedef struct Finished {
    char id[QUESTION_ID_SIZE];
    char jail[JAIL_NAME_SIZE];
    uint64_t number;
    QuestionState state;
} Finished;

struct Questions {
    Question *first, *last;
    size_t n_pending;
    uint64_t last_number;
    Question *buckets[BUCKETS]; /* by binding */
    Finished finished[QUESTIONS_REMEMBERED];
    size_t n_finished; /* ever; the ring's next place is this modulo its size */
};

void subject_done(Subject *subject)
{
    free(subject->request);
    free(subject->command);
    free(subject->container);
    free(subject->cwd);
    free(subject->exe);
    free(subject->script);
    free(subject->display);
    free(subject->reason);
    for (size_t i = 0; i < subject->n_argv; i++)
        free(subject->argv[i]);
    free(subject->argv);
    free(subject->covers_exact);
    free(subject->covers_widened);
    free(subject->covers_not);
    *subject = (Subject){.request = NULL};
}

static void question_free(Question *question)
{
    subject_done(&question->subject);
    for (size_t i = 0; i < question->n_votes; i++) {
        free(question->votes[i].name);
        free(question->votes[i].via);
    }
    free(question->votes);
    free(question->approver);
    free(question->via);
    free(question->answer);
    free(question);
}

int questions_new(Questions **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : -ENOMEM;
}

Questions *questions_free(Questions *questions)
{
    while (questions && questions->first) {
        Question *next = questions->first->next;
        question_free(questions->first);
        questions->first = next;
    }
    free(questions);
    return NULL;
}

void approval_random_text(char *text, size_t size)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char bytes[64];

    randombytes_buf(bytes, sizeof bytes);
    for (size_t i = 0; i + 1 < size; i++)
        text[i] = alphabet[bytes[i % sizeof bytes] & 31];
    text[size - 1] = '\0';
}

static const Finished *find_finished(const Questions *questions, const char *id, size_t length,
                                     const Actor *actor)
{
    size_t remembered =
        questions->n_finished < QUESTIONS_REMEMBERED ? questions->n_finished : QUESTIONS_REMEMBERED;
    for (size_t i = 1; i <= remembered; i++) { /* newest first */
        const Finished *finished =
            &questions->finished[(questions->n_finished - i) % QUESTIONS_REMEMBERED];
        if (strncmp(finished->id, id, length) == 0 && (!actor || actor_sees(actor, finished->jail)))
            return finished;
    }
    return NULL;
}

static bool is_taken(const Questions *questions, const char *id)
{
    for (const Question *question = questions->first; question; question = question->next)
        if (memcmp(question->id, id, ID_LENGTH) == 0)
            return true;
    return find_finished(questions, id, ID_LENGTH, NULL) != NULL;
}

/* By binding. */

static size_t bucket_of(const Digest *binding)
{
    return (size_t)(binding->bytes[0] | binding->bytes[1] << 8) % BUCKETS;
}

static void add_binding(Questions *questions, Question *question)
{
    if (digest_is_zero(&question->coverage.exact))
        return;
    Question **bucket = &questions->buckets[bucket_of(&question->coverage.exact)];
    question->next_of_binding = *bucket;
    *bucket = question;
}

static void remove_binding(Questions *questions, Question *question)
{
    Question **link = &questions->buckets[bucket_of(&question->coverage.exact)];

    while (*link && *link != question)
        link = &(*link)->next_of_binding;
    if (*link)
        *link = question->next_of_binding;
}

Question *questions_equal(const Questions *questions, const Coverage *coverage)
{
    if (digest_is_zero(&coverage->exact))
        return NULL;
    Question *question = questions->buckets[bucket_of(&coverage->exact)];
    while (question && !digest_equal(&question->coverage.exact, &coverage->exact))
        question = question->next_of_binding;
    return question;
}

/* Coming and going. */

int questions_add(Questions *questions, const char *jail, const Coverage *coverage, Question **ret)
{
    size_t size = strlen(jail);
    Question *question = calloc(1, sizeof *question);

    if (!question)
        return -ENOMEM;
    do
        approval_random_text(question->id, sizeof question->id);
    while (is_taken(questions, question->id));
    question->number = ++questions->last_number;
    memcpy(question->jail_name, jail, size < JAIL_NAME_SIZE ? size : JAIL_NAME_SIZE - 1);
    question->coverage = *coverage;
    question->previous = questions->last;
    if (questions->last)
        questions->last->next = question;
    else
        questions->first = question;
    questions->last = question;
    questions->n_pending++;
    add_binding(questions, question);
    *ret = question;
    return 0;
}

void questions_keep(Questions *questions, Question *question, QuestionState state)
{
    char **const shown[] = {&question->subject.display, &question->subject.covers_exact,
                            &question->subject.covers_widened, &question->subject.covers_not};

    questions->n_pending -= question->state == QUESTION_PENDING;
    question->state = state;
    for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
        free(*shown[i]);
        *shown[i] = NULL;
    }
}

void questions_end(Questions *questions, Question *question, QuestionState state)
{
    Finished *finished = &questions->finished[questions->n_finished++ % QUESTIONS_REMEMBERED];

    questions->n_pending -= question->state == QUESTION_PENDING;
    *finished = (Finished){.number = question->number, .state = state};
    memcpy(finished->id, question->id, sizeof finished->id);
    memcpy(finished->jail, question->jail_name, sizeof finished->jail);
    if (question->previous)
        question->previous->next = question->next;
    else
        questions->first = question->next;
    if (question->next)
        question->next->previous = question->previous;
    else
        questions->last = question->previous;
    remove_binding(questions, question);
    question_free(question);
}

/* Looking. */

/* The id as ids are spelled; its length, or 0 when it is no id. */
static size_t canonical(const char *id, char text[static QUESTION_ID_SIZE])
{
    size_t length = strlen(id);
    if (length < ABBREVIATION_MIN || length > ID_LENGTH)
        return 0;
    for (size_t i = 0; i < length; i++) {
        char c = (char)toupper((unsigned char)id[i]);
        text[i] = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
    }
    text[length] = '\0';
    return length;
}

int questions_find(const Questions *questions, const char *id, const Actor *actor, Question **ret,
                   QuestionState *ret_before)
{
    char text[QUESTION_ID_SIZE];
    size_t length = canonical(id, text);
    Question *found = NULL, *kept = NULL;

    if (length == 0)
        return QUESTION_UNKNOWN;
    for (Question *question = questions->first; question; question = question->next) {
        if (strncmp(question->id, text, length) != 0 || !actor_sees(actor, question->jail_name))
            continue;
        if (question->state != QUESTION_PENDING) {
            kept = question;
            continue;
        }
        if (found)
            return QUESTION_AMBIGUOUS;
        found = question;
    }
    *ret = found;
    if (found)
        return 0;
    const Finished *finished = kept ? NULL : find_finished(questions, text, length, actor);
    if (!kept && !finished)
        return QUESTION_UNKNOWN;
    *ret_before = kept ? kept->state : finished->state;
    return QUESTION_OVER;
}

uint64_t questions_number(const Questions *questions, const char *id)
{
    char text[QUESTION_ID_SIZE];

    if (canonical(id, text) != ID_LENGTH)
        return 0;
    for (const Question *question = questions->first; question; question = question->next)
        if (strcmp(question->id, text) == 0)
            return question->number;
    const Finished *finished = find_finished(questions, text, ID_LENGTH, NULL);
    return finished ? finished->number : 0;
}

Question *questions_first(const Questions *questions)
{
    return questions->first;
}

size_t questions_pending(const Questions *questions)
{
    return questions->n_pending;
}

const char *question_state_name(QuestionState state)
{
    static const char *const names[] = {"pending", "approved", "denied", "expired", "cancelled"};
    return names[state];
}
