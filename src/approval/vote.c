/*
 * Who may decide a question, and what several approvers said together (question.h).
 */
#include "approval/question.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

unsigned question_needed(const Question *question)
{
    return question->ask && question->ask->approvals > 1 ? question->ask->approvals : 1;
}

/* Without the " (uid N)" of an operator at the unix socket. */
static size_t person_size(const char *name)
{
    const char *end = strstr(name, " (uid ");
    return end ? (size_t)(end - name) : strlen(name);
}

bool question_same_person(const char *a, const char *b)
{
    size_t size = person_size(a);
    return size == person_size(b) && memcmp(a, b, size) == 0;
}

static bool has_voted(const Question *question, const char *name)
{
    for (size_t i = 0; i < question->n_votes; i++)
        if (question_same_person(question->votes[i].name, name))
            return true;
    return false;
}

const char *question_objection(const Question *question, const Actor *actor, bool *ret_voted)
{
    const char *refused =
        policy_ask_refuses(question->ask, actor->name, actor_role_name(actor->role), actor->via);
    bool voted = !refused && has_voted(question, actor->name);

    if (ret_voted)
        *ret_voted = voted;
    return voted ? "you have approved it; another person must, too" : refused;
}

int question_vote(Question *question, const Actor *actor, Remember remember, uint64_t remember_ms,
                  bool widened)
{
    Vote *votes = realloc(question->votes, (question->n_votes + 1) * sizeof *votes);
    if (!votes)
        return -ENOMEM;
    question->votes = votes;
    Vote vote = {.name = strdup(actor->name),
                 .via = strdup(actor->via),
                 .remember = remember,
                 .remember_ms = remember_ms,
                 .widened = widened};
    if (!vote.name || !vote.via) {
        free(vote.name);
        free(vote.via);
        return -ENOMEM;
    }
    question->votes[question->n_votes++] = vote;
    return 0;
}

void question_unvote(Question *question)
{
    Vote *vote = &question->votes[--question->n_votes];
    free(vote->name);
    free(vote->via);
}

char *question_approvers(const Question *question)
{
    Buffer names = BUFFER_EMPTY(64u << 10);

    for (size_t i = 0; i < question->n_votes; i++)
        buffer_printf(&names, "%s%s", i > 0 ? ", " : "", question->votes[i].name);
    return buffer_take_string(&names);
}

Remember question_remembered(const Question *question, uint64_t *ret_ms, bool *ret_widened)
{
    Remember all = question->n_votes > 0 ? question->votes[0].remember : REMEMBER_NOT;

    *ret_ms = UINT64_MAX;
    *ret_widened = all != REMEMBER_NOT;
    for (size_t i = 0; i < question->n_votes; i++) {
        const Vote *vote = &question->votes[i];
        if (vote->remember != all)
            all = REMEMBER_NOT;
        if (vote->remember == REMEMBER_FOR && vote->remember_ms < *ret_ms)
            *ret_ms = vote->remember_ms;
        *ret_widened &= vote->widened;
    }
    return all;
}
