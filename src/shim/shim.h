/*
 * Inside the shim: what its four files share. Nothing here is used by another room.
 *
 *   main.c     start, options, environment, the order of things
 *   send.c     connecting, the request, its descriptors
 *   signals.c  waiting, and what a signal does while we wait
 *   reply.c    acks and frames until the exit
 *   say.c      lines on stderr, and the end
 *
 * The shim is a program of one request: it holds one Shim, owns nothing that its exit would not
 * release, allocates nothing, and whatever breaks ends it (a shim has nobody to return to).
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "wire/shim-protocol.h"

/* Seconds without a byte after which the warden counts as gone. Test builds use less. */
#ifndef SHIM_SILENCE_S
#define SHIM_SILENCE_S SHIM_SILENCE_MAX_S
#endif

/* Seconds that connecting, or the next piece of the request, may take. */
#ifndef SHIM_PROGRESS_S
#define SHIM_PROGRESS_S 10
#endif

/* Milliseconds that the door has to say what a deadly signal has met: a wait or a command. */
#ifndef SHIM_ANSWER_MS
#define SHIM_ANSWER_MS 1000
#endif

/* Large buffers of which a page or two are used stand behind everything else (the linker sorts by
 * name), so that the few variables of the C library share one page with our data: each page that is
 * touched for the first time costs more than most system calls. */
#define LARGE_BUFFER __attribute__((section(".bss.zz_large")))

/* Our own end when the command's output cannot be written: what most commands do then. */
#define EXIT_FAILED_WRITE 1

typedef enum Phase {
    PHASE_SENDING, /* connected; the request is on its way */
    PHASE_WAITING, /* no ack yet */
    PHASE_PENDING, /* a human is being asked */
    PHASE_REFUSED,
    PHASE_RUNNING,
} Phase;

typedef struct Shim {
    Phase phase;
    int socket_fd;
    int signal_fd;
    sigset_t mask;        /* the signal mask we were started with */
    sigset_t awaited;     /* what signal_fd waits for */
    uint64_t unsent;      /* signals for the door that its socket had no room for yet: bit N-1 */
    uint64_t group;       /* those of them that are for the command's whole group */
    int deadly;           /* a signal that we die of unless a command has been started; 0: none */
    int64_t answer_by_ms; /* then: when the door must have said so */
} Shim;

/* The request's strings, straight from where the kernel put them. */
typedef struct Command {
    const char *path;
    char **argv;
    char **env;
    const char *cwd;
    ShimHeader header;
} Command;

/* main.c has filled path, argv, env, cwd, flags and wait: counts and sizes. False: too long. */
bool command_measure(Command *command);
/* A socket for the door that is not connected yet; or ends the process with 125. */
int door_socket(void);
/* Connects it, or ends the process with 125. Whatever can be done before is done before: the door
 * wakes up when we connect, and then finds the whole request. */
void door_connect(Shim *shim, const char *path);
/* Moves a descriptor off 0, 1 and 2, where it would pass for the caller's stdio. */
int fd_above_stdio(int fd);
/* Sends the request and its descriptors. Leaves the phase at PHASE_SENDING when the door answered
 * before it had read everything. */
void request_send(Shim *shim, const Command *command, const int *fds, size_t n_fds);
/* Acks and frames until the command's end, which becomes ours. */
_Noreturn void reply_follow(Shim *shim);

/* From here on signals are read in shim_wait(). */
void signals_open(Shim *shim);
/* Blocks them again after signals_restore(). */
void signals_block(Shim *shim);
/* Waits for `events` on `fd` and deals with signals meanwhile. The poll(2) events that came, or 0
 * when `left` ran out (NULL: no limit; else it is counted down, across signals). */
int shim_wait(Shim *shim, int fd, short events, struct timespec *left);
/* A deadly signal has waited for the door's answer as long as it may. */
bool answer_is_overdue(const Shim *shim);
/* Dies by that signal, so that the parent's wait(2) tells it. */
_Noreturn void die_by_signal(int signal_number);
void signals_restore(const Shim *shim);

/* "clawrden: ", the parts and a newline in one write. */
void say_parts(const char *const *parts, size_t n_parts);
#define say(...)                                                                                   \
    say_parts((const char *const[]){__VA_ARGS__},                                                  \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
/* The same, then the end. `shim` may be NULL (before signals_open). */
_Noreturn void fail_parts(const Shim *shim, int code, const char *const *parts, size_t n_parts);
#define fail(shim, code, ...)                                                                      \
    fail_parts(shim, code, (const char *const[]){__VA_ARGS__},                                     \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
