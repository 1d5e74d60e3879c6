/*
 * What clawrden-launcher (exec/launcher.c) is told: which command it becomes in a container where
 * the engine's own exec has started it, and whose it is.
 *
 * It says LAUNCH_HELLO on its stdout, and then reads one frame from its stdin, before any byte of
 * the command's own: LaunchHead, then `body_size` bytes, an encoded LaunchOrder. The frame comes
 * from a runner that is the caller already (exec/runner.h), and anybody in the container may start
 * the launcher with a frame of their own: it has no rights but those of whoever starts it.
 * Decoding is fuzzed (tests/fuzz/fuzz-launch.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "wire/message.h"
#include "wire/shim-protocol.h"

/* Where the jail's directory has it in every prisoner. */
#define LAUNCHER_NAME "clawrden-launcher"
#define LAUNCHER_PATH "/run/clawrden/" LAUNCHER_NAME

#define LAUNCH_HELLO "clwd-launcher 1\n"
#define LAUNCH_HELLO_SIZE (sizeof LAUNCH_HELLO - 1)

#define LAUNCH_MAGIC 0x434e4c43u /* "CLNC" */
#define LAUNCH_VERSION 1u
#define LAUNCH_HEAD_SIZE 12u
/* What a shim's request may hold, and a little more. */
#define LAUNCH_BODY_MAX (SHIM_REQUEST_MAX + 512u * 1024)

enum { LAUNCH_STDIN = 1u << 0, LAUNCH_STDOUT = 1u << 1, LAUNCH_STDERR = 1u << 2 };

/* A file as the runner has found it. */
typedef struct LaunchFile {
    const char *path; /* "": there is none */
    uint64_t device, inode, size;
    uint64_t modified_s, changed_s; /* st_mtim, st_ctim */
    uint32_t modified_ns, changed_ns;
    bool hashed; /* it must have this digest */
    Digest digest;
    bool sealed; /* the caller could change it: what runs is a sealed copy with that digest */
} LaunchFile;

typedef struct LaunchOrder {
    uint8_t stdio; /* LAUNCH_STDIN …: what the caller has open */
    LaunchFile program;
    LaunchFile script; /* what the program is given to interpret; sealed: as `script_fd` */
    uint32_t script_fd;
    const char *cwd;
    uint64_t cwd_device, cwd_inode;
    /* The caller. */
    uid_t uid;
    gid_t gid;
    gid_t groups[PREPARED_GROUPS_MAX];
    size_t n_groups;
    uint64_t inheritable, permitted, effective, bounding, ambient; /* capabilities */
    bool no_new_privs;
    uint32_t seccomp_filters;
    mode_t umask;
    int32_t nice;
    uint64_t ignored_signals; /* bit N - 1 for signal N */
    struct rlimit limits[RLIMIT_NLIMITS];
    /* Of the command. Decoded: owned, NULL-terminated arrays of strings in the body. */
    const char *const *argv;
    size_t argc; /* at least 1 */
    const char *const *env;
    size_t envc;
} LaunchOrder;

/* Head and body. */
void launch_encode(Buffer *buffer, const LaunchOrder *order);

/* The size of the body, 1 to LAUNCH_BODY_MAX; 0: this is no head of such a frame. */
size_t launch_head_decode(const char head[static LAUNCH_HEAD_SIZE]);
/* 0, -EPROTO, -ENOMEM: then nothing is owned. */
int launch_decode(const char *body, size_t size, LaunchOrder *ret);
void launch_done(LaunchOrder *order);
