/*
 * A policy's text and, behind a line "%%", the words of a command line, one a line. Whatever loads
 * must judge the command the same with and without the index, explain it, and redact it, argument
 * by argument and as a whole; problems must have places inside the text.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/index.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static size_t count_lines(const char *text, size_t size)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

static void check_problems(const PolicyProblems *problems, const char *text, size_t size, int rc)
{
    size_t lines = count_lines(text, size), errors = 0;

    for (size_t i = 0; i < problems->n_items; i++) {
        require(problems->items[i].message && problems->items[i].file);
        require(problems->items[i].line <= lines + 1);
        errors += !problems->items[i].warning;
    }
    require(errors <= problems->n_errors);
    require((rc == 0) == (problems->n_errors == 0));
}

/* A whole line has as many texts as before, and hides what each argument alone would. */
static void try_redaction(const Policy *policy, const PolicyQuery *query)
{
    const char **redacted = NULL;
    Buffer out = BUFFER_EMPTY(1 << 20);

    require(policy_redact_argv(policy, query->argv, query->argc, &redacted) == 0);
    for (size_t i = 0; i < query->argc; i++) {
        buffer_clear(&out);
        policy_redact(policy, query->argv[i], strlen(query->argv[i]), &out);
        require(strcmp(redacted[i], "[redacted]") == 0 ||
                (strlen(redacted[i]) == buffer_size(&out) &&
                 memcmp(redacted[i], buffer_head(&out), buffer_size(&out)) == 0));
    }
    require(redacted[query->argc] == NULL);
    free((void *)redacted);
    buffer_done(&out);
}

static void try_query(const Policy *policy, const PolicyQuery *query)
{
    PolicyVerdict fast, slow;
    Judging judging;
    Buffer out = BUFFER_EMPTY(1 << 20);

    judging_begin(&judging, query);
    size_t found = judge_with(policy, &judging, index_find, &fast);
    bool spent = judging.spent;
    judging_done(&judging);
    judging_begin(&judging, query);
    size_t wanted = judge_with(policy, &judging, index_find_slowly, &slow);
    spent |= judging.spent;
    judging_done(&judging);
    require(spent || (found == wanted && fast.action == slow.action));
    require(fast.ask && fast.ask->approvals >= 1 && fast.rule_index == found);
    require(fast.ask->rate_most == 0 || fast.ask->rate_ms >= 1000);
    require(policy_ask_refuses(fast.ask, "alice", "viewer", "cli") != NULL);
    policy_explain(policy, query, &out);
    try_redaction(policy, query);
    for (size_t i = 0; i < query->argc; i++) {
        policy_redact(policy, query->argv[i], strlen(query->argv[i]), &out);
        (void)policy_env_keeps(policy, query->argv[i]);
    }
    buffer_done(&out);
}

/* The lines of `text`, which is cut up, as a command. */
static void try_words(const Policy *policy, char *text)
{
    const char *words[WORDS_MAX];
    size_t n_words = 0;
    char exe[64];

    char *rest = text;
    do {
        words[n_words++] = strsep(&rest, "\n");
    } while (rest && n_words < WORDS_MAX);
    const char *slash = strrchr(words[0], '/');
    PolicyQuery query = {
        .jail = "default",
        .uid = 1000,
        .name = slash ? slash + 1 : words[0],
        .exe = exe,
        .argv = words,
        .argc = n_words,
        .env = words,
        .envc = n_words,
        .cwd = n_words > 1 ? words[1] : "/",
    };
    (void)snprintf(exe, sizeof exe, slash == words[0] ? "%.60s" : "/usr/bin/%.50s", words[0]);
    try_query(policy, &query);
    query.exe_writable = true;
    try_query(policy, &query);
    query.exe = NULL;
    try_query(policy, &query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *mark = memmem(text, size, "\n%%\n", 4);
    size_t policy_size = mark ? (size_t)(mark - text) + 1 : size;
    PolicyProblems problems = {0};
    Policy *policy = NULL;

    int rc = policy_load_text("fuzz", text, policy_size, &policy, &problems);
    require((rc == 0) == (policy != NULL));
    if (rc >= 0)
        check_problems(&problems, text, policy_size, rc);
    policy_problems_done(&problems);
    if (policy) {
        char *words = mark ? strndup(mark + 4, size - policy_size - 3) : strdup("ls\n-l");
        require(words != NULL);
        try_words(policy, words);
        free(words);
    }
    (void)policy_free(policy);
    return 0;
}
