/*
 * See handover.h. The launcher opens files once more, by their paths: each goes with what the
 * runner knows of it, so that another one at its path, or another content, is found out. What a
 * human has approved goes with its digest, and what the caller could change runs there from a
 * sealed copy, too (program.c has the reasons). The path of a script that only a rule has allowed
 * is the one that its interpreter gets.
 */
#include "exec/handover.h"

#include <string.h>
#include <unistd.h>

#include "wire/launch.h"

static LaunchFile describe(const File *file, const char *path, const Digest *approved)
{
    LaunchFile ret = {.path = path,
                      .device = file->status.st_dev,
                      .inode = file->status.st_ino,
                      .size = (uint64_t)file->status.st_size,
                      .modified_s = (uint64_t)file->status.st_mtim.tv_sec,
                      .modified_ns = (uint32_t)file->status.st_mtim.tv_nsec,
                      .changed_s = (uint64_t)file->status.st_ctim.tv_sec,
                      .changed_ns = (uint32_t)file->status.st_ctim.tv_nsec};

    if (approved) {
        ret.hashed = true;
        ret.digest = *approved;
        ret.sealed = file->writable;
    }
    return ret;
}

static void describe_files(const Handover *handover, LaunchOrder *ret)
{
    const Program *program = handover->program;
    const Hashed *approved = handover->order->bound ? &handover->order->hashed : NULL;
    const File *exe = &program->exe, *operand = &program->operand_file;

    if (program->is_script) {
        const File *interpreter = &program->script.interpreter;
        ret->program =
            describe(interpreter, interpreter->path, approved ? &approved->interpreter : NULL);
        ret->script =
            describe(exe, approved ? exe->path : exe->found, approved ? &approved->exe : NULL);
    } else {
        ret->program = describe(exe, exe->path, approved ? &approved->exe : NULL);
        if (approved && operand->fd >= 0)
            ret->script = describe(operand, operand->path, &approved->operand);
    }
    ret->script_fd = LAUNCH_SCRIPT_FD;
}

static size_t count(const char *const *strings)
{
    size_t n = 0;
    while (strings[n])
        n++;
    return n;
}

void handover_encode(Buffer *buffer, const Handover *handover)
{
    const Identity *caller = handover->caller;
    LaunchOrder order = {.script = {.path = ""},
                         .cwd = handover->cwd,
                         .cwd_device = handover->directory->st_dev,
                         .cwd_inode = handover->directory->st_ino,
                         .uid = caller->uids[0],
                         .gid = caller->gids[0],
                         .n_groups = caller->n_groups,
                         .inheritable = caller->cap_inheritable,
                         .permitted = caller->cap_permitted,
                         .effective = caller->cap_effective,
                         .bounding = caller->cap_bounding,
                         .ambient = caller->cap_ambient,
                         .no_new_privs = caller->no_new_privs,
                         .seccomp_filters = caller->seccomp_filters,
                         .umask = caller->umask,
                         .nice = caller->nice,
                         .ignored_signals = caller->ignored_signals,
                         .argv = handover->launch->argv,
                         .argc = count(handover->launch->argv),
                         .env = handover->env,
                         .envc = count(handover->env)};

    for (unsigned fd = 0; fd < 3; fd++) {
        if (handover->received->stdio[fd] >= 0)
            order.stdio |= (uint8_t)(1u << fd);
    }
    memcpy(order.groups, caller->groups, caller->n_groups * sizeof *caller->groups);
    memcpy(order.limits, caller->limits, sizeof order.limits);
    describe_files(handover, &order);
    launch_encode(buffer, &order);
}
