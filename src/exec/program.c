/*
 * See program.h.
 *
 * An ELF program runs by the very descriptor that was checked. A script runs by its interpreter's
 * descriptor and a path: as it was found when a rule allowed it; when a human approved these very
 * bytes, by its resolved path if the caller can change nothing on the way there, else from a sealed
 * copy, which its interpreter opens as /proc/self/fd/99. That number is high enough not to be one
 * that scripts use for themselves, and inherited by what the script starts. `$0` and the directory
 * next to the script are then not what they were: the price of running what was approved.
 */
#include "exec/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/resolve.h"
#include "exec/seal.h"

#define STRING_OF_(text) #text
#define STRING_OF(text) STRING_OF_(text)
#define SCRIPT_FD_PATH "/proc/self/fd/" STRING_OF(LAUNCH_SCRIPT_FD)

static const char *path_list_of(const ShimRequest *request)
{
    for (size_t i = 0; i < request->envc; i++) {
        if (strncmp(request->env[i], "PATH=", 5) == 0)
            return request->env[i] + 5;
    }
    return NULL;
}

static int find_exe(Program *program, const ShimRequest *request, const char *path_list,
                    Refusal *refusal)
{
    bool direct = request->flags & SHIM_FLAG_DIRECT;

    if (direct && strchr(request->path, '/'))
        return resolve_path(request->path, path_list, &program->exe, refusal);
    return resolve_name(resolve_basename(request->path), path_list, &program->exe, refusal);
}

/* node resolves the script it is given through symbolic links, /proc/self/fd/99 too, unless told
 * otherwise. */
static bool is_node(const char *path)
{
    const char *name = resolve_basename(path);
    return strncmp(name, "node", 4) == 0 &&
           (strcmp(name + 4, "js") == 0 || strspn(name + 4, ".0123456789") == strlen(name + 4));
}

/* Opens the operand, trying node's habit of leaving out ".js". */
static int open_operand(const char *name, const char *program, File *ret)
{
    char longer[PATH_MAX];

    int result = file_open(AT_FDCWD, name, FILE_TO_INTERPRET, ret);
    if (result != -ENOENT || !is_node(program))
        return result;
    int size = snprintf(longer, sizeof longer, "%s.js", name);
    if (size < 0 || (size_t)size >= sizeof longer)
        return result;
    return file_open(AT_FDCWD, longer, FILE_TO_INTERPRET, ret);
}

static void find_operand(Program *program, const ShimRequest *request)
{
    program->operand = operand_find(program->exe.path, request->argv, request->argc);
    if (program->operand.kind != OPERAND_FILE)
        return;
    const char *name = request->argv[program->operand.argument] + program->operand.offset;
    program->operand_error = open_operand(name, program->exe.path, &program->operand_file);
    if (program->operand_error == 0)
        file_judge_writable(&program->operand_file);
}

int program_find(Program *ret, const ShimRequest *request, Refusal *refusal)
{
    const char *path_list = path_list_of(request);

    file_init(&ret->exe);
    file_init(&ret->operand_file);
    script_init(&ret->script);
    ret->is_script = false;
    ret->operand = (Operand){.kind = OPERAND_NONE};
    ret->operand_error = 0;

    int result = find_exe(ret, request, path_list, refusal);
    if (result != 0)
        return result;
    file_judge_writable(&ret->exe);
    if (file_is_script(&ret->exe)) {
        ret->is_script = true;
        if (operand_is_stdin(ret->exe.path, request->argv, request->argc))
            ret->operand.kind = OPERAND_STDIN;
        return script_resolve(&ret->exe, path_list, &ret->script, refusal);
    }
    if (!file_is_elf(&ret->exe))
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                      "%s: exec format error: neither an ELF program nor a #! script",
                      ret->exe.path);
    find_operand(ret, request);
    return 0;
}

void program_done(Program *program)
{
    file_done(&program->exe);
    file_done(&program->operand_file);
    script_done(&program->script);
}

