/*
 * See test-world.h.
 */
#include "warden/test-world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "jail/settings.h"
#include "warden/warden.h"

/* Frames. */

void send_frame(int fd, uint16_t type, uint64_t key, const void *payload, size_t size, int with)
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
        if (!wait_readable(fd, PATIENCE_MS))
            fail_msg("nothing came");
        ssize_t got = read(fd, bytes, size);
        assert_true(got > 0);
        bytes += got;
        size -= (size_t)got;
    }
}

Frame receive(int fd)
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

Frame expect(int fd, uint16_t type, uint64_t key)
{
    Frame frame = receive(fd);
    assert_int_equal(frame.type, type);
    assert_true(frame.key == key);
    return frame;
}

Frame expect_control(int fd, uint16_t type)
{
    for (;;) {
        Frame frame = receive(fd);
        if (frame.type == type)
            return frame;
        assert_true(frame.type == MESSAGE_HEAD || frame.type == MESSAGE_POLICY_ANSWER ||
                    frame.type == MESSAGE_READY || frame.type == MESSAGE_RELOAD);
    }
}

void expect_silence(int fd)
{
    assert_false(wait_readable(fd, NOTHING_MS));
}

/* The parent. */

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

void world_hand_engine(World *world)
{
    hand_link(world, LINK_ROLE_ENGINE, &world->engine);
    /* It counts before anything that comes by another link from now on. */
    send_frame(world->control, MESSAGE_PING, 0, "", 0, -1);
    (void)expect_control(world->control, MESSAGE_PONG);
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

static int text_fd(const char *text)
{
    int fd = memfd_create("policy", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    return fd;
}

void hand_policy(World *world, const char *text)
{
    Buffer payload = BUFFER_EMPTY(256);
    int fd = text_fd(text);

    buffer_put_string(&payload, "/policy.yaml");
    buffer_put_string(&payload, "");
    send_frame(world->control, MESSAGE_POLICY, 0, payload.bytes, payload.size, fd);
    buffer_done(&payload);
    close(fd);
}

void change_policy(World *world, const char *text)
{
    hand_policy(world, text);
    Frame answer = expect_control(world->control, MESSAGE_POLICY_ANSWER);
    if (!answer.payload[0])
        fail_msg("%s", answer.payload + 5);
}

void hand_limits(World *world, uint32_t pending)
{
    Buffer payload = BUFFER_EMPTY(256);
    JailSettings settings = {.jail = policy_jail_defaults("default"), .source = JAIL_OF_POLICY};

    settings.jail.limits.pending = pending;
    jail_settings_encode(&payload, &settings, true);
    send_frame(world->control, MESSAGE_JAIL, 0, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

SwitchesFound found_switches = SWITCHES_NONE;
const char *found_text = "";

static void hand_switches(World *world)
{
    Buffer payload = BUFFER_EMPTY(1 << 16);

    buffer_put_u8(&payload, (uint8_t)found_switches);
    buffer_put_string(&payload, found_text);
    send_frame(world->control, MESSAGE_SWITCHES, 0, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

static void say_kept(World *world, uint32_t error)
{
    Buffer payload = BUFFER_EMPTY(64);

    buffer_put_u32(&payload, error);
    send_frame(world->control, MESSAGE_SWITCHES_SAVED, 0, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

Frame keep_switches(World *world, uint32_t error)
{
    Frame frame = expect_control(world->control, MESSAGE_SWITCHES_SAVE);
    say_kept(world, error);
    return frame;
}

int world_set_up(void **state)
{
    static World world;
    const char *policy = *state;
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
    hand_switches(&world);
    hand_journal(&world, world.journal);
    hand_policy(&world, policy);
    Frame loaded = expect_control(world.control, MESSAGE_POLICY_ANSWER);
    if (!loaded.payload[0])
        fail_msg("%s", loaded.payload + 5);
    hand_link(&world, LINK_ROLE_EXECUTOR, &world.executor);
    hand_link(&world, LINK_ROLE_DOOR, &world.door);
    hand_link(&world, LINK_ROLE_API, &world.api);
    (void)expect_control(world.control, MESSAGE_READY);
    *state = &world;
    return 0;
}

int world_tear_down(void **state)
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

/* The shim and the door. */

uint64_t key_of(uint32_t counter)
{
    return MESSAGE_KEY(DOOR_ID, counter);
}

Words words_of(const char *name)
{
    return (Words){
        .argv = {name, "-x"}, .env = {"PATH=/", "LD_AUDIT=/x"}, .wait_ms = SHIM_WAIT_FOREVER};
}

static uint32_t put_strings(Buffer *blob, const char *const *strings, uint32_t *ret_count)
{
    size_t begun = blob->size;

    for (*ret_count = 0; strings[*ret_count]; ++*ret_count)
        buffer_put(blob, strings[*ret_count], strlen(strings[*ret_count]) + 1);
    return (uint32_t)(blob->size - begun);
}

void say_call(World *world, uint64_t key, const Words *words)
{
    Buffer payload = BUFFER_EMPTY(1 << 19), blob = BUFFER_EMPTY(1 << 19),
           strings = BUFFER_EMPTY(1 << 19);
    ShimHeader header = {.magic = SHIM_MAGIC,
                         .version = SHIM_VERSION,
                         .wait_ms = words->wait_ms,
                         .path_size = (uint32_t)strlen(words->argv[0]) + 10,
                         .cwd_size = 2};
    uint32_t argc = 0, envc = 0;

    header.argv_size = put_strings(&strings, words->argv, &argc);
    header.env_size = put_strings(&strings, words->env, &envc);
    header.argc = argc;
    header.envc = envc;
    buffer_put(&blob, &header, sizeof header);
    buffer_printf(&blob, "/usr/bin/%s", words->argv[0]);
    buffer_put_u8(&blob, 0);
    buffer_put(&blob, "/", 2);
    buffer_put(&blob, strings.bytes, strings.size);
    buffer_put_u32(&payload, 100);
    buffer_put_u32(&payload, 1000);
    buffer_put_u32(&payload, 1000);
    buffer_put_blob(&payload, blob.bytes, blob.size);
    send_frame(world->door, DOOR_REQUEST, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
    buffer_done(&blob);
    buffer_done(&strings);
}

void say_words(World *world, uint64_t key, const char *name)
{
    Words words = words_of(name);
    say_call(world, key, &words);
}

void say_gone(World *world, uint64_t key)
{
    send_frame(world->door, DOOR_GONE, key, "", 0, -1);
}

void say_interrupted(World *world, uint64_t key)
{
    send_frame(world->door, DOOR_CANCEL, key, "", 0, -1);
}

void say_signal(World *world, uint64_t key, int number, bool group)
{
    const uint8_t payload[2] = {(uint8_t)number, group};
    send_frame(world->door, DOOR_SIGNAL, key, payload, sizeof payload, -1);
}

static void expect_message(World *world, uint64_t key, const char *words)
{
    Frame message = expect(world->door, DOOR_MESSAGE, key);
    if (!strstr(message.payload + 4, words))
        fail_msg("%s: not in: %s", words, message.payload + 4);
}

void expect_refusal(World *world, uint64_t key, uint8_t code, const char *words)
{
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_DENIED);
    expect_message(world, key, words);
    expect_exit(world, key, 0, code);
}

void expect_exit(World *world, uint64_t key, uint8_t kind, uint8_t value)
{
    Frame end = expect(world->door, DOOR_EXIT, key);
    assert_int_equal((uint8_t)end.payload[0], kind);
    assert_int_equal((uint8_t)end.payload[1], value);
}

void expect_pending(World *world, uint64_t key, char id[static ID_SIZE])
{
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_PENDING);
    Frame message = expect(world->door, DOOR_MESSAGE, key);
    assert_int_equal(sscanf(message.payload + 4, "waiting for approval %6s", id), 1);
}

void expect_unanswered(World *world, uint64_t key, char id[static ID_SIZE])
{
    Frame ack = expect(world->door, DOOR_ACK, key);
    assert_int_equal(ack.payload[0], SHIM_ACK_DENIED);
    Frame message = expect(world->door, DOOR_MESSAGE, key);
    assert_int_equal(sscanf(message.payload + 4, "pending approval %6[^:]", id), 1);
    assert_non_null(strstr(message.payload + 4, "run the same command again later"));
    expect_exit(world, key, 0, EXIT_PENDING_NO_WAIT);
}

/* The executor. */

Prepared facts_of(const char *exe)
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

Examined examined_of(uint8_t content)
{
    return (Examined){.hashed.exe = {{1, 2, content}}};
}

void say_prepared(World *world, uint64_t key, const Prepared *prepared)
{
    Buffer payload = BUFFER_EMPTY(4096);
    prepared_encode(&payload, prepared);
    send_frame(world->executor, EXEC_PREPARED, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

void say_facts(World *world, uint64_t key, const char *exe)
{
    Prepared prepared = facts_of(exe);
    say_prepared(world, key, &prepared);
}

void say_examined(World *world, uint64_t key, const Examined *examined)
{
    Buffer payload = BUFFER_EMPTY(4096);
    examined_encode(&payload, examined);
    send_frame(world->executor, EXEC_HASHED, key, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

void say_hashed(World *world, uint64_t key)
{
    Examined examined = examined_of(3);
    say_examined(world, key, &examined);
}

void say_started(World *world, uint64_t key)
{
    uint32_t pid = 4242;
    send_frame(world->executor, EXEC_STARTED, key, &pid, sizeof pid, -1);
}

void say_ended(World *world, uint64_t key, uint8_t kind, uint8_t value)
{
    uint8_t payload[6] = {kind, value};
    send_frame(world->executor, EXEC_ENDED, key, payload, sizeof payload, -1);
}

/* Some way along the road. */

void run_to_start(World *world, uint64_t key)
{
    say_words(world, key, "allowed");
    say_facts(world, key, "/usr/bin/allowed");
    (void)expect(world->executor, EXEC_RUN, key);
    say_started(world, key);
    assert_int_equal(expect(world->door, DOOR_ACK, key).payload[0], SHIM_ACK_ALLOWED);
}

Caller caller_of(const char *name)
{
    static char paths[4][64];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof *paths, "/usr/bin/%s", name);
    return (Caller){
        .words = words_of(name), .prepared = facts_of(path), .examined = examined_of(3)};
}

void ask_as(World *world, uint64_t key, const Caller *caller)
{
    say_call(world, key, &caller->words);
    say_prepared(world, key, &caller->prepared);
    (void)expect(world->executor, EXEC_HASH, key);
    say_examined(world, key, &caller->examined);
}

void run_to_pending(World *world, uint64_t key, char id[static ID_SIZE])
{
    Caller caller = caller_of("asked");

    ask_as(world, key, &caller);
    expect_pending(world, key, id);
}

void expect_run(World *world, uint64_t key, const Caller *caller)
{
    RunOrder order;

    (void)expect(world->door, DOOR_OPEN, key);
    say_prepared(world, key, &caller->prepared);
    Frame run = expect(world->executor, EXEC_RUN, key);
    assert_int_equal(run_order_decode(run.payload, run.size, &order), 0);
    assert_true(order.bound);
    assert_true(digest_equal(&order.hashed.exe, &caller->examined.hashed.exe));
    say_started(world, key);
    assert_int_equal(expect(world->door, DOOR_ACK, key).payload[0], SHIM_ACK_ALLOWED);
    say_ended(world, key, 0, 0);
    expect_exit(world, key, 0, 0);
}

/* Operators. */

const Actor tester = {.name = "tester (uid 0)", .role = ROLE_ADMIN, .via = "cli", .jails = ""};

Answer receive_answer(World *world)
{
    Answer answer;
    Frame frame = expect(world->api, API_ANSWER, 99);
    Reader reader = reader_of(frame.payload, frame.size);

    answer.status = reader_u16(&reader);
    (void)snprintf(answer.json, sizeof answer.json, "%s", reader_string(&reader));
    return answer;
}

Answer call(World *world, uint16_t type, const Actor *actor, Buffer *arguments)
{
    Buffer payload = BUFFER_EMPTY(1 << 16);

    actor_encode(&payload, actor);
    if (arguments)
        buffer_put(&payload, arguments->bytes, arguments->size);
    send_frame(world->api, type, 99, payload.bytes, payload.size, -1);
    buffer_done(&payload);
    return receive_answer(world);
}

void send_switch(World *world, uint16_t type, const Actor *actor, SwitchScope scope,
                 const char *name, uint64_t for_ms, const char *reason)
{
    Buffer payload = BUFFER_EMPTY(4096);

    actor_encode(&payload, actor);
    buffer_put_u8(&payload, (uint8_t)scope);
    buffer_put_string(&payload, name);
    buffer_put_u64(&payload, for_ms);
    buffer_put_string(&payload, reason);
    send_frame(world->api, type, 99, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

Answer switch_as(World *world, uint16_t type, const Actor *actor, SwitchScope scope,
                 const char *name, uint64_t for_ms, const char *reason)
{
    send_switch(world, type, actor, scope, name, for_ms, reason);
    while (!wait_readable(world->api, 10)) /* a refusal keeps nothing */
        if (wait_readable(world->control, 10) &&
            receive(world->control).type == MESSAGE_SWITCHES_SAVE)
            say_kept(world, 0);
    return receive_answer(world);
}

Answer call_plain(World *world, uint16_t type, const Actor *actor, const char *argument)
{
    if (type == API_KILL || type == API_PAUSE || type == API_RESUME)
        return switch_as(world, type, actor, *argument ? SWITCH_SCOPE_JAIL : SWITCH_SCOPE_ALL,
                         argument, 0, "");
    Buffer arguments = BUFFER_EMPTY(4096);

    if (argument)
        buffer_put_string(&arguments, argument);
    Answer answer = call(world, type, actor, argument ? &arguments : NULL);
    buffer_done(&arguments);
    return answer;
}

void send_decision(World *world, const Actor *actor, const char *id, bool approve,
                   Remember remember, uint64_t ms, bool widened)
{
    Buffer payload = BUFFER_EMPTY(4096);
    actor_encode(&payload, actor);
    buffer_put_string(&payload, id);
    buffer_put_u8(&payload, approve);
    buffer_put_u8(&payload, (uint8_t)remember);
    buffer_put_u64(&payload, ms);
    buffer_put_u8(&payload, widened);
    buffer_put_string(&payload, "because");
    send_frame(world->api, API_DECIDE, 99, payload.bytes, payload.size, -1);
    buffer_done(&payload);
}

void decide(World *world, const char *id, bool approve)
{
    send_decision(world, &tester, id, approve, REMEMBER_NOT, 0, false);
}

unsigned answer_status(World *world)
{
    return receive_answer(world).status;
}

Answer approve_as(World *world, const Actor *actor, const char *id)
{
    return remember_as(world, actor, id, REMEMBER_NOT, 0, false);
}

Answer remember_as(World *world, const Actor *actor, const char *id, Remember remember, uint64_t ms,
                   bool widened)
{
    send_decision(world, actor, id, true, remember, ms, widened);
    return receive_answer(world);
}

Answer queue_as(World *world, const Actor *actor, uint32_t limit, const char *after)
{
    Buffer arguments = BUFFER_EMPTY(4096);

    buffer_put_u32(&arguments, limit);
    buffer_put_string(&arguments, after);
    Answer answer = call(world, API_QUEUE, actor, &arguments);
    buffer_done(&arguments);
    return answer;
}

unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

void text_of(const char *json, const char *member, char *ret, size_t size)
{
    char open[64];

    (void)snprintf(open, sizeof open, "\"%s\":\"", member);
    const char *at = strstr(json, open);
    if (!at)
        fail_msg("no %s in %s", member, json);
    at += strlen(open);
    size_t length = strcspn(at, "\"");
    assert_true(length < size);
    memcpy(ret, at, length);
    ret[length] = '\0';
}

/* The journal. */

bool journal_has(World *world, const char *text)
{
    static char bytes[1 << 20];
    ssize_t got = pread(world->journal, bytes, sizeof bytes - 1, 0);
    assert_true(got >= 0);
    bytes[got] = '\0';
    return strstr(bytes, text) != NULL;
}

void expect_journal(World *world, const char *text)
{
    for (int i = 0; i < 500; i++) {
        if (journal_has(world, text))
            return;
        usleep(10000);
    }
    fail_msg("the journal never had %s", text);
}
