/*
 * See test-driver.h.
 */
#include "exec/test-driver.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/disposition.h"
#include "base/fd.h"

static void give_link(Driver *driver, uint8_t role, uint32_t id, int fd)
{
    Buffer payload = BUFFER_EMPTY(1024);

    buffer_put_u8(&payload, role);
    buffer_put_u32(&payload, id);
    buffer_put_string(&payload, role == LINK_ROLE_DOOR ? "test" : "");
    buffer_put_string(&payload, role == LINK_ROLE_DOOR ? driver->socket : "");
    driver_send(driver->control, MESSAGE_LINK, 0, payload.bytes, payload.size, &fd, 1);
    buffer_done(&payload);
    (void)close(fd);
}

void driver_set_commands(Driver *driver, const char *jail, uint32_t commands)
{
    Buffer payload = BUFFER_EMPTY(1024);
    JailSettings settings = {.jail = policy_jail_defaults(jail), .source = JAIL_OF_POLICY};

    settings.jail.limits.commands = commands;
    jail_settings_encode(&payload, &settings, true);
    driver_send(driver->control, MESSAGE_JAIL, 0, payload.bytes, payload.size, NULL, 0);
    buffer_done(&payload);
}

int driver_lingering_socket(int *ret_peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    const struct linger linger = {1, 60};
    static const char bytes[65536];

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    *ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    (void)close(listener);
    assert_int_equal(fd_set_nonblock(fd, true), 0);
    while (send(fd, bytes, sizeof bytes, 0) > 0) {
    }
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    return fd;
}

int driver_add_door(Driver *driver, const char *jail, uint32_t id)
{
    int link[2];
    Buffer payload = BUFFER_EMPTY(1024);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link), 0);
    buffer_put_u8(&payload, LINK_ROLE_DOOR);
    buffer_put_u32(&payload, id);
    buffer_put_string(&payload, jail);
    buffer_put_string(&payload, driver->socket);
    driver_send(driver->control, MESSAGE_LINK, 0, payload.bytes, payload.size, &link[1], 1);
    buffer_done(&payload);
    (void)close(link[1]);
    driver_settle(driver);
    return link[0];
}

void driver_settle(Driver *driver)
{
    Frame frame;

    driver_send(driver->control, MESSAGE_PING, 0, NULL, 0, NULL, 0);
    driver_read(driver->control, &frame);
    assert_int_equal(frame.type, MESSAGE_PONG);
}

static int make_listener(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

static void enter_cgroup(const char *cgroup)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(1);
    (void)close(fd);
}

void driver_start(Driver *driver, const ExecutorOptions *options)
{
    driver_start_in(driver, options, NULL);
}

void driver_start_in(Driver *driver, const ExecutorOptions *options, const char *cgroup)
{
    disposition_reset(); /* callers and commands have what the test sets, not what its starter had
                          */
    disposition_set(SIGPIPE, true);
    memset(driver, 0, sizeof *driver);
    driver->cgroup = cgroup;
    (void)snprintf(driver->directory, sizeof driver->directory, "/tmp/clawrden-exec-XXXXXX");
    assert_non_null(mkdtemp(driver->directory));
    assert_int_equal(chmod(driver->directory, 0755), 0);
    (void)snprintf(driver->socket, sizeof driver->socket, "%s/warden.sock", driver->directory);
    driver->listener = make_listener(driver->socket);
    driver_start_again(driver, options);
}

/* Whoever starts us may ignore and block everything. */
static void start_oddly(void)
{
    sigset_t all;

    for (int number = 1; number <= DISPOSITION_SIGNAL_MAX; number++)
        disposition_set(number, true);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
}

void driver_start_again(Driver *driver, const ExecutorOptions *options)
{
    int control[2], link[2];
    Frame frame;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    driver->control = control[0];
    driver->context = (ProcessContext){.control_fd = control[1],
                                       .privileged = geteuid() == 0,
                                       .warden = {64001, 64001},
                                       .door = {64002, 64002},
                                       .api = {64003, 64003},
                                       .operators = getegid(),
                                       .run_dir = driver->directory};
    (void)fflush(NULL);
    driver->executor = fork();
    assert_true(driver->executor >= 0);
    if (driver->executor == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        (void)close(control[0]);
        (void)close(driver->listener);
        if (driver->cgroup)
            enter_cgroup(driver->cgroup);
        start_oddly();
        _exit(executor_run(&driver->context, options));
    }
    (void)close(control[1]);
    driver_read(driver->control, &frame);
    assert_int_equal(frame.type, MESSAGE_READY);

    driver_set_commands(driver, "test", DRIVER_COMMANDS);
    int *const ends[] = {&driver->warden, &driver->door, &driver->api};
    static const uint8_t roles[] = {LINK_ROLE_WARDEN, LINK_ROLE_DOOR, LINK_ROLE_API};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link), 0);
        *ends[i] = link[0];
        give_link(driver, roles[i], roles[i] == LINK_ROLE_DOOR ? DRIVER_DOOR_ID : 0, link[1]);
    }
    /* Links must be there before a door speaks: the parent's order, made certain by an answer. */
    driver_settle(driver);
}

