/*
 * The executor: the one process that keeps root, because a command must run as its caller.
 *
 * It reads no byte that a prisoner wrote. Doors hand it connections, of which it asks the kernel
 * who made them (open.c); everything else goes from the door straight to a runner (runner.h), a
 * child that has become the caller before it reads. The warden orders by key: hash, run, signal,
 * end (requests.c). Nothing else is in its permit tables, and whoever says anything else loses its
 * link.
 *
 * What it keeps. A caller may be root with any set of capabilities, and its command must have the
 * same, so the permitted set stays as it was; the effective set is cut to what the executor's own
 * work needs, which guards against mistakes, not against a takeover. Non-dumpable,
 * a session of its own (no operator's terminal is in reach of a command), a fresh keyring per
 * command. No seccomp filter and no Landlock: every command would inherit them.
 *
 * Its end is the end of all that runs: when the parent or the warden goes, every request is killed
 * at once (they are restarted together); commands also carry a parent-death signal, and the next
 * run sweeps the cgroup tree.
 */
#include "exec/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/disposition.h"
#include "base/log.h"
#include "exec/engine-command.h"
#include "exec/executor-private.h"
#include "exec/ghost.h"
#include "exec/mirror.h"
#include "wire/containers.h"

/* An order to run carries one bit per environment entry. */
static const LinkLimits control_limits = {
    .frame_max = 256 * 1024, .queue_max = 64 * 1024, .fds_max = 1};
static const LinkLimits warden_limits = {
    .frame_max = 1024 * 1024, .queue_max = 16 * 1024 * 1024, .fds_max = 0};
static const LinkLimits api_limits = {.frame_max = 64, .queue_max = 256 * 1024, .fds_max = 1};

/* Clients of the api whose connections are being disposed of. */
#define VETTED_AT_ONCE_MAX 32u

/* Signals that only the parent's orders may stand for. */
static const int ignored_signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};

#define CAP(name) (UINT64_C(1) << (name))
/* Own work: becoming others, reading their /proc, signalling them, raising their limits, making
 * cgroups where even root needs an override (the root cgroup is 0555). */
#define CAPS_EFFECTIVE                                                                             \
    (CAP(CAP_SETUID) | CAP(CAP_SETGID) | CAP(CAP_SETPCAP) | CAP(CAP_KILL) | CAP(CAP_SYS_PTRACE) |  \
     CAP(CAP_SYS_RESOURCE) | CAP(CAP_SYS_NICE) | CAP(CAP_DAC_OVERRIDE))

void executor_lose(Executor *executor, const char *why)
{
    if (!executor->lost && !executor->stopping)
        log_error("%s: every command is ended", why);
    executor->lost = true;
    (void)event_base_loopbreak(executor->loop);
}

/* The warden. */
static void on_warden_frame(Link *link UNUSED, LinkFrame *frame, void *userdata)
{
    Executor *executor = userdata;

    if (frame->type == EXEC_CONTAINER ? !container_order_take(executor, frame)
                                      : !request_obey(executor, frame))
        executor_lose(executor, "the warden broke its protocol");
}

/* At every stop too: whether it is a failure is the parent's to say. */
static void on_warden_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    Executor *executor = userdata;

    if (!executor->lost && !executor->stopping)
        log_info("the warden has ended, and every command with it");
    executor->lost = true;
    (void)event_base_loopbreak(executor->loop);
}

static const LinkHandlers warden_handlers = {.frame = on_warden_frame, .closed = on_warden_closed};

/* The api. */
static void lose_api(Executor *executor)
{
    if (executor->api)
        executor->api = dismantle(executor, &executor->api_share, executor->api);
    executor->is_api_held = false;
}

static void on_api_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Executor *executor = userdata;

    if (frame->type == VET_PEER && frame->size == 0 && frame->n_fds == 1) {
        vet_peer(executor, frame);
        hold_back(executor, &executor->api_share, link, &executor->is_api_held);
        return;
    }
    log_error("the api broke its protocol (type %u): its link is closed", frame->type);
    dispose_take(executor, &executor->api_share, frame->fds, frame->n_fds);
    frame->n_fds = 0;
    lose_api(executor);
}

static void on_api_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    lose_api(userdata);
}

static const LinkHandlers api_handlers = {.frame = on_api_frame, .closed = on_api_closed};

/* The parent. */
static int add_link(Executor *executor, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t role = reader_u8(&reader);
    uint32_t id = reader_u32(&reader);
    const char *jail = reader_string(&reader), *socket = reader_string(&reader);

    if (!reader_done(&reader) || frame->n_fds != 1)
        return -EPROTO;
    int fd = TAKE_FD(frame->fds[0]);
    switch (role) {
    case LINK_ROLE_DOOR:
        return door_add_take(executor, id, jail, socket, fd);
    case LINK_ROLE_WARDEN:
        if (!executor->warden)
            return link_new_take(&executor->warden, executor->loop, fd, &warden_limits,
                                 &warden_handlers, executor);
        break;
    case LINK_ROLE_API:
        lose_api(executor); /* a restarted api */
        return link_new_take(&executor->api, executor->loop, fd, &api_limits, &api_handlers,
                             executor);
    case LINK_ROLE_ENGINE:
        return ghost_take_engine(executor, fd);
    default:
        break;
    }
    fd_close(fd);
    return -EPROTO;
}

