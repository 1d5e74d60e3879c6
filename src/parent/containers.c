/*
 * See containers.h.
 */
#include "parent/containers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "parent/parent.h"
#include "wire/containers.h"

#define CONTAINERS_MAX 4096u
#define LABEL_JAILS_MAX 256u /* each has a door, a process */
#define WORDS_MAX 400u
#define RESTART_MS 200u

typedef struct LabelledContainer {
    char id[80], name[256];
    pid_t pid;
    uint64_t started_us, seen_us; /* realtime */
    JailSettings settings;        /* what its labels ask for; empty when they are wrong */
    char jail[POLICY_JAIL_NAME_SIZE];
    char *commands, *path; /* owned */
    char problem[WORDS_MAX], why[WORDS_MAX];
    ContainerState state;
    bool owns_jail;
    bool is_overruled; /* somebody else has taken the name of its jail since */
    bool is_known;     /* told by the engine process that is there now */
    bool has_ungoverned;
    uint64_t ungoverned_ms;
    uint64_t key; /* of the installation under way; 0: none */
    struct LabelledContainer *next;
} LabelledContainer;

struct EngineSide {
    struct event *restart;
    LabelledContainer *containers;
    size_t n_containers, n_jails;
    uint64_t next_key;
    uint64_t swept_key; /* the last one from before the jails of an earlier run were removed */
    bool connected, is_known; /* the engine answers; all that run have been told once */
    char words[WORDS_MAX];
};

static void settle(Parent *parent, LabelledContainer *container);

/* Telling. */

static void tell_engine(Parent *parent)
{
    const EngineSide *side = parent->engine;
    Child *warden = child_find(parent, CHILD_WARDEN);
    Buffer payload = BUFFER_EMPTY(4096);

    if (!warden)
        return;
    buffer_put_u8(&payload, side->connected ? ENGINE_ANSWERS : ENGINE_AWAY);
    buffer_put_string(&payload, side->words);
    (void)child_send(warden, MESSAGE_ENGINE_TOLD, &payload, -1);
}

static void tell(Parent *parent, const LabelledContainer *container, bool again)
{
    Child *warden = child_find(parent, CHILD_WARDEN);
    ContainerTold told = {.state = container->state,
                          .again = again,
                          .id = container->id,
                          .name = container->name,
                          .jail = container->jail,
                          .started_us = container->started_us,
                          .has_ungoverned = container->has_ungoverned,
                          .ungoverned_ms = container->ungoverned_ms,
                          .why = container->why};
    Buffer payload = BUFFER_EMPTY(CONTAINER_MESSAGE_MAX);

    if (!warden)
        return;
    container_told_encode(&payload, &told);
    (void)child_send(warden, MESSAGE_CONTAINER_TOLD, &payload, -1);
}

static void log_state(const LabelledContainer *container)
{
    char duration[CLOCK_TEXT_MAX];

    if (container->state == CONTAINER_UNGOVERNED)
        log_warning("container %.12s (%s) is not governed: %s", container->id, container->name,
                    container->why);
    else if (container->state == CONTAINER_GOVERNED && container->has_ungoverned)
        log_info("container %.12s (%s) is governed as jail %s, after %s without%s%s", container->id,
                 container->name, container->jail,
                 clock_format_duration(container->ungoverned_ms, duration),
                 container->why[0] ? "; " : "", container->why);
    else if (container->state == CONTAINER_GOVERNED)
        log_info("container %.12s (%s) is governed as jail %s, as before", container->id,
                 container->name, container->jail);
}

static void set_state(Parent *parent, LabelledContainer *container, ContainerState state,
                      const char *why)
{
    bool changed = container->state != state || strcmp(container->why, why) != 0;

    container->state = state;
    if (why != container->why)
        (void)snprintf(container->why, sizeof container->why, "%s", why);
    if (!changed)
        return;
    log_state(container);
    tell(parent, container, false);
}

/* Somebody else's words, in a form that is safe to show. */
static void keep_words(char *to, size_t room, const char *words)
{
    Buffer shown = BUFFER_EMPTY(room);

    text_display_again(&shown, words, strlen(words), room - 32);
    (void)snprintf(to, room, "%.*s", (int)buffer_size(&shown), buffer_head(&shown));
    buffer_done(&shown);
}

/* The table. */

static LabelledContainer *find(const EngineSide *side, const char *id)
{
    LabelledContainer *container = side->containers;
    while (container && strcmp(container->id, id) != 0)
        container = container->next;
    return container;
}

static void free_container(LabelledContainer *container)
{
    jail_settings_done(&container->settings);
    free(container->commands);
    free(container->path);
    free(container);
}

static void give_up_jail(Parent *parent, LabelledContainer *container)
{
    if (!container->owns_jail)
        return;
    container->owns_jail = false;
    container->is_overruled = false;
    parent->engine->n_jails--;
    jails_remove_label(parent, container->jail);
}