void driver_clean(Driver *driver)
{
    char command[128];

    fd_close_many(
        (int[]){driver->control, driver->door, driver->warden, driver->api, driver->listener}, 5);
    (void)snprintf(command, sizeof command, "rm -rf %s", driver->directory);
    assert_int_equal(system(command), 0);
}

void driver_stop(Driver *driver)
{
    int status = 0;

    driver_send(driver->control, MESSAGE_STOP, 0, NULL, 0, NULL, 0);
    assert_int_equal(waitpid(driver->executor, &status, 0), driver->executor);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    driver_clean(driver);
}

Caller driver_call_as(Driver *driver, uid_t uid, void (*arrange)(void *userdata), void *userdata)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    Caller caller;

    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", driver->socket);
    (void)fflush(NULL);
    caller.pid = fork();
    assert_true(caller.pid >= 0);
    if (caller.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        fd_close_many(
            (int[]){driver->control, driver->door, driver->warden, driver->api, driver->listener},
            5);
        if (arrange)
            arrange(userdata);
        if (uid != DRIVER_UID_ASIS && uid != geteuid() &&
            (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
             setresuid(uid, uid, uid) < 0))
            _exit(1);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
            _exit(1);
        for (;;)
            (void)pause();
    }
    struct pollfd wait = {.fd = driver->listener, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DRIVER_TIMEOUT_MS), 1);
    caller.connection = accept4(driver->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(caller.connection >= 0);
    return caller;
}

Caller driver_call(Driver *driver)
{
    return driver_call_as(driver, geteuid(), NULL, NULL);
}

void caller_end(Caller *caller)
{
    caller->connection = fd_close(caller->connection);
    assert_true(caller->pid > 1);
    (void)kill(caller->pid, SIGKILL);
    (void)waitpid(caller->pid, NULL, 0);
}

static const char *const default_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", NULL};

static const char *const *env_of(const Spec *spec)
{
    return spec->env ? spec->env : default_env;
}

static size_t count(const char *const *strings)
{
    size_t n = 0;
    while (strings[n])
        n++;
    return n;
}

static uint32_t put_strings(Buffer *buffer, const char *const *strings)
{
    size_t before = buffer->size;
    for (size_t i = 0; strings[i]; i++)
        buffer_put(buffer, strings[i], strlen(strings[i]) + 1);
    return (uint32_t)(buffer->size - before);
}

size_t driver_fds(const Spec *spec, int fds[4])
{
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        if (spec->stdio[i] < 0)
            continue;
        fds[n++] = spec->stdio[i] > 0 ? dup(spec->stdio[i]) : open("/dev/null", O_RDWR);
    }
    fds[n] = spec->cwd_fd > 0 ? dup(spec->cwd_fd)
                              : open(spec->cwd ? spec->cwd : "/", O_PATH | O_CLOEXEC);
    assert_true(fds[n] >= 0);
    return n + 1;
}

char *driver_encode(const Spec *spec, size_t *ret_size)
{
    Buffer body = BUFFER_EMPTY(SHIM_REQUEST_MAX + 4096);
    uint32_t wait = SHIM_WAIT_FOREVER, sizes[4];
    uint16_t flags = spec->flags;

    for (unsigned i = 0; i < 3; i++)
        flags = (uint16_t)(flags | (spec->stdio[i] >= 0 ? 1u << i : 0));
    sizes[0] = put_strings(&body, (const char *[]){spec->path ? spec->path : spec->argv[0], NULL});
    sizes[1] = put_strings(&body, (const char *[]){spec->cwd ? spec->cwd : "/", NULL});
    sizes[2] = put_strings(&body, spec->argv);
    sizes[3] = put_strings(&body, env_of(spec));
    ShimHeader header = {.magic = htole32(SHIM_MAGIC),
                         .version = htole16(SHIM_VERSION),
                         .flags = htole16(flags),
                         .wait_ms = htole32(wait),
                         .path_size = htole32(sizes[0]),
                         .cwd_size = htole32(sizes[1]),
                         .argc = htole32((uint32_t)count(spec->argv)),
                         .argv_size = htole32(sizes[2]),
                         .envc = htole32((uint32_t)count(env_of(spec))),
                         .env_size = htole32(sizes[3])};
    char *bytes = malloc(sizeof header + body.size);
    assert_non_null(bytes);
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, body.bytes, body.size);
    *ret_size = sizeof header + body.size;
    buffer_done(&body);
    return bytes;
}

