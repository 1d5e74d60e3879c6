/*
 * A file that will be executed or interpreted: opened once, with the caller's rights, and judged by
 * that descriptor.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* As much as the kernel looks at (BINPRM_BUF_SIZE, execve(2)). */
#define FILE_HEAD_SIZE 256

typedef struct File {
    int fd;               /* O_RDONLY, owned; -EBADF when there is none */
    char found[PATH_MAX]; /* by which path it was opened */
    char path[PATH_MAX];  /* resolved, absolute */
    struct stat status;
    char head[FILE_HEAD_SIZE]; /* first bytes, zero-filled */
    bool writable;             /* file_judge_writable(): what is at `path` */
    bool bendable;             /* … or where `found` leads */
} File;

/* Initialises only what must be. */
void file_init(File *file);
void file_done(File *file);

typedef enum FileUse {
    FILE_TO_EXECUTE,   /* must be executable */
    FILE_TO_INTERPRET, /* must be readable */
} FileUse;

/* Opens a regular file. -errno as execve(2) would say it: -EACCES for what is no regular file or
 * not permitted, -ENOENT, …; -ENOEXEC when it may be executed but not read, so that it could not be
 * checked; -ESTALE when its path cannot be named (deleted, outside our root). */
int file_open(int directory_fd, const char *path, FileUse use, File *ret);

/* Files are named by this directory, the process's own descriptors in a /proc, and no longer by
 * /proc/self/fd. Takes `fd`. */
void file_name_by(int fd);

/* Is its content a shim's? -errno when it cannot be read. */
int file_is_shim(const File *file);

bool file_is_elf(const File *file);
bool file_is_script(const File *file);

/* Can nobody with our rights put anything into this directory, or another in its place? */
bool file_directory_is_trusted(const char *path);

/* Could a process with the rights that we have now (the caller's) change what is found at
 * `file->path`: the content, or any directory entry on the way to it (`writable`)? Or make
 * `file->found` lead elsewhere, by a symbolic link on the way (`bendable`)? In doubt, and for a
 * relative path: yes. For root it means: could anyone but root. */
void file_judge_writable(File *file);
