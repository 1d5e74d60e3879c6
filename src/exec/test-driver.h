/*
 * A stage for the executor's tests: starts executor_run() in a process of its own and plays parent,
 * door, warden and api to it, with real callers that connect to a real jail's socket.
 *
 * Everything is blocking and bounded by DRIVER_TIMEOUT_MS; what does not come in time fails the
 * test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "exec/executor-private.h"
#include "wire/shim-protocol.h"

#define DRIVER_TIMEOUT_MS 30000 /* machines that build or test something else are slow */
#define DRIVER_DOOR_ID 7u
#define DRIVER_UID 54321      /* nobody else's on this machine */
#define DRIVER_COMMANDS 1000u /* the jail's limit, unless a test sets another */
#define DRIVER_KEY(n) MESSAGE_KEY(DRIVER_DOOR_ID, (n))

typedef struct Driver {
    ProcessContext context;
    const char *cgroup; /* for the executor; NULL: ours */
    char directory[64]; /* a fresh one below /tmp, mode 0755 */
    char socket[108];
    int listener;
    pid_t executor;
    int control, door, warden, api;
} Driver;

typedef struct Frame {
    uint16_t type;
    uint64_t key;
    size_t size;
    char payload[64 * 1024];
} Frame;

/* A process that connects to the jail's socket and then waits to be killed. */
typedef struct Caller {
    pid_t pid;
    int connection; /* the door's end */
} Caller;

void driver_start(Driver *driver, const ExecutorOptions *options);
/* The same with the executor in this cgroup (a directory; NULL: where we are). */
void driver_start_in(Driver *driver, const ExecutorOptions *options, const char *cgroup);
/* The same in a directory that is there already: a second life. */
void driver_start_again(Driver *driver, const ExecutorOptions *options);
/* A jail's limit of commands; the driver's own jail is "test". */
void driver_set_commands(Driver *driver, const char *jail, uint32_t commands);
/* Another door, of a jail whose limit has been set. Its link. */
int driver_add_door(Driver *driver, const char *jail, uint32_t id);
/* A TCP connection with unsent bytes whose close waits a minute; the peer in `ret_peer` does not
 * read. */
int driver_lingering_socket(int *ret_peer);
/* Returns when the executor has read and done what was sent to it on the control link. */
void driver_settle(Driver *driver);
/* Closes what the driver holds of an executor that has ended; removes the directory. */
void driver_clean(Driver *driver);
/* STOP, wait, check the exit status and that nothing is left behind. */
void driver_stop(Driver *driver);

/* `arrange` runs in the caller before it connects; NULL: nothing. With DRIVER_UID_ASIS the caller
 * is who `arrange` has made it. */
#define DRIVER_UID_ASIS ((uid_t)-1)
Caller driver_call_as(Driver *driver, uid_t uid, void (*arrange)(void *userdata), void *userdata);
Caller driver_call(Driver *driver); /* as the test itself */
void caller_end(Caller *caller);

/* A request as the shim would send it. Fields that are NULL or 0 get sensible values. */
typedef struct Spec {
    const char *path; /* AT_EXECFN */
    const char *const *argv;
    const char *const *env;
    const char *cwd;
    uint16_t flags;   /* beside those of stdio */
    int stdio[3];     /* descriptors; -1: closed; 0: /dev/null */
    uint8_t keep[64]; /* env bits; all zero: keep everything */
    int cwd_fd;       /* 0: opened from `cwd` */
} Spec;

/* EXEC_OPEN with this connection; the request goes down the socketpair. */
void driver_open(Driver *driver, uint64_t key, int connection, const Spec *spec);
/* EXEC_OPEN with these two descriptors and nothing more. */
void driver_open_raw(Driver *driver, uint64_t key, int connection, int stream);
/* The bytes of a request; the caller frees. */
char *driver_encode(const Spec *spec, size_t *ret_size);
size_t driver_fds(const Spec *spec, int fds[4]);

void driver_send(int link, uint16_t type, uint64_t key, const void *payload, size_t size,
                 const int *fds, size_t n_fds);
/* The next frame of the executor on this link; fails the test when none comes. */
void driver_read(int link, Frame *ret);
/* The next frame, which must be of this type and key. */
void driver_expect(Driver *driver, uint16_t type, uint64_t key, Frame *ret);
/* True when a frame can be read within that time. */
bool driver_has_frame(int link, int timeout_ms);

/* EXEC_PREPARED must come; its contents. */
Prepared driver_prepared(Driver *driver, uint64_t key, Frame *frame);
/* EXEC_FAILED must come, with this failure; its words. */
const char *driver_failed(Driver *driver, uint64_t key, ExecFailure failure, Frame *frame);
void assert_words(const char *text, const char *words); /* `words` are in it */
/* This caller's request is refused with these words. */
void driver_refused(Driver *driver, uint64_t key, const Caller *caller, const Spec *spec,
                    ExecFailure failure, const char *words);
/* EXEC_HASH and its answer; all of it, or the digests. */
Examined driver_examine(Driver *driver, uint64_t key);
Hashed driver_hash(Driver *driver, uint64_t key);
/* Orders the request to run; bound when `hashed` is not NULL. */
void driver_run(Driver *driver, uint64_t key, const Spec *spec, const Hashed *hashed);
void driver_end(Driver *driver, uint64_t key, uint32_t grace_ms);
void driver_signal(Driver *driver, uint64_t key, int signal_number, bool group);

typedef struct Ended {
    uint8_t kind, value;
    uint32_t left;
} Ended;
/* EXEC_STARTED (its pid to `ret_pid` if wanted). */
void driver_started(Driver *driver, uint64_t key, pid_t *ret_pid);
/* EXEC_ENDED, stepping over EXEC_EXITED. */
Ended driver_ended(Driver *driver, uint64_t key);

/* The whole road of one allowed command; its standard output and error (up to `room` bytes,
 * NUL-terminated) to `output` if not NULL. As this caller, or as the test's own user. */
Ended driver_command_of(Driver *driver, const Caller *caller, uint32_t n, const Spec *spec,
                        char *output, size_t room);
Ended driver_command(Driver *driver, uint32_t n, const Spec *spec, char *output, size_t room);

/* Files for tests. */
void write_text(const char *path, const char *text, mode_t mode);
const char *in_directory(const Driver *driver, const char *name); /* static buffers, four deep */
bool process_exists(pid_t pid);                                   /* alive, not a zombie */
char process_state(pid_t pid); /* proc(5), third field of stat; '?' when gone */