void driver_open_raw(Driver *driver, uint64_t key, int connection, int stream)
{
    driver_send(driver->door, EXEC_OPEN, key, NULL, 0, (int[]){connection, stream}, 2);
}

void driver_open(Driver *driver, uint64_t key, int connection, const Spec *spec)
{
    int pair[2], fds[4];
    size_t size;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    driver_open_raw(driver, key, connection, pair[1]);
    (void)close(pair[1]);
    _cleanup_free_ char *bytes = driver_encode(spec, &size);
    size_t n_fds = driver_fds(spec, fds);
    ssize_t sent = fd_send(pair[0], bytes, size, fds, n_fds, 0);
    /* A refused request is not read to its end. */
    for (size_t at = sent > 0 ? (size_t)sent : size; at < size; at += (size_t)sent) {
        sent = fd_send(pair[0], bytes + at, size - at, NULL, 0, 0);
        if (sent < 0)
            break;
    }
    fd_close_many(fds, n_fds);
    (void)close(pair[0]);
}

void driver_send(int link, uint16_t type, uint64_t key, const void *payload, size_t size,
                 const int *fds, size_t n_fds)
{
    Buffer frame = BUFFER_EMPTY(size + 64);

    buffer_put_u32(&frame, (uint32_t)size);
    buffer_put_u16(&frame, type);
    buffer_put_u8(&frame, (uint8_t)n_fds);
    buffer_put_u8(&frame, 0);
    buffer_put_u64(&frame, key);
    buffer_put(&frame, payload, size);
    assert_int_equal(frame.error, 0);
    ssize_t sent = fd_send(link, frame.bytes, frame.size, fds, n_fds, 0);
    assert_int_equal(sent, (ssize_t)frame.size);
    buffer_done(&frame);
}