static void on_control_frame(Link *link, LinkFrame *frame, void *userdata)
{
    Executor *executor = userdata;
    int result = 0;

    switch (frame->type) {
    case MESSAGE_PING:
        result = link_send(link, MESSAGE_PONG, frame->key, NULL, 0);
        break;
    case MESSAGE_STOP:
        executor->stopping = true;
        (void)event_base_loopbreak(executor->loop);
        break;
    case MESSAGE_LINK:
        result = add_link(executor, frame);
        break;
    case MESSAGE_INSTALL:
        result = install_order_take(executor, frame);
        break;
    case MESSAGE_JAIL:
        result = jail_take_settings(executor, frame);
        break;
    default:
        result = -EPROTO;
        break;
    }
    if (result < 0)
        executor_lose(executor, strerror(-result));
}

static void on_control_closed(Link *link UNUSED, int error UNUSED, void *userdata)
{
    executor_lose(userdata, "the parent is gone");
}

static const LinkHandlers control_handlers = {.frame = on_control_frame,
                                              .closed = on_control_closed};

/* Set-up. */
static int hold_stdio(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -errno;
    fd_close(fd);
    return 0;
}

static void arrange_signals(void)
{
    disposition_reset();
    for (size_t i = 0; i < ARRAY_SIZE(ignored_signals); i++)
        disposition_set(ignored_signals[i], true);
}

static int cut_effective_set(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets) < 0)
        return -errno;
    for (unsigned i = 0; i < 2; i++) {
        sets[i].effective = sets[i].permitted & (uint32_t)(CAPS_EFFECTIVE >> (32 * i));
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

/* As many descriptors as we are allowed; runners give commands their callers' limits. */
static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int settle(const ProcessContext *context)
{
    int result = hold_stdio();
    if (result < 0)
        return result;
    arrange_signals();
    raise_files();
    (void)setsid(); /* EPERM: we lead a group, so the parent has given us one of our own */
    /* no_new_privs would be inherited by the commands of callers who do not have it. */
    if ((!context->privileged && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    if (sodium_init() < 0)
        return -ENOSYS;
    return context->privileged ? cut_effective_set() : 0;
}

static uint64_t last_capability(void)
{
    uint64_t cap = 0;
    while (cap < 63 && prctl(PR_CAPBSET_READ, cap + 1, 0, 0, 0) >= 0)
        cap++;
    return cap;
}

static int start(Executor *executor)
{
    _cleanup_(pidref_done)
    PidRef self = PIDREF_EMPTY;

    int result = settle(executor->context);
    if (result == 0)
        result = pidref_open(getpid(), &self);
    if (result == 0)
        result = identity_read(&self, &executor->self, &executor->world);
    if (result < 0)
        return result;
    executor->loop = event_base_new();
    if (!executor->loop)
        return -ENOMEM;
    (void)event_assign(&executor->retry_event, executor->loop, -1, 0, on_retry, executor);
    (void)event_assign(&executor->gathered.event, executor->loop, -1, 0, on_gathered, executor);
    executor->api_share.most = VETTED_AT_ONCE_MAX;
    RunnerOrigin origin = {.parent = getpid(),
                           .privileged = executor->context->privileged,
                           .executor = executor->self,
                           .last_cap = last_capability()};
    result = cell_block_new(&executor->block, executor->loop, &origin, executor->context->run_dir,
                            executor->options->no_cgroup || !executor->context->privileged,
                            executor->options->no_image, &request_handlers);
    if (result < 0)
        return result;
    result = containers_new(&executor->containers, executor->loop, &executor->world,
                            executor->self.confinement, executor->block->tree,
                            executor->options->old_kernel, mirror_drop_spare);
    if (result < 0)
        return result;
    executor->block->containers = executor->containers;
    result = link_new_take(&executor->control, executor->loop, executor->context->control_fd,
                           &control_limits, &control_handlers, executor);
    return result < 0 ? result : link_send(executor->control, MESSAGE_READY, 0, NULL, 0);
}

/* First of all ends what runs; nothing that a door can do delays that. */
static void finish(Executor *executor)
{
    if (executor->loop)
        doors_silence(executor);
    if (executor->block)
        requests_free(executor);
    engine_commands_free(executor);
    executor->block = cell_block_free(executor->block);
    installations_free(executor);
    container_orders_free(executor);
    executor->containers = containers_free(executor->containers);
    doors_free(executor);
    executor->engine = link_free(executor->engine);
    executor->warden = link_free(executor->warden);
    executor->control = link_free(executor->control);
    if (executor->loop)
        event_base_free(executor->loop);
}

int executor_run(const ProcessContext *context, const ExecutorOptions *options)
{
    Executor *executor = calloc(1, sizeof *executor);
    if (!executor)
        return EXIT_FAILURE;
    *executor = (Executor){.context = context, .options = options};
    log_set_role("executor");

    int result = start(executor);
    if (result < 0)
        log_error("cannot start: %s", strerror(-result));
    else
        (void)event_base_dispatch(executor->loop);
    bool stopped = executor->stopping && !executor->lost;
    finish(executor);
    free(executor);
    return stopped ? EXIT_SUCCESS : EXIT_FAILURE;
}

int executor_main(const ProcessContext *context)
{
    return executor_run(context, &(ExecutorOptions){.old_kernel = false});
}
