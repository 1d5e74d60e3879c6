/*
 * Which argument of an interpreter is the script that it will run: `python3 -u tool.py`,
 * `bash -eo pipefail deploy.sh`, `awk -f report.awk data`.
 *
 * A table of interpreters and their options, so that an option's value is not taken for the script.
 * A program that is not in the table is no interpreter to us: what it reads is not bound
 * (security-model.md).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum OperandKind {
    OPERAND_NONE,    /* no interpreter, or its program stands in its arguments */
    OPERAND_STDIN,   /* it takes its instructions from standard input */
    OPERAND_FILE,    /* a script file */
    OPERAND_UNCLEAR, /* a script, but which one cannot be told from the arguments */
} OperandKind;

typedef struct Operand {
    OperandKind kind;
    size_t argument; /* OPERAND_FILE: its index in argv … */
    size_t offset;   /* … and where in that argument its name begins (`-fFILE`) */
} Operand;

/* `program` is the resolved path of the executable. */
Operand operand_find(const char *program, const char *const *argv, size_t argc);

/* Whether a program that is no interpreter takes its instructions from standard input; it may be a
 * script. */
bool operand_is_stdin(const char *program, const char *const *argv, size_t argc);
