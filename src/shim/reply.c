/*
 * The door's reply: an ack (perhaps "pending", and then a final one), and frames until the exit.
 * Ticks and messages may come at any time.
 *
 * Everything is read into one buffer that holds the largest frame, so a frame is dealt with when
 * it is whole and the usual reply (an ack, an exit) costs one or two reads. What the protocol does
 * not permit at that point ends the shim with 125: a door that speaks nonsense is not trusted with
 * an exit code.
 *
 * Output is written as it comes. While its reader is slow we read nothing from the door, which
 * feels that as backpressure, and its silence is not counted; signals still pass.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "shim/shim.h"

/* A pipe that poll(2) calls writable takes this much without blocking (pipe(7), PIPE_BUF). */
#define OUTPUT_PIECE 4096

#define INBOX_MAX (SHIM_FRAME_HEADER_SIZE + SHIM_FRAME_MAX)

typedef struct Inbox {
    size_t size;
    char bytes[INBOX_MAX + 1]; /* one more for the NUL behind a message that fills the inbox */
} Inbox;

/* Says only what is certain: between the command's start and our hearing of it anything may have
 * broken, so from the moment the request is out only the journal knows. */
static _Noreturn void fail_by_phase(const Shim *shim, const char *what)
{
    if (shim->deadly)
        die_by_signal(shim->deadly);
    switch (shim->phase) {
    case PHASE_RUNNING:
        fail(shim, EXIT_WARDEN_FAILED, what,
             "; whether the command finished is recorded in its journal");
    case PHASE_PENDING:
        fail(shim, EXIT_WARDEN_FAILED, what, " while the request was waiting for approval",
             "; whether the command was run is recorded in its journal");
    case PHASE_WAITING:
        fail(shim, EXIT_WARDEN_FAILED, what,
             "; whether the command was run is recorded in its journal");
    case PHASE_SENDING:
    case PHASE_REFUSED:
    default:
        fail(shim, EXIT_WARDEN_FAILED, what, "; nothing was run");
    }
}

static _Noreturn void fail_malformed(const Shim *shim)
{
    fail_by_phase(shim, "the warden answered with something that is not the shim's protocol");
}

/* Writes all of it, waiting for a slow reader; a reader that is gone ends us as it would end the
 * command. */
static void write_output(Shim *shim, int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        (void)shim_wait(shim, fd, POLLOUT, NULL);
        ssize_t written = write(fd, bytes, size < OUTPUT_PIECE ? size : OUTPUT_PIECE);
        if (written >= 0) {
            bytes += written;
            size -= (size_t)written;
            continue;
        }
        switch (errno) {
        case EAGAIN:
        case EINTR:
            continue;
        case EBADF: /* closed when we were started */
            return;
        case EPIPE: {
            struct sigaction action;
            if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                die_by_signal(SIGPIPE);
            fail(shim, EXIT_FAILED_WRITE, "write error: ", strerror(EPIPE));
        }
        default:
            fail(shim, EXIT_FAILED_WRITE, "write error: ", strerror(errno));
        }
    }
}

/* "clawrden: TEXT" on stderr. The byte behind the text lends its place to a NUL meanwhile. */
static void take_message(Shim *shim, char *text, size_t size)
{
    char saved = text[size];

    text[size] = '\0';
    (void)shim_wait(shim, STDERR_FILENO, POLLOUT, NULL);
    say(text);
    text[size] = saved;
}

static _Noreturn void take_exit(const Shim *shim, const uint8_t *payload)
{
    if (payload[0] == 0)
        _exit(payload[1]);
    if (payload[0] != 1 || payload[1] < 1 || payload[1] > 64)
        fail_malformed(shim);
    die_by_signal(payload[1]);
}

/* May a frame of this type come now? */
static bool is_permitted(const Shim *shim, uint8_t type)
{
    switch (type) {
    case SHIM_FRAME_STDOUT:
    case SHIM_FRAME_STDERR:
        return shim->phase == PHASE_RUNNING;
    case SHIM_FRAME_EXIT:
        return shim->phase == PHASE_RUNNING || shim->phase == PHASE_REFUSED;
    case SHIM_FRAME_MESSAGE:
    case SHIM_FRAME_TICK:
        return shim->phase != PHASE_SENDING;
    default:
        return false;
    }
}