bool driver_has_frame(int link, int timeout_ms)
{
    struct pollfd wait = {.fd = link, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 1;
}

static void read_exactly(int fd, char *bytes, size_t size)
{
    while (size > 0) {
        assert_true(driver_has_frame(fd, DRIVER_TIMEOUT_MS));
        ssize_t got = recv(fd, bytes, size, 0);
        assert_true(got > 0);
        bytes += got;
        size -= (size_t)got;
    }
}

void driver_read(int link, Frame *ret)
{
    char header[16];

    read_exactly(link, header, sizeof header);
    Reader reader = reader_of(header, sizeof header);
    ret->size = reader_u32(&reader);
    ret->type = reader_u16(&reader);
    (void)reader_u16(&reader);
    ret->key = reader_u64(&reader);
    assert_true(ret->size <= sizeof ret->payload);
    read_exactly(link, ret->payload, ret->size);
}

static void print_failure(const Frame *frame)
{
    if (frame->type == EXEC_FAILED)
        print_message("EXEC_FAILED %u: %s\n", (unsigned)frame->payload[0], frame->payload + 5);
}

void driver_expect(Driver *driver, uint16_t type, uint64_t key, Frame *ret)
{
    driver_read(driver->warden, ret);
    if (ret->type != type)
        print_failure(ret);
    assert_int_equal(ret->type, type);
    assert_int_equal(ret->key, key);
}

Prepared driver_prepared(Driver *driver, uint64_t key, Frame *frame)
{
    static gid_t groups[PREPARED_GROUPS_MAX];
    Prepared prepared;

    driver_expect(driver, EXEC_PREPARED, key, frame);
    assert_int_equal(prepared_decode(frame->payload, frame->size, groups, &prepared), 0);
    return prepared;
}

const char *driver_failed(Driver *driver, uint64_t key, ExecFailure failure, Frame *frame)
{
    driver_expect(driver, EXEC_FAILED, key, frame);
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t got = reader_u8(&reader);
    const char *words = reader_string(&reader);
    assert_true(reader_done(&reader));
    if (got != failure)
        print_message("failed with %u: %s\n", got, words);
    assert_int_equal(got, failure);
    return words;
}

void assert_words(const char *text, const char *words)
{
    if (!strstr(text, words))
        print_message("got: %s\nnot: %s\n", text, words);
    assert_non_null(strstr(text, words));
}

void driver_refused(Driver *driver, uint64_t key, const Caller *caller, const Spec *spec,
                    ExecFailure failure, const char *words)
{
    Frame frame;
    driver_open(driver, key, caller->connection, spec);
    assert_words(driver_failed(driver, key, failure, &frame), words);
}

Examined driver_examine(Driver *driver, uint64_t key)
{
    Frame frame;
    Examined examined;

    driver_send(driver->warden, EXEC_HASH, key, NULL, 0, NULL, 0);
    driver_expect(driver, EXEC_HASHED, key, &frame);
    assert_int_equal(examined_decode(frame.payload, frame.size, &examined), 0);
    return examined;
}

Hashed driver_hash(Driver *driver, uint64_t key)
{
    return driver_examine(driver, key).hashed;
}

void driver_run(Driver *driver, uint64_t key, const Spec *spec, const Hashed *hashed)
{
    const char *const *env = env_of(spec);
    const char *kept[512];
    uint8_t keep[64];
    size_t n_kept = 0;
    bool all = true;
    Buffer payload = BUFFER_EMPTY(1024);

    for (size_t i = 0; i < sizeof keep; i++)
        all = all && spec->keep[i] == 0;
    memcpy(keep, spec->keep, sizeof keep);
    if (all)
        memset(keep, 0xff, sizeof keep);
    for (size_t i = 0; env[i]; i++) {
        assert_true(i < ARRAY_SIZE(kept));
        if (keep[i / 8] >> (i % 8) & 1)
            kept[n_kept++] = env[i];
    }
    RunOrder order = {
        .command = digest_command(spec->argv, count(spec->argv), kept, n_kept),
        .bound = hashed != NULL,
        .keep = keep,
        .keep_size = sizeof keep,
    };
    if (hashed)
        order.hashed = *hashed;
    run_order_encode(&payload, &order);
    driver_send(driver->warden, EXEC_RUN, key, payload.bytes, payload.size, NULL, 0);
    buffer_done(&payload);
}

void driver_end(Driver *driver, uint64_t key, uint32_t grace_ms)
{
    uint32_t wire = htole32(grace_ms);
    driver_send(driver->warden, EXEC_END, key, &wire, sizeof wire, NULL, 0);
}

void driver_signal(Driver *driver, uint64_t key, int signal_number, bool group)
{
    uint8_t wire[2] = {(uint8_t)signal_number, group};
    driver_send(driver->warden, EXEC_SIGNAL, key, wire, sizeof wire, NULL, 0);
}

void driver_started(Driver *driver, uint64_t key, pid_t *ret_pid)
{
    Frame frame;

    driver_expect(driver, EXEC_STARTED, key, &frame);
    Reader reader = reader_of(frame.payload, frame.size);
    pid_t pid = (pid_t)reader_u32(&reader);
    assert_true(reader_done(&reader));
    assert_true(pid > 0);
    if (ret_pid)
        *ret_pid = pid;
}

Ended driver_ended(Driver *driver, uint64_t key)
{
    Frame frame;

    driver_read(driver->warden, &frame);
    if (frame.type == EXEC_EXITED)
        driver_read(driver->warden, &frame);
    if (frame.type != EXEC_ENDED)
        print_failure(&frame);
    assert_int_equal(frame.type, EXEC_ENDED);
    assert_int_equal(frame.key, key);
    Reader reader = reader_of(frame.payload, frame.size);
    Ended ended = {.kind = reader_u8(&reader), .value = reader_u8(&reader)};
    ended.left = reader_u32(&reader);
    assert_true(reader_done(&reader));
    return ended;
}

Ended driver_command_of(Driver *driver, const Caller *caller, uint32_t n, const Spec *spec,
                        char *output, size_t room)
{
    Spec own = *spec;
    Frame frame;
    int out[2] = {-1, -1};
    size_t size = 0;

    if (output) {
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        own.stdio[1] = own.stdio[1] < 0 ? -1 : out[1];
        own.stdio[2] = own.stdio[2] < 0 ? -1 : out[1];
    }
    driver_open(driver, DRIVER_KEY(n), caller->connection, &own);
    fd_close(out[1]);
    (void)driver_prepared(driver, DRIVER_KEY(n), &frame);
    driver_run(driver, DRIVER_KEY(n), &own, NULL);
    driver_started(driver, DRIVER_KEY(n), NULL);
    if (output) {
        for (ssize_t got;
             size < room - 1 && (got = read(out[0], output + size, room - 1 - size)) > 0;)
            size += (size_t)got;
        output[size] = '\0';
        fd_close(out[0]);
    }
    return driver_ended(driver, DRIVER_KEY(n));
}

Ended driver_command(Driver *driver, uint32_t n, const Spec *spec, char *output, size_t room)
{
    Caller caller = driver_call(driver);
    Ended ended = driver_command_of(driver, &caller, n, spec, output, room);
    caller_end(&caller);
    return ended;
}

void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

const char *in_directory(const Driver *driver, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", driver->directory, name);
    return path;
}

char process_state(pid_t pid)
{
    char path[32], text[512] = "";

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    fd_close(fd);
    const char *after = size > 0 ? strrchr(text, ')') : NULL;
    return after ? after[2] : '?';
}

bool process_exists(pid_t pid)
{
    return !strchr("?ZX", process_state(pid));
}
