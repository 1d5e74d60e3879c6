/*
 * Tables of verbs: what is not in the table does not exist, and whoever missed by a letter is told.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/cli.h"

#define NAME_MAX_ 24u

const CliVerb *cli_find_verb(const CliVerb *verbs, const char *name)
{
    for (const CliVerb *verb = verbs; verb->name; verb++) {
        if (strcmp(verb->name, name) == 0)
            return verb;
    }
    return NULL;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, added, left out or swapped with their neighbours
 * (Damerau-Levenshtein distance); names are short. */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][NAME_MAX_ + 1];

    for (unsigned j = 0; j <= b_size; j++)
        rows[0][j] = rows[1][j] = rows[2][j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3], *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            row[j] =
                least(least(before[j] + 1, row[j - 1] + 1), before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_before[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

const char *cli_suggest(const CliVerb *verbs, const char *name)
{
    size_t size = strlen(name);
    const char *best = NULL;
    unsigned best_distance = 3;

    if (size < 2 || size > NAME_MAX_)
        return NULL;
    for (const CliVerb *verb = verbs; verb->name; verb++) {
        size_t verb_size = strlen(verb->name);
        unsigned found = distance(name, size, verb->name, verb_size);
        if (strncmp(verb->name, name, size) == 0)
            found = 1;
        if (found < best_distance && found < verb_size) {
            best_distance = found;
            best = verb->name;
        }
    }
    return best;
}

/* "a, b or c" */
static char *list_of(const CliVerb *verbs)
{
    Buffer text = BUFFER_EMPTY(4096);

    for (const CliVerb *verb = verbs; verb->name; verb++) {
        buffer_puts(&text, verb == verbs ? "" : verb[1].name ? ", " : " or ");
        buffer_puts(&text, verb->name);
    }
    return buffer_take_string(&text);
}

int cli_run_verb(Cli *cli, const CliSyntax *syntax, const CliVerb *verbs, int argc, char **argv)
{
    int first, result = cli_parse(cli, syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    _cleanup_free_ char *list = list_of(verbs);
    if (first == argc)
        return cli_usage_error(syntax, "%s what? %s", argv[0], list ? list : "");
    const CliVerb *verb = cli_find_verb(verbs, argv[first]);
    if (verb)
        return verb->run(cli, argc - first, argv + first);
    const char *suggestion = cli_suggest(verbs, argv[first]);
    if (suggestion)
        return cli_usage_error(syntax, "there is no `%s %s`; did you mean %s?", argv[0],
                               argv[first], suggestion);
    return cli_usage_error(syntax, "there is no `%s %s`; there is %s", argv[0], argv[first],
                           list ? list : "");
}
