/*
 * See script.h. Facts: execve(2), "Interpreter scripts"; fs/binfmt_script.c of Linux 5.1 and later.
 * Unlike the kernel we want the interpreter's path absolute: a relative one is whatever the working
 * directory holds.
 */
#include "exec/script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "exec/resolve.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blank(const char *next, const char *end)
{
    while (next < end && is_blank(*next))
        next++;
    return next;
}

/* To the next blank or NUL. */
static const char *skip_word(const char *next, const char *end)
{
    while (next < end && *next && !is_blank(*next))
        next++;
    return next;
}

int script_parse(const char head[static FILE_HEAD_SIZE], ScriptLine *ret)
{
    const char *limit = head + FILE_HEAD_SIZE - 1;
    const char *first = skip_blank(head + 2, limit);
    const char *end = memchr(head, '\n', FILE_HEAD_SIZE);

    memset(ret, 0, sizeof *ret);
    if (!end) {
        /* Without a newline the path must at least end inside the buffer. */
        if (first == limit || skip_word(first, limit) == limit)
            return -ENOEXEC;
        end = limit;
    }
    while (end > head + 2 && is_blank(end[-1]))
        end--;
    if (first >= end || !*first)
        return -ENOEXEC;
    const char *separator = skip_word(first, end);
    memcpy(ret->interpreter, first, (size_t)(separator - first));
    if (separator < end && *separator) {
        const char *argument = skip_blank(separator, end);
        size_t size = strnlen(argument, (size_t)(end - argument));
        memcpy(ret->argument, argument, size);
        ret->has_argument = size > 0;
    }
    return 0;
}

void script_init(Script *script)
{
    file_init(&script->interpreter);
    script->n_words = 0;
    script->inner_bendable = false;
}

void script_done(Script *script)
{
    file_done(&script->interpreter);
    while (script->n_words > 0)
        free(script->words[--script->n_words]);
}

/* The words of one line, before those that are there. */
static int put_line(Script *script, const char *name, const char *argument)
{
    size_t n_copies = argument ? 2 : 1;
    char *copies[2] = {strdup(name), argument ? strdup(argument) : NULL};

    if (!copies[0] || (argument && !copies[1]) || script->n_words + n_copies > SCRIPT_WORDS_MAX) {
        free(copies[0]);
        free(copies[1]);
        return -ENOMEM;
    }
    memmove(script->words + n_copies, script->words, script->n_words * sizeof *script->words);
    memcpy(script->words, copies, n_copies * sizeof *copies);
    script->n_words += n_copies;
    return 0;
}

/* The interpreter is a script too: its own interpreter gets its path as an argument. */
static int name_inner(Script *script)
{
    char *path = strdup(script->interpreter.path);
    if (!path)
        return -ENOMEM;
    free(script->words[0]);
    script->words[0] = path;
    script->inner_bendable = script->inner_bendable || script->interpreter.bendable;
    return 0;
}

/* `#!/usr/bin/env NAME`, with nothing that env itself would have to understand. */
static bool names_by_env(const ScriptLine *line)
{
    return (strcmp(line->interpreter, "/usr/bin/env") == 0 ||
            strcmp(line->interpreter, "/bin/env") == 0) &&
           line->has_argument && line->argument[0] != '-' && !strpbrk(line->argument, "=/ \t");
}

/* Finds what one line names and puts its words. 0 or an ExecFailure. */
static int follow_line(const char *script, const ScriptLine *line, const char *path_list,
                       Script *ret, Refusal *refusal)
{
    bool by_env = names_by_env(line);
    const char *name = by_env ? line->argument : line->interpreter;

    if (line->interpreter[0] != '/')
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                      "%s: the interpreter in its #! line is not an absolute path: %s", script,
                      name);
    file_done(&ret->interpreter);
    int result = by_env ? resolve_name(name, path_list, &ret->interpreter, refusal)
                        : resolve_path(name, path_list, &ret->interpreter, refusal);
    if (result == EXEC_FAILURE_NOT_FOUND)
        return refuse(refusal, EXEC_FAILURE_NOT_FOUND, "%s: bad interpreter: %s: not found", script,
                      name);
    if (result != 0)
        return result;
    if (put_line(ret, name, line->has_argument && !by_env ? line->argument : NULL) < 0)
        return refuse(refusal, EXEC_FAILURE_BROKEN, "out of memory");
    file_judge_writable(&ret->interpreter);
    return 0;
}

int script_resolve(const File *exe, const char *path_list, Script *ret, Refusal *refusal)
{
    const char *script = exe->found;
    char head[FILE_HEAD_SIZE];

    memcpy(head, exe->head, sizeof head);
    for (unsigned depth = 0; depth < SCRIPT_DEPTH_MAX; depth++) {
        ScriptLine line;
        if (script_parse(head, &line) < 0)
            return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                          "%s: exec format error: its #! line names no interpreter", script);
        if (depth > 0 && name_inner(ret) < 0)
            return refuse(refusal, EXEC_FAILURE_BROKEN, "out of memory");
        int result = follow_line(script, &line, path_list, ret, refusal);
        if (result != 0)
            return result;
        if (file_is_elf(&ret->interpreter))
            return 0;
        if (!file_is_script(&ret->interpreter))
            return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                          "%s: bad interpreter: %s is neither an ELF program nor a #! script",
                          script, ret->interpreter.path);
        memcpy(head, ret->interpreter.head, sizeof head);
    }
    return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE, "%s: too many levels of #! interpreters",
                  script);
}
