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
#define WORDS_MAX (32u * 1024)

/* argv[0] is whatever the caller made it; the command is what the shim stood in for. */
void words_display(Request *request, Buffer *out, size_t most)
{
    const size_t begun = buffer_size(out), argc = request->words.argc;
    size_t count = 0;

    (void)redacted_argv(request, most, &count);
    /* The one that does not fit, too: its beginning does. */
    const char *const *argv = redacted_first(request, count + 1, &count);
    text_display_argument(out, request->name ? request->name : "?", most);
    for (size_t i = 1; i < argc; i++) {
        size_t used = buffer_size(out) - begun;
        if (used >= most || i >= count) {
            buffer_printf(out, " …(+%zu arguments)", argc - i);
            return;
        }
        buffer_put_u8(out, ' ');
        text_display_argument(out, argv[i], most - used);
    }
}

/* denied: git push --force (rule "no-force-push": history rewrites need a human; try …) */
char *words_refusal(Request *request, const char *what, const char *rule, const char *reason)
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
    uint64_t now = clock_monotonic_ms(), end = request->asked_until_ms;
    /* Rounded to seconds: "9m59.997s" helps nobody. */
    uint64_t seconds = end > now ? (end - now + 500) / 1000 : 0;

    buffer_printf(&text, "waiting for approval %s (%s %s", request->approval_id,
                  request->impatient ? "this call waits for" : "expires in",
                  clock_format_duration(seconds * 1000, left));
    if (!digest_is_zero(&request->coverage.exact))
        buffer_puts(&text, "; if it is cut off, run the same command again later");
    buffer_put_u8(&text, ')');
    return buffer_take_string(&text);
}

char *words_unanswered(const Request *request, uint64_t patience_ms, uint64_t kept_ms)
{
    char waited[CLOCK_TEXT_MAX], kept[CLOCK_TEXT_MAX];
    Buffer text = BUFFER_EMPTY(WORDS_MAX);

    buffer_printf(&text, "pending approval %s: a human has been asked ", request->approval_id);
    if (patience_ms > 0)
        buffer_printf(&text, "but has not answered within %s, ",
                      clock_format_duration(patience_ms, waited));
    buffer_printf(&text,
                  "and nothing was run; run the same command again later to get the answer (kept "
                  "for %s)",
                  clock_format_duration(kept_ms, kept));
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

    if (request->ghost)
        notes[count++] = "it runs in an ephemeral container of this image, which is bound; what it "
                         "reads in its workspace is not";
    else if (starts_others(request))
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
