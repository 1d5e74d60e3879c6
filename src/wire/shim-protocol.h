/*
 * The protocol between a shim and its jail's socket, version 1 (docs/protocol.md is its text).
 *
 * libc only, constants and layouts only: the shim, which links no library, includes it too.
 * Unix stream socket; integers little-endian.
 *
 * Request: ShimHeader, then `path_size` bytes (the pathname the shim was executed as, AT_EXECFN),
 * `cwd_size` bytes (getcwd(3); a hint, the descriptor decides), `argv_size` bytes and `env_size`
 * bytes. Each is a run of NUL-terminated strings, the NULs counted in its size; argv holds exactly
 * `argc` of them, env `envc`. The descriptors travel with the first byte of the header, in the
 * order stdin, stdout, stderr (each only if its SHIM_FLAG_ bit is set), cwd (always, O_PATH).
 *
 * Reply: one ack byte; SHIM_ACK_PENDING is followed by the final ack byte, 0 or 1. Messages and
 * ticks may come before each of them: no frame type that is permitted there can be mistaken for an
 * ack. After the final ack come frames until SHIM_FRAME_EXIT. Frames in both directions: u8 type,
 * u32 length, payload.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define SHIM_DEFAULT_SOCKET "/run/clawrden/warden.sock"

#define SHIM_MAGIC 0x57414c43u /* "CLAW" */
#define SHIM_VERSION 1

/* The kernel's own limit for argv plus environment (execve(2)), and ours for a whole request,
 * counted as the kernel does: bytes, and a pointer for every string (shim_request_size()). */
#define SHIM_REQUEST_MAX (6u * 1024 * 1024)
#define SHIM_PATH_MAX 4096u

#define SHIM_FLAG_STDIN 0x0001u /* the caller's stdin is open and attached */
#define SHIM_FLAG_STDOUT 0x0002u
#define SHIM_FLAG_STDERR 0x0004u
#define SHIM_FLAG_DIRECT 0x0008u /* run as `clawrden-shim COMMAND …`: argv[0] names the command */
#define SHIM_FLAGS_KNOWN 0x000fu

#define SHIM_WAIT_FOREVER 0xffffffffu

typedef struct __attribute__((packed)) ShimHeader {
    uint32_t magic;
    uint16_t version;
    uint16_t flags;
    uint32_t wait_ms; /* how long the caller will wait for an approval; SHIM_WAIT_FOREVER */
    uint32_t path_size;
    uint32_t cwd_size;
    uint32_t argc;
    uint32_t argv_size;
    uint32_t envc;
    uint32_t env_size;
} ShimHeader;

/* What a request counts against SHIM_REQUEST_MAX; the header is in host order. */
static inline uint64_t shim_request_size(const ShimHeader *header)
{
    return (uint64_t)sizeof *header + header->path_size + header->cwd_size + header->argv_size +
           header->env_size + ((uint64_t)header->argc + header->envc) * 8;
}

enum {
    SHIM_ACK_ALLOWED = 0,
    SHIM_ACK_DENIED = 1, /* refused, for whatever reason; message and exit frames follow */
    SHIM_ACK_PENDING = 2,
};

enum {
    SHIM_FRAME_STDOUT = 1,       /* to the shim */
    SHIM_FRAME_STDERR = 2,       /* to the shim */
    SHIM_FRAME_EXIT = 3,         /* to the shim: u8 kind (0 code, 1 signal), u8 value */
    SHIM_FRAME_CANCEL = 4,       /* to the door: the caller gave up; as SHIM_FRAME_SIGNAL: unless
                                    the command has been started */
    SHIM_FRAME_STDIN = 5,        /* to the door */
    SHIM_FRAME_STDIN_CLOSED = 6, /* to the door */
    SHIM_FRAME_SIGNAL = 7,  /* to the door: u8 signal number, u8 1 = the terminal sent it (group) */
    SHIM_FRAME_WINDOW = 8,  /* to the door: u16 rows, u16 columns */
    SHIM_FRAME_MESSAGE = 9, /* to the shim: a text without newline for stderr */
    SHIM_FRAME_TICK = 10,   /* to the shim: still alive; no payload */
};

/* The signals that end who waits: those of SHIM_FRAME_CANCEL. */
static inline bool shim_signal_is_deadly(int signal_number)
{
    return signal_number == SIGINT || signal_number == SIGQUIT || signal_number == SIGTERM ||
           signal_number == SIGHUP;
}

#define SHIM_FRAME_HEADER_SIZE 5u
#define SHIM_FRAME_MAX (64u * 1024)

/* Exit codes an agent sees (docs/protocol.md). */
enum {
    EXIT_PENDING_NO_WAIT = 75, /* EX_TEMPFAIL */
    EXIT_TIMED_OUT = 124,
    EXIT_WARDEN_FAILED = 125,
    EXIT_DENIED = 126,
    EXIT_NOT_FOUND = 127,
};

/* The door says "tick" at least this often to every shim that waits for it; a shim that hears
 * nothing for SHIM_SILENCE_MAX_S gives up with 125. */
#define SHIM_TICK_S 10
#define SHIM_SILENCE_MAX_S 30
