/*
 * One redaction per request: argv with its secrets replaced, made once, as far as somebody needs
 * it. The work that a prisoner can cause by it is bounded: what lies beyond is hidden altogether,
 * rather nothing than a secret.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "warden/state.h"

#define EXAMINED_MAX 4096u                 /* arguments */
#define EXAMINED_BYTES_MAX (1024u * 1024u) /* of all of them */

static const char hidden[] = "[redacted]";

static const Policy *policy_of(const Request *request)
{
    const PolicyRef *reference = request->policy ? request->policy : request->warden->policy;
    return reference ? reference->policy : NULL;
}

static char *redact(const Policy *policy, const char *text)
{
    Buffer buffer = BUFFER_EMPTY(2 * (size_t)SHIM_REQUEST_MAX);
    policy_redact(policy, text, strlen(text), &buffer);
    return buffer_take_string(&buffer);
}

/* True when a pattern matches across the boundary of two arguments ("--token SECRET"). */
static bool crosses(const Policy *policy, const char *first, const char *second,
                    const char *first_redacted, const char *second_redacted)
{
    Buffer joined = BUFFER_EMPTY(SHIM_REQUEST_MAX), once = BUFFER_EMPTY(2 * SHIM_REQUEST_MAX),
           apart = BUFFER_EMPTY(2 * SHIM_REQUEST_MAX);

    buffer_printf(&joined, "%s %s", first, second);
    buffer_printf(&apart, "%s %s", first_redacted, second_redacted);
    policy_redact(policy, joined.bytes ? joined.bytes : "", buffer_size(&joined), &once);
    bool differ = joined.error < 0 || once.error < 0 || apart.error < 0 ||
                  once.size != apart.size || memcmp(once.bytes, apart.bytes, once.size) != 0;
    buffer_done(&joined);
    buffer_done(&once);
    buffer_done(&apart);
    return differ;
}

void redacted_argv_done(RedactedArgv *argv)
{
    for (size_t i = 0; i < argv->n_owned; i++)
        free((char *)argv->argv[i]);
    free(argv->argv);
    *argv = (RedactedArgv){.argv = NULL};
}

/* The next argument's redaction, owned; NULL: it must be hidden. */
static char *make_next(Request *request, const Policy *policy)
{
    RedactedArgv *made = &request->redacted;
    const char *const *argv = request->words.argv;
    size_t at = made->count, size = strlen(argv[at]);

    if (made->n_owned < at || at >= EXAMINED_MAX || size > EXAMINED_BYTES_MAX - made->n_bytes)
        return NULL;
    made->n_bytes += size;
    char *next = redact(policy, argv[at]);
    if (next && at > 0 && crosses(policy, argv[at - 1], argv[at], made->argv[at - 1], next)) {
        free(next);
        next = strdup(hidden);
    }
    return next;
}

static bool have_room(RedactedArgv *made)
{
    if (made->count < made->capacity)
        return true;
    size_t capacity = made->capacity > 0 ? 2 * made->capacity : 16;
    const char **argv = realloc(made->argv, capacity * sizeof *argv);
    if (!argv)
        return false;
    made->argv = argv;
    made->capacity = capacity;
    return true;
}

const char *const *redacted_first(Request *request, size_t wanted, size_t *ret_count)
{
    RedactedArgv *made = &request->redacted;
    const Policy *policy = policy_of(request);

    *ret_count = wanted < request->words.argc ? wanted : request->words.argc;
    if (!policy || !policy_redacts(policy))
        return request->words.argv;
    while (made->count < *ret_count && have_room(made)) {
        char *next = make_next(request, policy);
        made->n_owned += next != NULL;
        made->argv[made->count++] = next ? next : hidden;
    }
    if (made->count < *ret_count)
        *ret_count = made->count;
    return made->argv;
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
