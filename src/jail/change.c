/*
 * See change.h.
 */
#include "jail/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#define LIMIT_MAX 1000000u
#define BYTES_MIN 65536u
#define BYTES_MAX (UINT64_C(1) << 40)
#define DESCRIBED_MAX 2000u

static void put_names(Buffer *buffer, const JailNames *names)
{
    buffer_put_u32(buffer, (uint32_t)names->n_items);
    for (size_t i = 0; i < names->n_items; i++)
        buffer_put_string(buffer, names->items[i]);
}

void jail_change_encode(Buffer *buffer, const JailChange *change)
{
    buffer_put_string(buffer, change->name);
    buffer_put_u8(buffer, (uint8_t)change->said);
    buffer_put_u8(buffer, change->hardened);
    buffer_put_u64(buffer, change->wait_ms);
    buffer_put_u32(buffer, change->limits.pending);
    buffer_put_u32(buffer, change->limits.connections);
    buffer_put_u64(buffer, change->limits.bytes);
    buffer_put_u32(buffer, change->limits.commands);
    put_names(buffer, &change->commands);
    put_names(buffer, &change->add);
    put_names(buffer, &change->remove);
}

/* A list, into `room` for POLICY_JAIL_COMMANDS_MAX names. */
static JailNames read_names(Reader *reader, const char **room)
{
    JailNames names = {.items = room, .n_items = reader_u32(reader)};

    if (names.n_items > POLICY_JAIL_COMMANDS_MAX)
        reader->failed = true;
    for (size_t i = 0; !reader->failed && i < names.n_items; i++)
        room[i] = reader_string(reader);
    return names;
}

int jail_change_decode(Reader *reader, JailChange *ret)
{
    const char **room = calloc(3 * (size_t)POLICY_JAIL_COMMANDS_MAX, sizeof *room);

    *ret = (JailChange){.memory = room};
    if (!room)
        return -ENOMEM;
    ret->name = reader_string(reader);
    ret->said = reader_u8(reader);
    ret->hardened = reader_u8(reader) != 0;
    ret->wait_ms = reader_u64(reader);
    ret->limits.pending = reader_u32(reader);
    ret->limits.connections = reader_u32(reader);
    ret->limits.bytes = reader_u64(reader);
    ret->limits.commands = reader_u32(reader);
    ret->commands = read_names(reader, room);
    ret->add = read_names(reader, room + POLICY_JAIL_COMMANDS_MAX);
    ret->remove = read_names(reader, room + 2 * (size_t)POLICY_JAIL_COMMANDS_MAX);
    if (!reader->failed && (ret->said & ~JAIL_CHANGE_ALL_) == 0)
        return 0;
    jail_change_done(ret);
    return -EPROTO;
}

void jail_change_done(JailChange *change)
{
    free(change->memory);
    *change = (JailChange){.memory = NULL};
}

/* Applying. */

static bool check_name(const char *name, char *problem)
{
    if (policy_is_jail_name(name))
        return true;
    (void)snprintf(problem, JAIL_PROBLEM_MAX,
                   "a jail's name has small letters, digits, '.', '_' and '-', begins with a "
                   "letter or digit and has at most 63 of them");
    return false;
}

static bool check_commands(const JailNames *names, char *problem)
{
    for (size_t i = 0; i < names->n_items; i++) {
        const char *why = policy_command_problem(names->items[i]);
        Buffer text = BUFFER_EMPTY(1024);
        if (!why)
            continue;
        text_display_argument(&text, names->items[i], 80);
        _cleanup_free_ char *shown = buffer_take_string(&text);
        (void)snprintf(problem, JAIL_PROBLEM_MAX, "%s: %s", shown ? shown : "?", why);
        return false;
    }
    return true;
}

static bool check_limits(const PolicyLimits *limits, char *problem)
{
    if (limits->pending > LIMIT_MAX || limits->connections > LIMIT_MAX ||
        limits->commands > LIMIT_MAX) {
        (void)snprintf(problem, JAIL_PROBLEM_MAX, "a limit is a number from 1 to %u", LIMIT_MAX);
        return false;
    }
    if (limits->bytes != 0 && (limits->bytes < BYTES_MIN || limits->bytes > BYTES_MAX)) {
        (void)snprintf(problem, JAIL_PROBLEM_MAX, "the limit \"bytes\" is at least %u", BYTES_MIN);
        return false;
    }
    return true;
}

