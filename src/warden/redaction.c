/*
 * One redaction per request: argv with its secrets replaced, made as far as somebody needs it: most
 * requests are cut short where they are shown. What was handed out stays until the request ends.
 * The work that a prisoner can cause by it is bounded (policy_redact_argv()).
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "warden/state.h"

static const Policy *policy_of(const Request *request)
{
    const PolicyRef *reference = request->policy ? request->policy : request->warden->policy;
    return reference ? reference->policy : NULL;
}

void redacted_argv_done(RedactedArgv *argv)
{
    for (size_t i = 0; i < argv->n_made; i++)
        free((void *)argv->made[i]);
    *argv = (RedactedArgv){.count = 0};
}

/* Redacts the first `wanted` arguments, and some more so that it seldom happens again. */
static void make(Request *request, const Policy *policy, size_t wanted)
{
    static const size_t steps[REDACTED_STEPS] = {32, 512, SIZE_MAX};
    RedactedArgv *redacted = &request->redacted;
    size_t step = redacted->n_made;

    while (step + 1 < REDACTED_STEPS && steps[step] < wanted)
        step++;
    size_t count = steps[step] < request->words.argc ? steps[step] : request->words.argc;
    if (redacted->n_made < REDACTED_STEPS &&
        policy_redact_argv(policy, request->words.argv, count, &redacted->made[redacted->n_made]) ==
            0) {
        redacted->n_made++;
        redacted->count = count;
    }
}

const char *const *redacted_first(Request *request, size_t wanted, size_t *ret_count)
{
    RedactedArgv *redacted = &request->redacted;
    const Policy *policy = policy_of(request);

    *ret_count = wanted < request->words.argc ? wanted : request->words.argc;
    if (!policy || !policy_redacts(policy))
        return request->words.argv;
    if (redacted->count < *ret_count)
        make(request, policy, *ret_count);
    if (redacted->count < *ret_count) /* no memory: rather nothing than a secret */
        *ret_count = redacted->count;
    return redacted->n_made > 0 ? redacted->made[redacted->n_made - 1] : NULL;
}

const char *const *redacted_argv(Request *request, size_t most, size_t *ret_count)
{
    size_t used = 0, count = 0, made = 0;

    for (; count < request->words.argc; count++) {
        const char *const *argv = redacted_first(request, count + 1, &made);
        if (made <= count)
            break;
        used += strlen(argv[count]) + 3; /* as much as quotes and a comma */
        if (used > most)
            break;
    }
    return redacted_first(request, count, ret_count);
}
