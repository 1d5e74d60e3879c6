/*
 * The warden process with all its neighbours played by the test: parent, door, executor, api.
 *
 * What is proven here needs an order of events that real processes would hardly ever produce:
 * halves in either order, a caller that goes in each state, facts that drift, an executor that
 * answers late, a kill between admission and start.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "journal/journal.h"
#include "warden/warden.h"
#include "wire/message.h"
#include "wire/shim-protocol.h"

#define DOOR_ID 7u
#define PATIENCE_MS 20000
#define NOTHING_MS 100

static const char policy_text[] = "version: 1\n"
                                  "default_action: deny\n"
                                  "approval_timeout: 1s\n"
                                  "rules:\n"
                                  "  - command: allowed\n"
                                  "    action: allow\n"
                                  "    timeout: 300ms\n"
                                  "  - command: lasting\n"
                                  "    action: allow\n"
                                  "  - command: asked\n"
                                  "    action: ask\n"
                                  "    reason: why not\n"
                                  "  - command: forbidden\n"
                                  "    action: deny\n"
                                  "    reason: try something else\n";

typedef struct Frame {
    uint16_t type;
    uint64_t key;
    char payload[8192];
    size_t size;
} Frame;

typedef struct World {
    pid_t pid;
    int control, door, executor, api, journal;
} World;

static void send_frame(int fd, uint16_t type, uint64_t key, const void *payload, size_t size,
                       int with)
{
    Buffer frame = BUFFER_EMPTY(1 << 20);
    buffer_put_u32(&frame, (uint32_t)size);
    buffer_put_u16(&frame, type);
    buffer_put_u8(&frame, with >= 0);
    buffer_put_u8(&frame, 0);
    buffer_put_u64(&frame, key);
    buffer_put(&frame, payload, size);
    assert_int_equal(fd_send(fd, frame.bytes, frame.size, &with, with >= 0 ? 1 : 0, 0), frame.size);
    buffer_done(&frame);
}

static bool wait_readable(int fd, int milliseconds)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, milliseconds) == 1;
}

static void read_exactly(int fd, char *bytes, size_t size)
{
    while (size > 0) {
        assert_true(wait_readable(fd, PATIENCE_MS));
        ssize_t got = read(fd, bytes, size);
        assert_true(got > 0);
        bytes += got;
        size -= (size_t)got;
    }
}

static Frame receive(int fd)
{
    Frame frame = {.type = 0};
    char header[16];

    read_exactly(fd, header, sizeof header);
    Reader reader = reader_of(header, sizeof header);
    frame.size = reader_u32(&reader);
    frame.type = reader_u16(&reader);
    (void)reader_u16(&reader);
    frame.key = reader_u64(&reader);
    assert_true(frame.size <= sizeof frame.payload);
    read_exactly(fd, frame.payload, frame.size);
    return frame;
}

static Frame expect(int fd, uint16_t type, uint64_t key)
{
    Frame frame = receive(fd);
    assert_int_equal(frame.type, type);
    assert_true(frame.key == key);
    return frame;
}

/* Control messages that are not about the test pass by. */
static Frame expect_control(int fd, uint16_t type)
{
    for (;;) {
        Frame frame = receive(fd);
        if (frame.type == type)
            return frame;
        assert_true(frame.type == MESSAGE_HEAD || frame.type == MESSAGE_POLICY_ANSWER ||
                    frame.type == MESSAGE_READY);
    }
}

static void expect_silence(int fd)
{
    assert_false(wait_readable(fd, NOTHING_MS));
}

