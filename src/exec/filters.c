/*
 * See filters.h.
 */
#include "exec/filters.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

void filters_done(Filters *filters)
{
    free(filters->instructions);
    *filters = FILTERS_EMPTY;
}

static long trace(long request, pid_t pid, unsigned long address, void *data)
{
    return syscall(SYS_ptrace, request, pid, address, data);
}

static size_t total_of(const Filters *filters)
{
    size_t total = 0;
    for (unsigned i = 0; i < filters->n; i++)
        total += filters->sizes[i];
    return total;
}

/* Of a process that is stopped for us. */
static int read_stopped(pid_t pid, unsigned skip, unsigned count, Filters *ret)
{
    for (unsigned i = skip; i < count; i++) {
        long size = trace(PTRACE_SECCOMP_GET_FILTER, pid, i, NULL);
        if (size < 0)
            return -errno;
        size_t used = total_of(ret);
        if ((size_t)size > FILTERS_INSTRUCTIONS_MAX - used)
            return -E2BIG;
        struct sock_filter *grown =
            realloc(ret->instructions, (used + (size_t)size) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        ret->instructions = grown;
        if (trace(PTRACE_SECCOMP_GET_FILTER, pid, i, grown + used) != size)
            return -EIO;
        ret->sizes[ret->n++] = (unsigned)size;
    }
    return 0;
}

/* A process has one tracer at a time: another runner that reads the same filters is waited for. It
 * lets go in no time, so what is refused for longer is refused. 0 or -errno. */
static int seize(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = 2L * 1000 * 1000};

    for (int attempt = 0; attempt < 500; attempt++) {
        if (trace(PTRACE_SEIZE, pid, 0, NULL) == 0)
            return 0;
        if (errno != EPERM)
            return -errno;
        (void)nanosleep(&pause, NULL);
    }
    return -EPERM;
}

int filters_read(pid_t pid, unsigned skip, unsigned count, Filters *ret)
{
    int status = 0;

    *ret = FILTERS_EMPTY;
    if (skip >= count)
        return 0;
    if (count - skip > FILTERS_MAX)
        return -E2BIG;
    int result = seize(pid);
    if (result < 0)
        return result;
    result = trace(PTRACE_INTERRUPT, pid, 0, NULL) < 0 ? -errno : 0;
    if (result == 0 && waitpid(pid, &status, __WALL) < 0)
        result = -errno;
    if (result == 0 && !WIFSTOPPED(status))
        result = -ESRCH;
    if (result == 0)
        result = read_stopped(pid, skip, count, ret);
    /* A signal that was on its way goes on. */
    bool is_ours = status >> 16 == PTRACE_EVENT_STOP;
    unsigned long signal_number = is_ours || !WIFSTOPPED(status) ? 0 : (unsigned)WSTOPSIG(status);
    (void)trace(PTRACE_DETACH, pid, 0, (void *)signal_number);
    if (result < 0)
        filters_done(ret);
    return result;
}

int filters_install(const Filters *filters)
{
    struct sock_filter *next = filters->instructions;

    for (unsigned i = 0; i < filters->n; i++) {
        const struct sock_fprog program = {.len = (unsigned short)filters->sizes[i],
                                           .filter = next};
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
            return -errno;
        next += filters->sizes[i];
    }
    return 0;
}

void filters_encode(Buffer *buffer, const Filters *filters)
{
    buffer_put_u32(buffer, filters->n);
    for (unsigned i = 0; i < filters->n; i++)
        buffer_put_u32(buffer, filters->sizes[i]);
    buffer_put(buffer, filters->instructions, total_of(filters) * sizeof *filters->instructions);
}

int filters_decode(Reader *reader, Filters *ret)
{
    *ret = FILTERS_EMPTY;
    unsigned n = reader_u32(reader);
    if (n > FILTERS_MAX)
        return -EPROTO;
    for (unsigned i = 0; i < n; i++) {
        unsigned size = reader_u32(reader);
        if (size == 0 || size > BPF_MAXINSNS)
            return -EPROTO;
        ret->sizes[i] = size;
    }
    ret->n = n;
    size_t bytes = total_of(ret) * sizeof *ret->instructions;
    const void *from = reader_bytes(reader, bytes);
    if (!from)
        ret->n = 0;
    if (n == 0 || !from)
        return from || n == 0 ? 0 : -EPROTO;
    ret->instructions = malloc(bytes);
    if (!ret->instructions) {
        ret->n = 0;
        return -ENOMEM;
    }
    memcpy(ret->instructions, from, bytes);
    return 0;
}