static bool is_among(const JailNames *names, const char *name)
{
    for (size_t i = 0; i < names->n_items; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

static void apply_limits(const PolicyLimits *said, PolicyLimits *limits)
{
    limits->pending = said->pending ? said->pending : limits->pending;
    limits->connections = said->connections ? said->connections : limits->connections;
    limits->bytes = said->bytes ? said->bytes : limits->bytes;
    limits->commands = said->commands ? said->commands : limits->commands;
}

/* What is there (or comes in its place) and what is added, without what is removed. */
static size_t gather(const JailNames *from, const JailNames *add, const JailNames *remove,
                     const char **room)
{
    size_t count = 0;

    for (size_t i = 0; i < from->n_items; i++)
        if (!is_among(remove, from->items[i]))
            room[count++] = from->items[i];
    for (size_t i = 0; i < add->n_items; i++)
        if (!is_among(remove, add->items[i]))
            room[count++] = add->items[i];
    return count;
}

int jail_change_apply(const JailChange *change, const PolicyJail *base, JailSettings *ret,
                      char problem[static JAIL_PROBLEM_MAX])
{
    PolicyJail jail = base ? *base : policy_jail_defaults(change->name);
    const JailNames before = {.items = jail.commands, .n_items = jail.n_commands};
    const JailNames *from = change->said & JAIL_CHANGE_COMMANDS ? &change->commands : &before;

    *ret = JAIL_SETTINGS_EMPTY;
    problem[0] = '\0';
    if (!check_name(change->name, problem) || !check_commands(&change->commands, problem) ||
        !check_commands(&change->add, problem) || !check_limits(&change->limits, problem))
        return 1;
    _cleanup_free_ const char **room =
        calloc(from->n_items + change->add.n_items + 1, sizeof *room);
    if (!room)
        return -ENOMEM;
    jail.name = change->name;
    jail.n_commands = gather(from, &change->add, &change->remove, room);
    jail.commands = room;
    if (change->said & JAIL_CHANGE_HARDENED)
        jail.hardened = change->hardened;
    if (change->said & JAIL_CHANGE_WAIT)
        jail.wait_ms = change->wait_ms;
    apply_limits(&change->limits, &jail.limits);
    int result = jail_settings_of(&jail, JAIL_OF_API, ret);
    if (result == -ENOMEM || result == 0)
        return result;
    (void)snprintf(problem, JAIL_PROBLEM_MAX,
                   "a jail has at most %u commands, their names at most %u bytes together",
                   POLICY_JAIL_COMMANDS_MAX, POLICY_JAIL_COMMANDS_BYTES_MAX);
    return 1;
}

/* Describing. */

static void begin(Buffer *out, size_t start, const char *what)
{
    buffer_printf(out, "%s%s", buffer_size(out) > start ? ", " : "", what);
}

static void describe_names(Buffer *out, size_t start, const char *what, const JailNames *names)
{
    begin(out, start, what);
    for (size_t i = 0; i < names->n_items; i++) {
        if (buffer_size(out) - start > DESCRIBED_MAX) {
            buffer_printf(out, " …(+%zu)", names->n_items - i);
            return;
        }
        buffer_put_u8(out, ' ');
        text_display_argument(out, names->items[i], 80);
    }
    if (names->n_items == 0)
        buffer_puts(out, " none");
}

static void describe_limit(Buffer *out, size_t start, const char *what, uint64_t limit)
{
    if (limit == 0)
        return;
    begin(out, start, what);
    buffer_printf(out, " %llu", (unsigned long long)limit);
}

void jail_change_describe(const JailChange *change, Buffer *out)
{
    const size_t start = buffer_size(out);
    char text[CLOCK_TEXT_MAX];

    if (change->said & JAIL_CHANGE_COMMANDS)
        describe_names(out, start, "commands", &change->commands);
    if (change->add.n_items > 0)
        describe_names(out, start, "with", &change->add);
    if (change->remove.n_items > 0)
        describe_names(out, start, "without", &change->remove);
    if (change->said & JAIL_CHANGE_HARDENED)
        begin(out, start, change->hardened ? "hardened" : "not hardened");
    if (change->said & JAIL_CHANGE_WAIT) {
        begin(out, start, "wait ");
        buffer_puts(out, change->wait_ms == UINT64_MAX
                             ? "true"
                             : clock_format_duration(change->wait_ms, text));
    }
    describe_limit(out, start, "pending", change->limits.pending);
    describe_limit(out, start, "connections", change->limits.connections);
    describe_limit(out, start, "bytes", change->limits.bytes);
    describe_limit(out, start, "running commands", change->limits.commands);
}
