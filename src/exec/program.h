/*
 * What a request would run: found, judged, hashed, and finally run, by the runner as the caller.
 */
#pragma once

#include "exec/file.h"
#include "exec/operand.h"
#include "exec/refusal.h"
#include "exec/script.h"
#include "wire/message.h"
#include "wire/shim-request.h"

typedef struct Program {
    File exe; /* what was named: an ELF program or a script */
    bool is_script;
    Script script; /* if it is one */
    Operand operand;
    File operand_file; /* open if it could be */
    int operand_error; /* why it could not */
} Program;

/* Finds the program of a request in the caller's PATH and working directory (which the process
 * must be in). 0 or an ExecFailure. */
int program_find(Program *ret, const ShimRequest *request, Refusal *refusal);
void program_done(Program *program);

/* PREPARED_ flags that the program itself gives. */
uint32_t program_flags(const Program *program);

/* 0 or an ExecFailure. */
int program_hash(const Program *program, Hashed *ret, Refusal *refusal);

/* The command as it will be executed. It lives as long as the process, and is not released. */
typedef struct Launch {
    int fd;            /* ELF program */
    int script_fd;     /* sealed script that must stay open across exec; or -EBADF */
    const char **argv; /* strings are the request's, the program's, or in `space` */
    char space[2 * PATH_MAX];
} Launch;

/* Checks what an order binds and composes the command. 0 or an ExecFailure. */
int program_launch(const Program *program, const ShimRequest *request, const RunOrder *order,
                   Launch *ret, Refusal *refusal);

/* Where a sealed script is found by its interpreter. */
#define LAUNCH_SCRIPT_FD 99