static bool is_length_of(uint8_t type, uint32_t length)
{
    switch (type) {
    case SHIM_FRAME_EXIT:
        return length == 2;
    case SHIM_FRAME_TICK:
        return length == 0;
    default:
        return length <= SHIM_FRAME_MAX;
    }
}

static void take_frame(Shim *shim, uint8_t type, char *payload, uint32_t length)
{
    switch (type) {
    case SHIM_FRAME_STDOUT:
        write_output(shim, STDOUT_FILENO, payload, length);
        break;
    case SHIM_FRAME_STDERR:
        write_output(shim, STDERR_FILENO, payload, length);
        break;
    case SHIM_FRAME_MESSAGE:
        take_message(shim, payload, length);
        break;
    case SHIM_FRAME_EXIT:
        take_exit(shim, (const uint8_t *)payload);
    default: /* a tick: that it came is all it says */
        break;
    }
}

/* One byte that may be an ack: true when it was. No frame that is permitted before the final ack
 * has a type that an ack could be mistaken for. */
static bool take_ack(Shim *shim, uint8_t byte)
{
    if (shim->phase == PHASE_REFUSED || shim->phase == PHASE_RUNNING)
        return false;
    switch (byte) {
    case SHIM_ACK_ALLOWED: /* an answer to half a request can only be a refusal */
        if (shim->phase == PHASE_SENDING)
            return false;
        shim->phase = PHASE_RUNNING;
        shim->deadly = 0; /* the command has it */
        return true;
    case SHIM_ACK_DENIED:
        if (shim->deadly) /* it has met our wait */
            die_by_signal(shim->deadly);
        shim->phase = PHASE_REFUSED;
        return true;
    case SHIM_ACK_PENDING:
        if (shim->phase != PHASE_WAITING)
            return false;
        shim->phase = PHASE_PENDING;
        return true;
    default:
        return false;
    }
}

/* Deals with every whole thing in the inbox and keeps the rest at its start. */
static void take_all(Shim *shim, Inbox *inbox)
{
    size_t at = 0;

    while (at < inbox->size) {
        const uint8_t *bytes = (const uint8_t *)inbox->bytes + at;
        if (take_ack(shim, bytes[0])) {
            at++;
            continue;
        }
        if (!is_permitted(shim, bytes[0]))
            fail_malformed(shim);
        if (inbox->size - at < SHIM_FRAME_HEADER_SIZE)
            break;
        uint32_t length = (uint32_t)bytes[1] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3] << 16 |
                          (uint32_t)bytes[4] << 24;
        if (!is_length_of(bytes[0], length))
            fail_malformed(shim);
        if (inbox->size - at - SHIM_FRAME_HEADER_SIZE < length)
            break;
        at += SHIM_FRAME_HEADER_SIZE;
        take_frame(shim, bytes[0], inbox->bytes + at, length);
        at += length;
    }
    inbox->size -= at;
    memmove(inbox->bytes, inbox->bytes + at, inbox->size);
}

void reply_follow(Shim *shim)
{
    static Inbox inbox LARGE_BUFFER; /* on the stack it would be touched throughout */

    for (;;) {
        struct timespec left = {.tv_sec = SHIM_SILENCE_S};
        if (shim_wait(shim, shim->socket_fd, POLLIN, &left) == 0)
            fail_by_phase(shim, "the warden has gone silent");
        bool is_last = answer_is_overdue(shim); /* a door that says everything but that */
        ssize_t got = read(shim->socket_fd, inbox.bytes + inbox.size, INBOX_MAX - inbox.size);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0) /* ECONNRESET too: it did not read all that we had sent */
            fail_by_phase(shim, "the warden closed the connection");
        inbox.size += (size_t)got;
        take_all(shim, &inbox);
        if (is_last && shim->deadly)
            die_by_signal(shim->deadly);
    }
}
