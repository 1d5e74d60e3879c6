/*
 * `#!` scripts: what the kernel would load for them, found by its own rules but with our look-up.
 */
#pragma once

#include "exec/file.h"
#include "exec/refusal.h"

/* As many scripts in a row as the kernel follows. */
#define SCRIPT_DEPTH_MAX 4
#define SCRIPT_WORDS_MAX (3 * SCRIPT_DEPTH_MAX)

typedef struct ScriptLine {
    char interpreter[FILE_HEAD_SIZE];
    char argument[FILE_HEAD_SIZE]; /* valid if has_argument */
    bool has_argument;
} ScriptLine;

/* Parses the first line of a script from its first FILE_HEAD_SIZE bytes (zero-filled), as
 * fs/binfmt_script.c does. 0 or -ENOEXEC. */
int script_parse(const char head[static FILE_HEAD_SIZE], ScriptLine *ret);

/* An interpreted program: which ELF file is loaded and what stands before the script in its argv.
 */
typedef struct Script {
    File interpreter;
    char *words[SCRIPT_WORDS_MAX]; /* owned: interpreter, argument, (inner script, …) */
    size_t n_words;
    bool inner_bendable; /* a script between the first and the interpreter could be changed */
} Script;

void script_init(Script *script);
void script_done(Script *script);

/* Follows `#!` from `exe` down to an ELF file. `#!/usr/bin/env NAME` is looked up by ourselves:
 * env would find a shim, or whatever the caller puts into its PATH later. 0 or an ExecFailure. */
int script_resolve(const File *exe, const char *path_list, Script *ret, Refusal *refusal);
