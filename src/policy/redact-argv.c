/*
 * Hiding secrets in a command line: what one argument holds, and what two hold together.
 *
 * `--token SECRET` and `--password SECRET` are two arguments, and no pattern finds anything in
 * either of them. So the patterns are tried three times: on each argument; on all of them with
 * spaces in between, where what a match reaches into is hidden; and with a '=' behind each option
 * that has none, where the argument behind the option is hidden. The patterns that find
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
#define REACH_MAX 8                 /* arguments behind its first that a match may reach into */
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
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return argument[0] == '-' && argument[1] != '\0' && !argument[strspn(argument, name)];
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

/* Where an argument ends in the joined text. */
static size_t end_of(const Line *line, size_t argument)
{
    return line->starts[argument + 1] - 1;
}

/* A match that begins at `start` in `argument` and was found to reach over its end: hides what it
 * needs of the arguments behind. What the argument alone gives the pattern to find is hidden within
 * it, and only the name of an option makes the next one a secret then: `.*` behind "Authorization:"
 * must not hide the rest of the command line. -1 when it was too hard to tell. */
static int hide_behind(Redaction *redaction, Line *line, const Pattern *pattern, size_t argument,
                       size_t start, size_t last)
{
    size_t begun = 0, end = 0;
    int rc =
        redaction_at(redaction, pattern, line->text, end_of(line, argument), start, &begun, &end);

    if (rc > 0 && end > begun &&
        !(end == end_of(line, argument) && wants_value(line->argv[argument])))
        return 0;
    for (size_t i = argument + 1; i <= last && rc >= 0; i++) {
        line->hidden[i] = true;
        rc = redaction_at(redaction, pattern, line->text, end_of(line, i), start, &begun, &end);
        if (line->with_signs || (rc > 0 && end > line->starts[argument + 1]))
            return 0;
    }
    return rc < 0 ? -1 : 0;
}

/* The matches of one pattern that begin in one argument and end in another. -1: too hard. */
static int hide_from_argument(Redaction *redaction, Line *line, const Pattern *pattern,
                              size_t argument)
{
    size_t reach = argument + REACH_MAX < line->argc ? argument + REACH_MAX : line->argc - 1;
    size_t at = line->starts[argument], start = 0, end = 0;

    while (at < end_of(line, argument)) {
        int rc =
            redaction_next(redaction, pattern, line->text, end_of(line, reach), at, &start, &end);
        if (rc <= 0 || start < at || start >= end_of(line, argument))
            return rc < 0 ? -1 : 0;
        if (end <= line->starts[argument + 1]) {
            at = end > start ? end : start + 1; /* within this one */
            continue;
        }
        size_t last = argument + 1;
        while (last < reach && line->starts[last + 1] < end)
            last++;
        return hide_behind(redaction, line, pattern, argument, start, last);
    }
    return 0;
}

static void hide_across(Redaction *redaction, Line *line, const Pattern *pattern)
{
    size_t start = 0, end = 0;
    int rc = redaction_next(redaction, pattern, line->text, line->size, 0, &start, &end);

    if (rc == 0)
        return; /* most lines have no secrets */
    for (size_t i = 0; i + 1 < line->argc && rc >= 0; i++)
        rc = hide_from_argument(redaction, line, pattern, i);
    for (size_t i = 1; i < line->argc && rc < 0; i++)
        line->hidden[i] = true; /* whatever it would have found */
}

static void find_across(Redaction *redaction, Line *line)
{
    for (int with_signs = 0; with_signs <= 1 && redaction->search; with_signs++) {
        line_join(line, with_signs);
        for (size_t i = 0; i < redaction->policy->n_redact; i++)
            hide_across(redaction, line, &redaction->policy->redact[i]);
    }
}

static bool is_hidden(const Redaction *redaction, const Line *line, size_t argument)
{
    bool hopeless = redaction->policy->n_redact > 0 && !redaction->search;
    return hopeless || argument >= line->argc || line->hidden[argument];
}

/* What may be shown of the arguments that are not hidden whole, each with its NUL, one behind the
 * other. */
static void put_arguments(Redaction *redaction, const Line *line, Buffer *out)
{
    for (size_t i = 0; i < line->argc; i++) {
        if (is_hidden(redaction, line, i))
            continue;
        (void)redaction_put(redaction, line->argv[i], strlen(line->argv[i]), out);
        buffer_put_u8(out, 0);
    }
}

/* The vector and its text in one piece of memory. */
static int make_vector(const Redaction *redaction, const Line *line, const Buffer *text,
                       size_t argc, const char ***ret)
{
    const size_t pointers = (argc + 1) * sizeof(char *);
    char *block = malloc(pointers + buffer_size(text) + 1);
    const char **vector = (const char **)(void *)block;

    if (!block)
        return -ENOMEM;
    char *at = block + pointers;
    memcpy(at, buffer_head(text), buffer_size(text));
    for (size_t i = 0; i < argc; i++) {
        vector[i] = is_hidden(redaction, line, i) ? REDACTED : at;
        if (vector[i] == at)
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
        put_arguments(&redaction, &line, &text);
        rc = text.error < 0 ? -ENOMEM : make_vector(&redaction, &line, &text, argc, ret);
        redaction_done(&redaction);
    }
    buffer_done(&text);
    line_done(&line);
    return rc;
}
