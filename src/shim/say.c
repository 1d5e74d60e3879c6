/*
 * Lines on stderr and the end of the process. Without stdio: one writev(2) per line, so that lines
 * of several processes do not mix (pipe(7): writes up to PIPE_BUF are atomic).
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim/shim.h"

#define PARTS_MAX 12

void say_parts(const char *const *parts, size_t n_parts)
{
    struct iovec line[PARTS_MAX + 2] = {{.iov_base = (void *)"clawrden: ", .iov_len = 10}};
    int n = 1;

    for (size_t i = 0; i < n_parts && i < PARTS_MAX; i++, n++)
        line[n] = (struct iovec){.iov_base = (void *)parts[i], .iov_len = strlen(parts[i])};
    line[n++] = (struct iovec){.iov_base = (void *)"\n", .iov_len = 1};
    if (writev(STDERR_FILENO, line, n) < 0) {
        /* a closed stderr: nowhere left to say it */
    }
}

void fail_parts(const Shim *shim, int code, const char *const *parts, size_t n_parts)
{
    /* A stderr that nobody reads must not turn the exit code into SIGPIPE, and one that blocks
     * must not make the process immune to Ctrl-C. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (shim)
        signals_restore(shim);
    say_parts(parts, n_parts);
    _exit(code);
}