static int text_fd(const char *text)
{
    int fd = memfd_create("policy", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    return fd;
}

static void hand_link(World *world, LinkRole role, int *ret_end)
{
    int pair[2];
    Buffer payload = BUFFER_EMPTY(256);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    buffer_put_u8(&payload, (uint8_t)role);
    buffer_put_u32(&payload, role == LINK_ROLE_DOOR ? DOOR_ID : 0);
    buffer_put_string(&payload, role == LINK_ROLE_DOOR ? "default" : "");
    buffer_put_string(&payload, "");
    send_frame(world->control, MESSAGE_LINK, 0, payload.bytes, payload.size, pair[1]);
    buffer_done(&payload);
    close(pair[1]);
    *ret_end = pair[0];
}

static void hand_journal(World *world, int fd)
{
    Buffer payload = BUFFER_EMPTY(256);
    const char zero[DIGEST_SIZE] = {0};

    buffer_put_u64(&payload, 0);
    buffer_put(&payload, zero, sizeof zero);
    buffer_put_string(&payload, "");
    send_frame(world->control, MESSAGE_JOURNAL, 0, payload.bytes, payload.size, fd);
    buffer_done(&payload);
}

static void hand_policy(World *world, const char *text)
{
    Buffer payload = BUFFER_EMPTY(256);
    int fd = text_fd(text);

    buffer_put_string(&payload, "/policy.yaml");
    buffer_put_string(&payload, "");
    send_frame(world->control, MESSAGE_POLICY, 0, payload.bytes, payload.size, fd);
    buffer_done(&payload);
    close(fd);
}

static int set_up(void **state)
{
    static World world;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    world = (World){.control = pair[0], .journal = memfd_create("journal", MFD_CLOEXEC)};
    assert_int_equal(fcntl(world.journal, F_SETFL, O_APPEND), 0);
    world.pid = fork();
    if (world.pid == 0) {
        ProcessContext context = {.control_fd = pair[1], .audit_path = "/audit.log"};
        int keep[] = {pair[1]};
        (void)fd_close_all_except(keep, 1);
        _exit(warden_main(&context));
    }
    close(pair[1]);
    hand_journal(&world, world.journal);
    hand_policy(&world, policy_text);
    hand_link(&world, LINK_ROLE_EXECUTOR, &world.executor);
    hand_link(&world, LINK_ROLE_DOOR, &world.door);
    hand_link(&world, LINK_ROLE_API, &world.api);
    (void)expect_control(world.control, MESSAGE_READY);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    World *world = *state;
    int status = 0;

    kill(world->pid, SIGKILL);
    waitpid(world->pid, &status, 0);
    close(world->control);
    close(world->door);
    close(world->executor);
    close(world->api);
    close(world->journal);
    return 0;
}

/* The neighbours' lines. */

static uint64_t key_of(uint32_t counter)
{
    return MESSAGE_KEY(DOOR_ID, counter);
}

static void say_words(World *world, uint64_t key, const char *name)
{
    Buffer payload = BUFFER_EMPTY(4096), blob = BUFFER_EMPTY(4096);
    size_t path_size = strlen(name) + 10;
    ShimHeader header = {.magic = SHIM_MAGIC,
                         .version = SHIM_VERSION,
                         .wait_ms = SHIM_WAIT_FOREVER,
                         .path_size = (uint32_t)path_size,
                         .cwd_size = 2,
                         .argc = 2,
                         .argv_size = (uint32_t)strlen(name) + 1 + 3,
                         .envc = 2,
                         .env_size = 7 + 12};

    buffer_put(&blob, &header, sizeof header);
    buffer_printf(&blob, "/usr/bin/%s", name);
    buffer_put_u8(&blob, 0);
    buffer_put(&blob, "/", 2);
    buffer_put(&blob, name, strlen(name) + 1);
    buffer_put(&blob, "-x", 3);
    buffer_put(&blob, "PATH=/", 7);
    buffer_put(&blob, "LD_AUDIT=/x", 12);
    buffer_put_u32(&payload, 100);
    buffer_put_u32(&payload, 1000);
    buffer_put_u32(&payload, 1000);
    buffer_put_blob(&payload, blob.bytes, blob.size);
    send_frame(world->door, DOOR_REQUEST, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
    buffer_done(&blob);
}

static Prepared facts_of(const char *exe)
{
    return (Prepared){.pid = 100,
                      .uid = 1000,
                      .gid = 1000,
                      .start_time = 5,
                      .container = "",
                      .exe = exe,
                      .interpreter = "",
                      .operand = "",
                      .cwd = "/"};
}

static void say_prepared(World *world, uint64_t key, const Prepared *prepared)
{
    Buffer payload = BUFFER_EMPTY(4096);
    prepared_encode(&payload, prepared);
    send_frame(world->executor, EXEC_PREPARED, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static void say_facts(World *world, uint64_t key, const char *exe)
{
    Prepared prepared = facts_of(exe);
    say_prepared(world, key, &prepared);
}

static void say_hashed(World *world, uint64_t key)
{
    Examined examined = {.hashed.exe = {{1, 2, 3}}};
    Buffer payload = BUFFER_EMPTY(4096);
    examined_encode(&payload, &examined);
    send_frame(world->executor, EXEC_HASHED, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static void say_started(World *world, uint64_t key)
{
    uint32_t pid = 4242;
    send_frame(world->executor, EXEC_STARTED, key, &pid, sizeof pid, -1);
}

static void say_ended(World *world, uint64_t key, uint8_t kind, uint8_t value)
{
    uint8_t payload[6] = {kind, value};
    send_frame(world->executor, EXEC_ENDED, key, payload, sizeof payload, -1);
}

static const Actor tester = {
    .name = "tester (uid 0)", .role = ROLE_ADMIN, .via = "cli", .jails = ""};

static void decide(World *world, const char *id, bool approve)
{
    Buffer payload = BUFFER_EMPTY(4096);
    actor_encode(&payload, &tester);
    buffer_put_string(&payload, id);
    buffer_put_u8(&payload, approve);
    buffer_put_u8(&payload, REMEMBER_NOT);
    buffer_put_u64(&payload, 0);
    buffer_put_u8(&payload, false);
    buffer_put_string(&payload, "because");
    send_frame(world->api, API_DECIDE, 99, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static unsigned answer_status(World *world)
{
    Frame frame = receive(world->api);
    Reader reader = reader_of(frame.payload, frame.size);
    assert_int_equal(frame.type, API_ANSWER);
    return reader_u16(&reader);
}

static void call_api(World *world, uint16_t type)
{
    Buffer payload = BUFFER_EMPTY(4096);
    actor_encode(&payload, &tester);
    if (type == API_KILL || type == API_RESUME)
        buffer_put_string(&payload, "");
    send_frame(world->api, type, 98, payload.bytes ? payload.bytes : "", payload.size, -1);
    buffer_done(&payload);
}

static void expect_refusal(World *world, uint64_t key, uint8_t code, const char *words)
{
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_DENIED);
    Frame message = expect(world->door, DOOR_MESSAGE, key);
    if (!strstr(message.payload + 4, words))
        fail_msg("%s: not in: %s", words, message.payload + 4);
    Frame end = expect(world->door, DOOR_EXIT, key);
    assert_int_equal(end.payload[0], 0);
    assert_int_equal((uint8_t)end.payload[1], code);
}

static void expect_exit(World *world, uint64_t key, uint8_t kind, uint8_t value)
{
    Frame end = expect(world->door, DOOR_EXIT, key);
    assert_int_equal((uint8_t)end.payload[0], kind);
    assert_int_equal((uint8_t)end.payload[1], value);
}

/* Reads "waiting for approval XXXXXX …". */
static void expect_pending(World *world, uint64_t key, char id[static 7])
{
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_PENDING);
    Frame message = expect(world->door, DOOR_MESSAGE, key);
    assert_int_equal(sscanf(message.payload + 4, "waiting for approval %6s", id), 1);
}

static void run_to_start(World *world, uint64_t key)
{
    say_words(world, key, "allowed");
    say_facts(world, key, "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_RUN, key);
    say_started(world, key);
    assert_int_equal(expect(world->door, DOOR_ACK, key).payload[0], SHIM_ACK_ALLOWED);
}

static void run_to_pending(World *world, uint64_t key, char id[static 7])
{
    say_words(world, key, "asked");
    say_facts(world, key, "/usr/bin/asked");
    (void)expect(world->executor, EXEC_HASH, key);
    say_hashed(world, key);
    expect_pending(world, key, id);
}

static bool journal_has(World *world, const char *text)
{
    char bytes[65536];
    ssize_t got = pread(world->journal, bytes, sizeof bytes - 1, 0);
    assert_true(got >= 0);
    bytes[got] = '\0';
    return strstr(bytes, text) != NULL;
}

static void expect_journal(World *world, const char *text)
{
    for (int i = 0; i < 200; i++) {
        if (journal_has(world, text))
            return;
        usleep(10000);
    }
    fail_msg("the journal never had %s", text);
}

/* The tests. */

static void test_halves_in_either_order(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    say_ended(world, key_of(1), 0, 3);
    expect_exit(world, key_of(1), 0, 3);

    say_facts(world, key_of(2), "/usr/bin/allowed");
    say_words(world, key_of(2), "allowed");
    (void)expect(world->executor, EXEC_RUN, key_of(2));
    say_started(world, key_of(2));
    (void)expect(world->door, DOOR_ACK, key_of(2));
    say_ended(world, key_of(2), 1, 15);
    expect_exit(world, key_of(2), 1, 15);
    expect_journal(world, "\"signal\":15");
}

static void test_the_record_comes_before_the_order(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "allowed");
    say_facts(world, key_of(1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    assert_true(journal_has(world, "\"event\":\"judged\""));
}

static void test_the_order_scrubs_the_environment(void **state)
{
    World *world = *state;
    RunOrder order;

    say_words(world, key_of(1), "allowed");
    say_facts(world, key_of(1), "/usr/bin/allowed");
    Frame run = expect(world->executor, EXEC_RUN, key_of(1));
    assert_int_equal(run_order_decode(run.payload, run.size, &order), 0);
    assert_true(run_order_keeps(&order, 0));
    assert_false(run_order_keeps(&order, 1)); /* LD_AUDIT */
    assert_false(order.bound);
    const char *argv[] = {"allowed", "-x"}, *env[] = {"PATH=/"};
    Digest expected = digest_command(argv, 2, env, 1);
    assert_true(digest_equal(&order.command, &expected));
}

static void test_denied_ends_the_child(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "forbidden");
    say_facts(world, key_of(1), "/usr/bin/forbidden");
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "try something else");
    expect_journal(world, "\"event\":\"denied\"");
}

static void test_what_cannot_be_prepared_is_refused(void **state)
{
    World *world = *state;
    static const struct {
        ExecFailure failure;
        uint8_t code;
    } cases[] = {{EXEC_FAILURE_IDENTITY, 125},
                 {EXEC_FAILURE_NOT_FOUND, 127},
                 {EXEC_FAILURE_NOT_RUNNABLE, 126},
                 {EXEC_FAILURE_CWD, 126},
                 {EXEC_FAILURE_BROKEN, 125}};

    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Buffer payload = BUFFER_EMPTY(256);
        buffer_put_u8(&payload, (uint8_t)cases[i].failure);
        buffer_put_string(&payload, "words");
        if (i % 2) /* either order */
            say_words(world, key_of(i + 1), "allowed");
        send_frame(world->executor, EXEC_FAILED, key_of(i + 1), payload.bytes, payload.size, -1);
        if (i % 2 == 0)
            say_words(world, key_of(i + 1), "allowed");
        expect_refusal(world, key_of(i + 1), cases[i].code, "allowed -x");
        buffer_done(&payload);
    }
    expect_silence(world->executor);
}

static void test_approved_runs_bound(void **state)
{
    World *world = *state;
    char id[7];
    RunOrder order;

    run_to_pending(world, key_of(1), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    assert_true(journal_has(world, "\"event\":\"decided\""));
    assert_true(journal_has(world, "\"approver\":\"tester (uid 0)\""));
    say_facts(world, key_of(1), "/usr/bin/asked");
    Frame run = expect(world->executor, EXEC_RUN, key_of(1));
    assert_int_equal(run_order_decode(run.payload, run.size, &order), 0);
    assert_true(order.bound);
    assert_int_equal(order.hashed.exe.bytes[2], 3);
    decide(world, id, false); /* a second decision */
    assert_int_equal(answer_status(world), 409);
    expect_journal(world, "\"event\":\"late\"");
}

static void test_human_says_no(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    decide(world, id, false);
    expect_refusal(world, key_of(1), 126, "denied by tester (uid 0): because");
    assert_int_equal(answer_status(world), 200);
    expect_silence(world->executor);
}

static void test_expiry_denies_and_a_late_yes_is_late(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    expect_refusal(world, key_of(1), 126, "nobody answered within 1s");
    decide(world, id, true);
    assert_int_equal(answer_status(world), 409);
    expect_journal(world, "\"event\":\"expired\"");
    expect_silence(world->executor);
}

static void expect_drift(World *world, uint32_t counter, const Prepared *changed)
{
    char id[7];

    run_to_pending(world, key_of(counter), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(counter));
    say_prepared(world, key_of(counter), changed);
    (void)expect(world->executor, EXEC_DROP, key_of(counter));
    expect_refusal(world, key_of(counter), 126, "changed");
}

static void test_drift_is_refused(void **state)
{
    World *world = *state;
    static const gid_t more[] = {27};
    Prepared changed[] = {facts_of("/usr/bin/asked"), facts_of("/usr/bin/asked"),
                          facts_of("/usr/bin/asked")};

    changed[0].n_groups = 1;
    changed[0].groups = more;
    changed[1].cwd_inode = 9;
    changed[2].container = "another";
    for (uint32_t i = 0; i < 3; i++)
        expect_drift(world, i + 1, &changed[i]);
    expect_journal(world, "\"event\":\"drift\"");
}

static void test_drift_of_file_and_process(void **state)
{
    World *world = *state;
    char id[7];
    Prepared changed = facts_of("/usr/local/bin/asked");

    run_to_pending(world, key_of(1), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_prepared(world, key_of(1), &changed);
    (void)expect(world->executor, EXEC_DROP, key_of(1));
    expect_refusal(world, key_of(1), 126, "another file");

    changed = facts_of("/usr/bin/asked");
    changed.start_time = 6;
    run_to_pending(world, key_of(2), id);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(2));
    say_prepared(world, key_of(2), &changed);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "another process");
}

static void test_a_caller_that_goes(void **state)
{
    World *world = *state;
    char id[7];

    /* before the facts */
    say_words(world, key_of(1), "allowed");
    send_frame(world->door, DOOR_GONE, key_of(1), "", 0, -1);
    usleep(50000);
    say_facts(world, key_of(1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(1));

    /* while the program is hashed */
    say_words(world, key_of(2), "asked");
    say_facts(world, key_of(2), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_HASH, key_of(2));
    send_frame(world->door, DOOR_GONE, key_of(2), "", 0, -1);
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    say_hashed(world, key_of(2)); /* too late: nobody is asked */

    /* while a human is asked: the answer is kept, nothing runs */
    run_to_pending(world, key_of(3), id);
    send_frame(world->door, DOOR_GONE, key_of(3), "", 0, -1);
    expect_journal(world, "the question stays open");
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    expect_silence(world->executor);

    /* while it runs */
    run_to_start(world, key_of(4));
    send_frame(world->door, DOOR_GONE, key_of(4), "", 0, -1);
    Frame end = expect(world->executor, EXEC_END, key_of(4));
    uint32_t grace;
    memcpy(&grace, end.payload, sizeof grace);
    assert_int_equal(grace, 5000);
    say_ended(world, key_of(4), 1, 15);
    expect_silence(world->door);
}

static void test_gone_between_order_and_start(void **state)
{
    World *world = *state;

    say_words(world, key_of(1), "allowed");
    say_facts(world, key_of(1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    send_frame(world->door, DOOR_GONE, key_of(1), "", 0, -1);
    usleep(50000);
    say_started(world, key_of(1));
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 15);
    expect_journal(world, "\"event\":\"ended\"");
}

static void say_signal(World *world, uint64_t key, int number, bool group)
{
    const uint8_t payload[2] = {(uint8_t)number, group};
    send_frame(world->door, DOOR_SIGNAL, key, payload, sizeof payload, -1);
}

static void expect_signal(World *world, uint64_t key, int number, bool group)
{
    Frame frame = expect(world->executor, EXEC_SIGNAL, key);
    assert_int_equal(frame.size, 2);
    assert_int_equal((uint8_t)frame.payload[0], number);
    assert_int_equal((uint8_t)frame.payload[1], group);
}

/* The link to the door keeps its order: once the order for this request is there, the warden has
 * read whatever the door said before. */
static void say_all_is_read(World *world, uint64_t key)
{
    say_facts(world, key, "/usr/bin/lasting");
    say_words(world, key, "lasting");
    (void)expect(world->executor, EXEC_RUN, key);
}

/* A signal that comes before the command runs is for it all the same; a stop that was taken back
 * is none. */
static void test_signals_before_the_start(void **state)
{
    World *world = *state;

    say_all_is_read(world, key_of(1));
    say_signal(world, key_of(1), SIGCONT, false);
    say_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGUSR1, false);
    say_signal(world, key_of(1), 0, true);
    say_signal(world, key_of(1), 65, true);
    say_all_is_read(world, key_of(2)); /* and nothing came between */
    say_started(world, key_of(1));
    expect_signal(world, key_of(1), SIGUSR1, false);
    expect_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGUSR2, true); /* while it runs they go straight on */
    expect_signal(world, key_of(1), SIGUSR2, true);
}

static void test_a_stop_before_the_start_is_taken_back(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    say_signal(world, key_of(1), SIGTSTP, true);
    say_signal(world, key_of(1), SIGCONT, true);
    say_all_is_read(world, key_of(2));
    decide(world, id, true);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    say_started(world, key_of(1));
    expect_signal(world, key_of(1), SIGCONT, true);
    say_signal(world, key_of(1), SIGUSR2, false);
    expect_signal(world, key_of(1), SIGUSR2, false);
}

static void test_timeout(void **state)
{
    World *world = *state;

    run_to_start(world, key_of(1));
    Frame message = expect(world->door, DOOR_MESSAGE, key_of(1));
    assert_non_null(strstr(message.payload + 4, "timed out after 300ms"));
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 0, 0); /* it ended well, but too late */
    expect_exit(world, key_of(1), 0, 124);
    expect_journal(world, "\"timeout_violation\":true");
}

static void test_kill_in_each_state(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    run_to_start(world, key_of(2));
    say_words(world, key_of(3), "allowed"); /* its facts are still missing */
    usleep(50000);
    call_api(world, API_KILL);
    bool ended = false, refused = false;
    for (int i = 0; i < 4; i++) { /* the order among requests is nobody's promise */
        Frame frame = receive(world->door);
        ended |= frame.type == DOOR_MESSAGE && frame.key == key_of(2);
        refused |= frame.type == DOOR_EXIT && frame.key == key_of(1);
    }
    assert_true(ended && refused);
    Frame end = expect(world->executor, EXEC_END, key_of(2));
    uint32_t grace;
    memcpy(&grace, end.payload, sizeof grace);
    assert_int_equal(grace, 0);
    assert_int_equal(answer_status(world), 200);
    say_ended(world, key_of(2), 1, 9);
    expect_exit(world, key_of(2), 1, 9);
    say_facts(world, key_of(3), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(3));
    expect_refusal(world, key_of(3), 126, "ended everything");

    /* nothing new until it is resumed */
    say_words(world, key_of(4), "allowed");
    say_facts(world, key_of(4), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(4));
    expect_refusal(world, key_of(4), 126, "stopped this jail");
    call_api(world, API_RESUME);
    assert_int_equal(answer_status(world), 200);
    run_to_start(world, key_of(5));
}

static void test_a_bad_policy_changes_nothing(void **state)
{
    World *world = *state;

    hand_policy(world, "version: 1\nrules: [{comand: x}]\n");
    Frame answer = expect_control(world->control, MESSAGE_POLICY_ANSWER);
    while (answer.payload[0] != 0)
        answer = expect_control(world->control, MESSAGE_POLICY_ANSWER);
    assert_non_null(strstr(answer.payload + 5, "/policy.yaml:2"));
    run_to_start(world, key_of(1));
}

static void test_a_verdict_outlives_its_policy(void **state)
{
    World *world = *state;
    char id[7];

    run_to_pending(world, key_of(1), id);
    hand_policy(world, "version: 1\ndefault_action: deny\n");
    usleep(100000);
    decide(world, id, true);
    assert_int_equal(answer_status(world), 200);
    (void)expect(world->door, DOOR_OPEN, key_of(1));
    say_facts(world, key_of(1), "/usr/bin/asked");
    (void)expect(world->executor, EXEC_RUN, key_of(1));
    say_words(world, key_of(2), "allowed");
    say_facts(world, key_of(2), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, key_of(2));
    expect_refusal(world, key_of(2), 126, "denied");
}

static void test_foreign_keys_are_ignored(void **state)
{
    World *world = *state;

    say_words(world, MESSAGE_KEY(DOOR_ID + 1, 1), "allowed");
    say_facts(world, MESSAGE_KEY(DOOR_ID + 1, 1), "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_DROP, MESSAGE_KEY(DOOR_ID + 1, 1));
    expect_silence(world->door);
    run_to_start(world, key_of(1));
}

static void test_stop_ends_what_runs_and_writes_the_last_record(void **state)
{
    World *world = *state;
    int status = 0;

    run_to_start(world, key_of(1));
    send_frame(world->control, MESSAGE_STOP, 0, "", 0, -1);
    (void)expect(world->executor, EXEC_END, key_of(1));
    say_ended(world, key_of(1), 1, 15);
    assert_int_equal(waitpid(world->pid, &status, 0), world->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(journal_has(world, "\"event\":\"stop\""));
    assert_true(journal_has(world, "\"event\":\"ended\""));
}

#define WARDEN_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WARDEN_TEST(test_halves_in_either_order),
        WARDEN_TEST(test_the_record_comes_before_the_order),
        WARDEN_TEST(test_the_order_scrubs_the_environment),
        WARDEN_TEST(test_denied_ends_the_child),
        WARDEN_TEST(test_what_cannot_be_prepared_is_refused),
        WARDEN_TEST(test_approved_runs_bound),
        WARDEN_TEST(test_human_says_no),
        WARDEN_TEST(test_expiry_denies_and_a_late_yes_is_late),
        WARDEN_TEST(test_drift_is_refused),
        WARDEN_TEST(test_drift_of_file_and_process),
        WARDEN_TEST(test_a_caller_that_goes),
        WARDEN_TEST(test_gone_between_order_and_start),
        WARDEN_TEST(test_signals_before_the_start),
        WARDEN_TEST(test_a_stop_before_the_start_is_taken_back),
        WARDEN_TEST(test_timeout),
        WARDEN_TEST(test_kill_in_each_state),
        WARDEN_TEST(test_a_bad_policy_changes_nothing),
        WARDEN_TEST(test_a_verdict_outlives_its_policy),
        WARDEN_TEST(test_foreign_keys_are_ignored),
        WARDEN_TEST(test_stop_ends_what_runs_and_writes_the_last_record),
    };
    return cmocka_run_group_tests_name("warden", tests, NULL, NULL);
}
