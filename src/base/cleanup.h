/*
 * Ownership vocabulary: scope-bound release of what a function holds, and explicit transfer.
 *
 * A variable marked `_cleanup_(f)` is released by `f(&variable)` when it leaves scope. Hand the
 * value on with TAKE_FD / TAKE_PTR, which leave an empty value behind.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define UNUSED __attribute__((unused))

/* The value of `pointer`, which becomes NULL. */
#define TAKE_PTR(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) *taken_from_ = &(pointer);                                             \
        __typeof__(pointer) taken_ = *taken_from_;                                                 \
        *taken_from_ = NULL;                                                                       \
        taken_;                                                                                    \
    })

/* The value of `fd`, which becomes -EBADF. */
#define TAKE_FD(fd) take_fd(&(fd))

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -9; /* -EBADF */
    return taken;
}

/* base/fd.h */
int fd_close(int fd);

static inline void fd_closep(int *fd)
{
    *fd = fd_close(*fd);
}

static inline void freep(void *pointer)
{
    free(*(void **)pointer);
}

static inline void fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}

static inline void closedirp(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

#define _cleanup_fd_ _cleanup_(fd_closep)
#define _cleanup_free_ _cleanup_(freep)