uint32_t program_flags(const Program *program)
{
    uint32_t flags = 0;

    bool by_other_means = program->is_script &&
                          (program->script.interpreter.bendable || program->script.inner_bendable);

    if (program->exe.bendable || by_other_means)
        flags |= PREPARED_EXE_WRITABLE;
    if (by_other_means)
        flags |= PREPARED_INTERPRETER_WRITABLE;
    if (program->is_script)
        flags |= PREPARED_SCRIPT;
    if (program->operand_file.fd >= 0)
        flags |= PREPARED_OPERAND;
    if (program->operand_file.fd >= 0 && program->operand_file.bendable)
        flags |= PREPARED_OPERAND_WRITABLE;
    if (program->operand.kind == OPERAND_STDIN)
        flags |= PREPARED_READS_STDIN;
    return flags;
}

static int hash_file(const File *file, int fd, Digest *ret, Refusal *refusal)
{
    if (file->status.st_size > (off_t)SEAL_FILE_MAX)
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE, "%s: too large for an approval",
                      file->path);
    int result = digest_file(fd, ret, NULL);
    if (result < 0)
        return refuse(refusal, EXEC_FAILURE_BROKEN, "%s: cannot be read: %s", file->path,
                      strerror(-result));
    return 0;
}

int program_hash(const Program *program, Hashed *ret, Refusal *refusal)
{
    memset(ret, 0, sizeof *ret);
    int result = hash_file(&program->exe, program->exe.fd, &ret->exe, refusal);
    if (result == 0 && program->is_script)
        result = hash_file(&program->script.interpreter, program->script.interpreter.fd,
                           &ret->interpreter, refusal);
    if (result == 0 && program->operand_file.fd >= 0)
        result =
            hash_file(&program->operand_file, program->operand_file.fd, &ret->operand, refusal);
    return result;
}

/* The descriptor to run `file` from: its own, or a sealed copy if the caller could change it. It
 * must hold the approved bytes. */
static int bind_file(const File *file, const Digest *approved, int *ret_fd, Refusal *refusal)
{
    Digest now;
    int fd = file->fd;
    int result = file->writable ? seal_copy(file->fd, resolve_basename(file->path), &fd) : 0;
    if (result < 0)
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE, "%s: cannot be copied: %s", file->path,
                      strerror(-result));
    result = hash_file(file, fd, &now, refusal);
    if (result == 0 && !digest_equal(&now, approved))
        result =
            refuse(refusal, EXEC_FAILURE_DRIFT, "%s has changed since it was approved", file->path);
    if (result == 0)
        *ret_fd = fd;
    return result;
}

/* A #! line may hand its interpreter another file than the script (`#!/bin/sh other`). */
static bool runs_its_script(const Program *program)
{
    const Script *script = &program->script;
    const char *argv[SCRIPT_WORDS_MAX + 1];

    if (script->n_words <= 1)
        return true;
    for (size_t i = 0; i < script->n_words; i++)
        argv[i] = script->words[i];
    argv[script->n_words] = program->exe.path;
    Operand operand = operand_find(script->interpreter.path, argv, script->n_words + 1);
    return operand.kind == OPERAND_FILE && operand.argument == script->n_words;
}

static int check_bindable(const Program *program, const ShimRequest *request, Refusal *refusal)
{
    if (program->is_script && program->script.inner_bendable)
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                      "%s: its interpreter is a script that the caller could change",
                      program->exe.path);
    if (program->is_script && !runs_its_script(program))
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE,
                      "%s: its #! line names more than an interpreter and its options, and an "
                      "approval cannot bind that",
                      program->exe.path);
    if (program->operand.kind == OPERAND_UNCLEAR)
        return refuse(
            refusal, EXEC_FAILURE_NOT_RUNNABLE,
            "which script %s would run cannot be told from its arguments; name one script "
            "by its path",
            program->exe.path);
    if (program->operand.kind == OPERAND_FILE && program->operand_error < 0)
        return refuse(refusal, EXEC_FAILURE_NOT_RUNNABLE, "%s: the script cannot be opened: %s",
                      request->argv[program->operand.argument] + program->operand.offset,
                      strerror(-program->operand_error));
    return 0;
}

