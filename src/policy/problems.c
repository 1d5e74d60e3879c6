/*
 * See problems.h.
 */
#include "policy/problems.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void policy_problems_done(PolicyProblems *problems)
{
    for (size_t i = 0; i < problems->n_items; i++) {
        free(problems->items[i].file);
        free(problems->items[i].message);
        free(problems->items[i].text);
    }
    free(problems->items);
    *problems = (PolicyProblems){0};
}

static char *shown(const char *text, size_t size)
{
    Buffer buffer = BUFFER_EMPTY(4096);
    text_display(&buffer, text, size, 120);
    return buffer_take_string(&buffer);
}

void problem_add(PolicyProblems *problems, const char *file, unsigned line, unsigned column,
                 bool warning, const char *text, size_t text_size, const char *message)
{
    if (!warning)
        problems->n_errors++;
    if (problems->n_items > PROBLEMS_MAX)
        return;
    if ((problems->n_items & (problems->n_items + 1)) == 0) { /* full at 2^k - 1 */
        PolicyProblem *larger =
            reallocarray(problems->items, 2 * (problems->n_items + 1), sizeof *problems->items);
        if (!larger)
            return;
        problems->items = larger;
    }
    PolicyProblem *problem = &problems->items[problems->n_items++];
    *problem = (PolicyProblem){.file = strdup(file), .line = line, .column = column};
    problem->warning = warning;
    if (problems->n_items > PROBLEMS_MAX) {
        problem->line = problem->column = 0;
        problem->message = strdup("too many problems; the rest is not shown");
        return;
    }
    problem->message = strdup(message);
    problem->text = text ? shown(text, text_size) : NULL;
}

static int by_place(const void *a, const void *b)
{
    const PolicyProblem *x = a, *y = b;
    /* What has no place (0) concerns the whole file and comes last. */
    unsigned x_line = x->line - 1, y_line = y->line - 1;

    if (x_line != y_line)
        return x_line < y_line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->warning - y->warning;
}

void problems_sort(PolicyProblems *problems)
{
    if (problems->n_items > 1)
        qsort(problems->items, problems->n_items, sizeof *problems->items, by_place);
}

void policy_problems_print(const PolicyProblems *problems, FILE *out)
{
    for (size_t i = 0; i < problems->n_items; i++) {
        const PolicyProblem *problem = &problems->items[i];
        (void)fputs(problem->file ? problem->file : "policy", out);
        if (problem->line > 0)
            (void)fprintf(out, ":%u:%u", problem->line, problem->column);
        (void)fprintf(out, ": %s: %s", problem->warning ? "warning" : "error",
                      problem->message ? problem->message : "out of memory");
        if (problem->text)
            (void)fprintf(out, ": %s", problem->text);
        (void)fputc('\n', out);
    }
}

#define WORD_MAX 40

/* Edits (insert, delete, replace, swap neighbours) from one word to another: the optimal string
 * alignment distance. */
static size_t distance(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    if (a_size > WORD_MAX || b_size > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_size; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_size];
}

const char *nearest_word(const char *text, const char *const *words, size_t n_words)
{
    const char *nearest = NULL;
    size_t best = strlen(text) <= 4 ? 2 : 3; /* fewer edits than this */

    for (size_t i = 0; i < n_words; i++) {
        size_t edits = distance(text, words[i]);
        if (edits < best) {
            best = edits;
            nearest = words[i];
        }
    }
    return nearest;
}
