/*
 * What agents and humans read of a request: refusals a language model can act on, waiting lines,
 * and commands with their argument boundaries visible and their secrets redacted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "warden/state.h"

#define REFUSAL_ARGV_MAX 300u
#define REFUSAL_REASON_MAX 600u
/* Arguments that are looked at one by one: more are a way to keep the warden busy, and are hidden.
 */
#define REDACTED_MAX 4096u
#define WORDS_MAX (32u * 1024)

static const Policy *policy_of(const Request *request)
{
    const PolicyRef *reference = request->policy ? request->policy : request->warden->policy;
    return reference ? reference->policy : NULL;
}

static char *redacted(const Policy *policy, const char *text)
{
    Buffer buffer = BUFFER_EMPTY(2 * (size_t)SHIM_REQUEST_MAX);
    policy_redact(policy, text, strlen(text), &buffer);
    char *result = buffer_take_string(&buffer);
    return result ? result : strdup("[redacted]");
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
    for (size_t i = 0; argv->owned && i < argv->argc; i++)
        free(argv->owned[i]);
    free(argv->owned);
    *argv = (RedactedArgv){.argv = NULL};
}

void words_argv(const Request *request, RedactedArgv *ret)
{
    const ShimRequest *words = &request->words;
    const Policy *policy = policy_of(request);

    *ret = (RedactedArgv){.argv = words->argv, .argc = words->argc};
    if (words->argc == 0 || !policy || !policy_redacts(policy))
        return;
    ret->owned = calloc(words->argc, sizeof *ret->owned);
    if (!ret->owned) { /* rather nothing than a secret */
        ret->argc = 0;
        return;
    }
    size_t examined = words->argc < REDACTED_MAX ? words->argc : REDACTED_MAX;
    for (size_t i = 0; i < words->argc; i++)
        ret->owned[i] = i < examined ? redacted(policy, words->argv[i]) : strdup("[redacted]");
    for (size_t i = 0; i + 1 < examined; i++) {
        const char *first = ret->owned[i] ? ret->owned[i] : "",
                   *second = ret->owned[i + 1] ? ret->owned[i + 1] : "";
        if (!crosses(policy, words->argv[i], words->argv[i + 1], first, second))
            continue;
        free(ret->owned[i + 1]);
        ret->owned[i + 1] = strdup("[redacted]");
    }
    for (size_t i = 0; i < words->argc; i++)
        if (!ret->owned[i]) {
            redacted_argv_done(ret);
            return;
        }
    ret->argv = (const char **)ret->owned;
}

void words_display(const Request *request, Buffer *out, size_t most)
{
    RedactedArgv argv;
    size_t begun = buffer_size(out);

    words_argv(request, &argv);
    /* argv[0] is whatever the caller made it; the command is what the shim stood in for. */
    text_display_argument(out, request->name ? request->name : "?", most);
    size_t used = buffer_size(out) - begun;
    if (argv.argc > 1) {
        buffer_put_u8(out, ' ');
        text_display_argv(out, argv.argv + 1, argv.argc - 1, used < most ? most - used : most);
    }
    redacted_argv_done(&argv);
}

/* denied: git push --force (rule "no-force-push": history rewrites need a human; try …) */
char *words_refusal(const Request *request, const char *what, const char *rule, const char *reason)
{
    Buffer text = BUFFER_EMPTY(WORDS_MAX);

    buffer_printf(&text, "%s: ", what);
    if (request->words.argc > 0)
        words_display(request, &text, REFUSAL_ARGV_MAX);
    if (rule || reason) {
        buffer_puts(&text, " (");
        if (rule)
            buffer_printf(&text, "rule \"%s\"%s", rule, reason ? ": " : "");
        if (reason)
            text_display(&text, reason, strlen(reason), REFUSAL_REASON_MAX);
        buffer_put_u8(&text, ')');
    }
    char *line = buffer_take_string(&text);
    return line ? line : strdup(what);
}

char *words_waiting(const Request *request)
{
    char left[CLOCK_TEXT_MAX];
    Buffer text = BUFFER_EMPTY(WORDS_MAX);
    uint64_t now = clock_monotonic_ms(), end = request->approval->expires_at_ms;
    /* Rounded to seconds: "9m59.997s" helps nobody. */
    uint64_t seconds = end > now ? (end - now + 500) / 1000 : 0;

    buffer_printf(&text, "waiting for approval %s (expires in %s)", request->approval->id,
                  clock_format_duration(seconds * 1000, left));
    return buffer_take_string(&text);
}

/* Programs that run what their arguments or files name. */
static bool starts_others(const Request *request)
{
    static const char *const names[] = {
        "env",  "nice", "nohup",   "timeout", "setsid", "stdbuf", "xargs", "find",  "make", "sudo",
        "doas", "su",   "busybox", "chroot",  "flock",  "ionice", "time",  "watch", "tcsh", "csh"};
    const char *exe = request->facts ? request->facts->prepared.exe : "";
    const char *slash = strrchr(exe, '/');

    if (strncmp(slash ? slash + 1 : exe, "ld-", 3) == 0 || strstr(exe, "/ld.so"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(slash ? slash + 1 : exe, names[i]) == 0)
            return true;
    return false;
}

size_t words_notes(const Request *request, const char *notes[static 4])
{
    const uint32_t flags = request->facts ? request->facts->prepared.flags : 0;
    size_t count = 0;

    if (starts_others(request))
        notes[count++] = "it starts another program or reads a file that tells it what to do: this "
                         "approval does not bind that";
    if (flags & PREPARED_EXE_WRITABLE)
        notes[count++] = "the caller can change this executable: the approved bytes run from a "
                         "sealed copy";
    if (flags & PREPARED_OPERAND_WRITABLE)
        notes[count++] = "the caller can change this script: the approved bytes run from a sealed "
                         "copy; what it loads is not bound";
    if ((flags & PREPARED_READS_STDIN) && (flags & PREPARED_STDIN_MUTABLE))
        notes[count++] = "mutable input: it takes its instructions from stdin, which this "
                         "approval does not bind";
    else if (flags & PREPARED_STDIN_MUTABLE)
        notes[count++] = "mutable input: stdin is a file or a pipe, which this approval does not "
                         "bind";
    return count;
}
