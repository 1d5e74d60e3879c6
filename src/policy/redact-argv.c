/*
 * Hiding secrets in a command line: what one argument holds, and what two hold together.
 *
 * `--token SECRET` and `--password SECRET` are two arguments, and no pattern finds anything in
 * either of them. So the patterns are tried three times: on each argument; on all of them with
 * spaces in between, where whatever a match reaches into is hidden; and with a '=' behind each
 * option that has none, where the argument behind the option is hidden. The patterns that find
 * `--token=SECRET` find `--token SECRET` then, whoever wrote them.
 *
 * All of it is one effort: a caller who sends thousands of arguments, or megabytes, gets the rest
 * hidden and not the warden's time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/redact.h"

#define ARGUMENTS_MAX 4096
#define BYTES_MAX ((size_t)1 << 20) /* of all arguments that are looked at */
#define EDGE_MAX 512                /* of a long argument, where a match may reach over its ends */

typedef struct Line {
    const char *const *argv;
    size_t argc;     /* arguments that are looked at */
    size_t *starts;  /* of each in the joined text; owned; one more for the end */
    bool *hidden;    /* owned */
    char *text;      /* joined; owned */
    size_t size;     /* without a terminator */
    bool with_signs; /* joined by '=' behind options */
} Line;

static void line_done(Line *line)
{
    free(line->starts);
    free(line->hidden);
    free(line->text);
}

/* An option that does not bring its value along: "--token", "-p". */
static bool wants_value(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0' && !strchr(argument, '=');
}

static int line_begin(Line *line, const char *const *argv, size_t argc)
{
    size_t total = 0;

    *line = (Line){.argv = argv};
    while (line->argc < argc && line->argc < ARGUMENTS_MAX) {
        total += strlen(argv[line->argc]) + 1;
        if (total > BYTES_MAX)
            break;
        line->argc++;
    }
    line->starts = calloc(line->argc + 1, sizeof *line->starts);
    line->hidden = calloc(line->argc + 1, sizeof *line->hidden);
    line->text = malloc(total + 1);
    return line->starts && line->hidden && line->text ? 0 : -ENOMEM;
}

static void line_join(Line *line, bool with_signs)
{
    size_t at = 0;

    line->with_signs = with_signs;
    for (size_t i = 0; i < line->argc; i++) {
        size_t size = strlen(line->argv[i]);
        size_t head = size > 2 * EDGE_MAX ? EDGE_MAX : size, tail = size > head ? EDGE_MAX : 0;
        line->starts[i] = at;
        memcpy(line->text + at, line->argv[i], head);
        memcpy(line->text + at + head, line->argv[i] + size - tail, tail);
        at += head + tail;
        line->text[at++] = with_signs && wants_value(line->argv[i]) ? '=' : ' ';
    }
    line->starts[line->argc] = at;
    line->size = at > 0 ? at - 1 : 0;
}

static void hide_from(Line *line, size_t first)
{
    for (size_t i = first; i < line->argc; i++)
        line->hidden[i] = true;
}

/* One pattern over the joined text: matches that begin in one argument and end in another. */
static void hide_across(Redaction *redaction, Line *line, const Pattern *pattern)
{
    size_t at = 0, argument = 0, start = 0, end = 0;

    while (at < line->size) {
        int rc = redaction_next(redaction, pattern, line->text, line->size, at, &start, &end);
        if (rc < 0) {
            hide_from(line, 1); /* whatever it would have found */
            return;
        }
        if (rc == 0 || start < at)
            return;
        while (line->starts[argument + 1] <= start)
            argument++;
        at = end > start ? end : start + 1;
        if (argument + 1 >= line->argc)
            return;
        if (end <= line->starts[argument + 1]) /* within one: hidden already */
            continue;
        if (line->with_signs) {
            line->hidden[argument + 1] = true;
            at = line->starts[argument + 1];
            continue;
        }
        for (size_t i = argument + 1; i < line->argc && line->starts[i] < end; i++)
            line->hidden[i] = true;
    }
}

static void find_across(Redaction *redaction, Line *line)
{
    for (int with_signs = 0; with_signs <= 1 && redaction->search; with_signs++) {
        line_join(line, with_signs);
        for (size_t i = 0; i < redaction->policy->n_redact; i++)
            hide_across(redaction, line, &redaction->policy->redact[i]);
    }
}

/* All arguments, each with its NUL, one behind the other. */
static void put_arguments(Redaction *redaction, const Line *line, size_t argc, Buffer *out)
{
    bool hopeless = redaction->policy->n_redact > 0 && !redaction->search;

    for (size_t i = 0; i < argc; i++) {
        if (hopeless || i >= line->argc || line->hidden[i])
            buffer_puts(out, REDACTED);
        else
            (void)redaction_put(redaction, line->argv[i], strlen(line->argv[i]), out);
        buffer_put_u8(out, 0);
    }
}

/* The vector and its text in one piece of memory. */
static int make_vector(const Buffer *text, size_t argc, const char ***ret)
{
    const size_t pointers = (argc + 1) * sizeof(char *);
    char *block = malloc(pointers + buffer_size(text) + 1);
    const char **vector = (const char **)(void *)block;

    if (!block)
        return -ENOMEM;
    char *at = block + pointers;
    memcpy(at, buffer_head(text), buffer_size(text));
    for (size_t i = 0; i < argc; i++) {
        vector[i] = at;
        at += strlen(at) + 1;
    }
    vector[argc] = NULL;
    *ret = vector;
    return 0;
}

int policy_redact_argv(const Policy *policy, const char *const *argv, size_t argc,
                       const char ***ret)
{
    Buffer text = BUFFER_EMPTY(SIZE_MAX / 4);
    Redaction redaction;
    Line line;

    *ret = NULL;
    int rc = line_begin(&line, argv, argc);
    if (rc == 0) {
        redaction_begin(&redaction, policy);
        find_across(&redaction, &line);
        put_arguments(&redaction, &line, argc, &text);
        redaction_done(&redaction);
        rc = text.error < 0 ? -ENOMEM : make_vector(&text, argc, ret);
    }
    buffer_done(&text);
    line_done(&line);
    return rc;
}