/* Whose jail now goes by the commands of somebody else, who has taken its name, or does so no more.
 * Its place is kept: the directory is mounted in the container, and becomes the labels' again. */
static void settle_overruled(Parent *parent)
{
    for (LabelledContainer *owner = parent->engine->containers; owner; owner = owner->next) {
        const JailSettings *wanted = jail_table_find(&parent->wanted, owner->jail);
        if (owner->owns_jail && owner->is_overruled != (wanted && wanted->source != JAIL_OF_LABEL))
            settle(parent, owner);
    }
}

/* Who was refused because the name was taken, or there were too many, is looked at again. */
static void settle_refused(Parent *parent)
{
    for (LabelledContainer *other = parent->engine->containers; other; other = other->next)
        if (!other->owns_jail && other->state == CONTAINER_UNGOVERNED && !other->problem[0])
            settle(parent, other);
}

static void forget(Parent *parent, LabelledContainer *container)
{
    EngineSide *side = parent->engine;
    LabelledContainer **link = &side->containers;

    while (*link && *link != container)
        link = &(*link)->next;
    if (*link)
        *link = container->next;
    side->n_containers--;
    give_up_jail(parent, container);
    set_state(parent, container, CONTAINER_GONE, "");
    free_container(container);
    settle_refused(parent);
}

/* Giving a jail. */

static const char *refusal(Parent *parent, const LabelledContainer *container,
                           char words[static WORDS_MAX])
{
    const JailSettings *taken = jail_table_find(&parent->wanted, container->jail);
    const LabelledContainer *owner = parent->engine->containers;

    if (taken && taken->source != JAIL_OF_LABEL) {
        (void)snprintf(words, WORDS_MAX, "the name of jail %s is taken by %s; %s", container->jail,
                       taken->source == JAIL_OF_POLICY ? "the policy" : "an operator",
                       container->owns_jail
                           ? "its commands have replaced those of the labels"
                           : "a container joins such a jail only by having its directory mounted "
                             "at /run/clawrden");
        return words;
    }
    if (container->owns_jail)
        return NULL;
    while (owner && (!owner->owns_jail || strcmp(owner->jail, container->jail) != 0))
        owner = owner->next;
    if (owner) {
        (void)snprintf(words, WORDS_MAX, "jail %s is that of container %.12s (%s)", container->jail,
                       owner->id, owner->name);
        return words;
    }
    return parent->engine->n_jails >= LABEL_JAILS_MAX ? "there are too many jails by labels" : NULL;
}

static int take_jail(Parent *parent, LabelledContainer *container)
{
    JailSettings copy;

    int result = jail_settings_of(&container->settings.jail, JAIL_OF_LABEL, &copy);
    if (result == 0)
        result = jails_put_label_take(parent, &copy);
    jail_settings_done(&copy);
    if (result == 0 || jail_table_find(&parent->wanted, container->jail)) {
        container->owns_jail = true;
        parent->engine->n_jails++;
    }
    if (result < 0)
        give_up_jail(parent, container);
    return result;
}

static void install(Parent *parent, LabelledContainer *container)
{
    Child *executor = child_find(parent, CHILD_EXECUTOR);
    const ServedJail *jail = jail_find(parent, container->jail);
    Buffer payload = BUFFER_EMPTY(CONTAINER_MESSAGE_MAX);
    InstallOrder order = {.id = container->id,
                          .pid = container->pid,
                          .directory = jail ? jail->directory : "",
                          .hardened = container->settings.jail.hardened,
                          .commands = container->commands,
                          .path = container->path};

    container->key = 0;
    if (!executor || !jail)
        return; /* when there is one it is ready, and asked (engine_side_on_ready()) */
    install_order_encode(&payload, &order);
    container->key = ++parent->engine->next_key;
    int result = payload.error < 0 ? payload.error
                                   : link_send(executor->control, MESSAGE_INSTALL, container->key,
                                               buffer_head(&payload), buffer_size(&payload));
    buffer_done(&payload);
    if (result < 0)
        container->key = 0;
}

/* What is to be done for a container that has none. */
static void settle(Parent *parent, LabelledContainer *container)
{
    char words[WORDS_MAX];

    if (container->problem[0]) {
        set_state(parent, container, CONTAINER_UNGOVERNED, container->problem);
        return;
    }
    const char *why = refusal(parent, container, words);
    container->is_overruled = why && container->owns_jail;
    if (why) {
        container->key = 0;
        set_state(parent, container, CONTAINER_UNGOVERNED, why);
        return;
    }
    if (!container->owns_jail) {
        int result = take_jail(parent, container);
        if (result < 0) {
            (void)snprintf(words, sizeof words, "its jail cannot be made: %s",
                           jail_house_problem(result));
            set_state(parent, container, CONTAINER_UNGOVERNED, words);
            return;
        }
    }
    set_state(parent, container, CONTAINER_WAITING, "");
    install(parent, container);
}