/* Fills the launch's descriptors with what was approved. */
static int bind_program(const Program *program, const ShimRequest *request, const Hashed *approved,
                        Launch *launch, Refusal *refusal)
{
    int exe = -EBADF, interpreter = -EBADF, operand = -EBADF;

    int result = check_bindable(program, request, refusal);
    if (result == 0)
        result = bind_file(&program->exe, &approved->exe, &exe, refusal);
    if (result == 0 && program->is_script)
        result =
            bind_file(&program->script.interpreter, &approved->interpreter, &interpreter, refusal);
    if (result == 0 && program->operand_file.fd >= 0)
        result = bind_file(&program->operand_file, &approved->operand, &operand, refusal);
    launch->fd = program->is_script ? interpreter : exe;
    if (program->is_script && program->exe.writable)
        launch->script_fd = exe;
    else if (program->operand_file.fd >= 0 && program->operand_file.writable)
        launch->script_fd = operand;
    return result;
}

/* argv for a script: the interpreter's words, the script, the caller's arguments. */
static size_t compose_script(const Program *program, const ShimRequest *request, bool bound,
                             const Launch *launch, const char **argv)
{
    const Script *script = &program->script;
    size_t argc = 0;

    for (size_t i = 0; i < script->n_words; i++) {
        argv[argc++] = script->words[i];
        if (i == 0 && launch->script_fd >= 0 && is_node(script->interpreter.path))
            argv[argc++] = "--preserve-symlinks-main";
    }
    argv[argc++] = launch->script_fd >= 0 ? SCRIPT_FD_PATH
                   : bound                ? program->exe.path
                                          : program->exe.found;
    for (size_t i = 1; i < request->argc; i++)
        argv[argc++] = request->argv[i];
    return argc;
}

/* argv for an ELF program: the caller's, except that an approved script operand is named by a path
 * that the caller cannot bend. */
static size_t compose_elf(const Program *program, const ShimRequest *request, bool bound,
                          Launch *launch, const char **argv)
{
    const Operand *operand = &program->operand;
    size_t argc = 0;

    for (size_t i = 0; i < request->argc; i++) {
        const char *argument = request->argv[i];
        if (bound && program->operand_file.fd >= 0 && i == operand->argument) {
            (void)snprintf(launch->space, sizeof launch->space, "%.*s%s", (int)operand->offset,
                           argument,
                           launch->script_fd >= 0 ? SCRIPT_FD_PATH : program->operand_file.path);
            argument = launch->space;
        }
        argv[argc++] = argument;
        if (i == 0 && launch->script_fd >= 0 && is_node(program->exe.path))
            argv[argc++] = "--preserve-symlinks-main";
    }
    return argc;
}

int program_launch(const Program *program, const ShimRequest *request, const RunOrder *order,
                   Launch *ret, Refusal *refusal)
{
    ret->fd = ret->script_fd = -EBADF;
    ret->argv = calloc(request->argc + SCRIPT_WORDS_MAX + 3, sizeof *ret->argv);
    if (!ret->argv)
        return refuse(refusal, EXEC_FAILURE_BROKEN, "out of memory");
    if (order->bound) {
        int result = bind_program(program, request, &order->hashed, ret, refusal);
        if (result != 0)
            return result;
    } else {
        ret->fd = program->is_script ? program->script.interpreter.fd : program->exe.fd;
    }
    size_t argc = program->is_script
                      ? compose_script(program, request, order->bound, ret, ret->argv)
                      : compose_elf(program, request, order->bound, ret, ret->argv);
    ret->argv[argc] = NULL;
    return 0;
}