static void on_installed(Parent *parent, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint8_t result = reader_u8(&reader);
    const char *why = reader_string(&reader);
    LabelledContainer *container = parent->engine->containers;
    char words[WORDS_MAX];

    while (container && (container->key == 0 || container->key != frame->key))
        container = container->next;
    if (!container || !reader_done(&reader))
        return; /* it is gone, or another installation has taken its place */
    container->key = 0;
    keep_words(words, sizeof words, why);
    if (result == INSTALL_FAILED && frame->key <= parent->engine->swept_key) {
        install(parent, container); /* what was in its place may be gone */
        return;
    }
    if (result == INSTALL_FAILED) {
        set_state(parent, container, CONTAINER_UNGOVERNED, words);
        return;
    }
    uint64_t now = clock_realtime_us();
    uint64_t since = container->started_us && container->started_us < now ? container->started_us
                                                                          : container->seen_us;
    container->has_ungoverned = result == INSTALL_DONE;
    container->ungoverned_ms = now > since ? (now - since) / 1000 : 0;
    set_state(parent, container, CONTAINER_GOVERNED, words);
}

/* Containers as the engine process tells of them. */

static bool is_id(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* The settings that the labels ask for. */
static int read_settings(LabelledContainer *container, const ContainerSeen *seen)
{
    const char *names[CONTAINER_COMMANDS_MAX];
    size_t count = 0;
    _cleanup_free_ char *copy = strdup(seen->commands);
    char *rest = copy, *name;

    while (copy && (name = strsep(&rest, "\n"))) {
        if (!*name)
            continue;
        if (count == ARRAY_SIZE(names))
            return -E2BIG;
        names[count++] = name;
    }
    jail_settings_done(&container->settings);
    return copy ? jail_settings_plain(seen->jail, names, count, seen->hardened, JAIL_OF_LABEL,
                                      &container->settings)
                : -ENOMEM;
}

static LabelledContainer *add(EngineSide *side, const char *id)
{
    LabelledContainer *container =
        side->n_containers < CONTAINERS_MAX ? calloc(1, sizeof *container) : NULL;

    if (!container)
        return NULL;
    (void)snprintf(container->id, sizeof container->id, "%s", id);
    container->seen_us = clock_realtime_us();
    container->next = side->containers;
    side->containers = container;
    side->n_containers++;
    return container;
}

static int on_seen(Parent *parent, const LinkFrame *frame)
{
    EngineSide *side = parent->engine;
    ContainerSeen seen;
    char jail[POLICY_JAIL_NAME_SIZE];

    if (container_seen_decode(frame->payload, frame->size, &seen) < 0 || !is_id(seen.id))
        return -EPROTO;
    LabelledContainer *container = find(side, seen.id);
    if (!container && !(container = add(side, seen.id)))
        return 0;
    /* Labels stay as they are for a container's life. What may change is its own name: the jail
     * that goes by it is mounted in the container, and keeps the name that it has. */
    (void)snprintf(jail, sizeof jail, "%s", container->owns_jail ? container->jail : seen.jail);
    seen.jail = jail;
    if (container->pid != seen.pid) {
        container->seen_us = clock_realtime_us();
        container->has_ungoverned = false;
    }
    container->is_known = true;
    container->pid = seen.pid;
    container->started_us = seen.started_us;
    free(container->commands);
    free(container->path);
    container->commands = strdup(seen.commands);
    container->path = strdup(seen.path);
    keep_words(container->name, sizeof container->name, seen.name);
    keep_words(container->problem, sizeof container->problem, seen.problem);
    (void)snprintf(container->jail, sizeof container->jail, "%s",
                   container->problem[0] ? "" : seen.jail);
    if (!container->problem[0] &&
        (!container->commands || !container->path || read_settings(container, &seen) < 0))
        return -EPROTO; /* such labels are a problem to the engine process too */
    if (container->problem[0])
        give_up_jail(parent, container);
    container->state = 0;
    settle(parent, container);
    return 0;
}

static int on_gone(Parent *parent, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    const char *id = reader_string(&reader);

    if (!reader_done(&reader))
        return -EPROTO;
    LabelledContainer *container = find(parent->engine, id);
    if (container)
        forget(parent, container);
    return 0;
}

/* What was not told again while the engine process was away is gone. */
static void on_known(Parent *parent)
{
    EngineSide *side = parent->engine;
    LabelledContainer *container = side->containers;

    while (container) {
        if (container->is_known) {
            container = container->next;
            continue;
        }
        forget(parent, container);
        container = side->containers;
    }
    if (side->is_known)
        return;
    side->is_known = true;
    jails_sweep(parent);
    side->swept_key = side->next_key;
    for (container = side->containers; container; container = container->next)
        if (container->owns_jail && container->state == CONTAINER_UNGOVERNED)
            settle(parent, container);
}

static int on_state(Parent *parent, const LinkFrame *frame)
{
    EngineSide *side = parent->engine;
    Reader reader = reader_of(frame->payload, frame->size);
    bool connected = reader_u8(&reader) != 0;
    const char *words = reader_string(&reader);

    if (!reader_done(&reader))
        return -EPROTO;
    side->connected = connected;
    keep_words(side->words, sizeof side->words, words);
    if (connected)
        log_info("the container engine answers (%s)", side->words);
    else
        log_warning("the container engine at %s does not answer: %s", parent->options->engine,
                    side->words);
    tell_engine(parent);
    return 0;
}

/* Connections. */

static int connect_engine(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno; /* EAGAIN: its queue is full */
    return TAKE_FD(fd);
}

static void on_wanted(Parent *parent, Child *engine)
{
    _cleanup_fd_ int fd = connect_engine(parent->options->engine);
    Buffer payload = BUFFER_EMPTY(64);

    buffer_put_u32(&payload, fd < 0 ? (uint32_t)-fd : 0);
    (void)child_send(engine, MESSAGE_ENGINE_CONNECTION, &payload, fd);
}

bool engine_side_on_frame(Child *child, LinkFrame *frame)
{
    Parent *parent = child->parent;
    int result = 0;

    if (!parent->engine)
        return false;
    if (child->kind == CHILD_EXECUTOR && frame->type == MESSAGE_INSTALLED) {
        on_installed(parent, frame);
        return true;
    }
    if (child->kind != CHILD_ENGINE)
        return false;
    switch (frame->type) {
    case MESSAGE_ENGINE_WANTED:
        on_wanted(parent, child);
        break;
    case MESSAGE_ENGINE_STATE:
        result = on_state(parent, frame);
        break;
    case MESSAGE_CONTAINER:
        result = on_seen(parent, frame);
        break;
    case MESSAGE_CONTAINER_GONE:
        result = on_gone(parent, frame);
        break;
    case MESSAGE_CONTAINERS_KNOWN:
        on_known(parent);
        break;
    default:
        return false;
    }
    return result == 0;
}

/* The process. */

void engine_side_start(Parent *parent)
{
    if (!parent->engine || child_find(parent, CHILD_ENGINE))
        return;
    for (LabelledContainer *container = parent->engine->containers; container;
         container = container->next)
        container->is_known = false;
    Child *engine = child_start(parent, CHILD_ENGINE, NULL);
    Child *warden = child_find(parent, CHILD_WARDEN);
    Child *executor = child_find(parent, CHILD_EXECUTOR);
    if (!engine || !warden || !executor)
        return;
    (void)children_link(engine, warden, 0, "", ""); /* commands in ghost */
    (void)children_link(engine, executor, 0, "", "");
    files_send_policy_to(parent, engine);
}

static void on_restart(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Parent *parent = userdata;
    if (!parent->stopping && !parent->restarting)
        engine_side_start(parent);
}

void engine_side_on_ended(Parent *parent)
{
    struct timeval after = clock_timeval_of_ms(RESTART_MS);

    if (!parent->engine)
        return;
    parent->engine->connected = false;
    (void)snprintf(parent->engine->words, sizeof parent->engine->words,
                   "the engine process has ended");
    tell_engine(parent);
    (void)event_add(parent->engine->restart, &after);
}

void engine_side_on_ready(Parent *parent)
{
    if (!parent->engine)
        return;
    tell_engine(parent);
    for (LabelledContainer *container = parent->engine->containers; container;
         container = container->next) {
        tell(parent, container, true);
        if (container->owns_jail && !container->is_overruled)
            install(parent, container);
    }
}

void engine_side_on_jails(Parent *parent)
{
    if (!parent->engine)
        return;
    settle_overruled(parent);
    settle_refused(parent);
}

int engine_side_new(Parent *parent)
{
    EngineSide *side = calloc(1, sizeof *side);

    if (!side)
        return -ENOMEM;
    side->restart = event_new(parent->loop, -1, 0, on_restart, parent);
    if (!side->restart) {
        free(side);
        return -ENOMEM;
    }
    (void)snprintf(side->words, sizeof side->words, "not asked yet");
    parent->engine = side;
    return 0;
}

void engine_side_free(Parent *parent)
{
    EngineSide *side = parent->engine;

    if (!side)
        return;
    while (side->containers) {
        LabelledContainer *container = side->containers;
        side->containers = container->next;
        free_container(container);
    }
    event_free(side->restart);
    free(side);
    parent->engine = NULL;
}
