/*
 * See settings.h.
 */
#include "jail/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_HARDENED = 1u << 0, FLAG_ALLOW_ROOT = 1u << 1, FLAGS_ALL = (1u << 2) - 1 };

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The bytes of all names together, or a refusal. */
static int measure(const PolicyJail *jail, size_t *ret_size)
{
    size_t size = 0;

    if (!policy_is_jail_name(jail->name))
        return -EINVAL;
    if (jail->n_commands > POLICY_JAIL_COMMANDS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < jail->n_commands; i++) {
        if (policy_command_problem(jail->commands[i]))
            return -EINVAL;
        size += strlen(jail->commands[i]) + 1;
        if (size > POLICY_JAIL_COMMANDS_BYTES_MAX)
            return -E2BIG;
    }
    *ret_size = size;
    return 0;
}

/* Sorts, and drops what stands there twice. */
static size_t settle(const char **commands, size_t count)
{
    size_t kept = 0;

    if (count > 0)
        qsort(commands, count, sizeof *commands, compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(commands[kept - 1], commands[i]) != 0)
            commands[kept++] = commands[i];
    return kept;
}

int jail_settings_of(const PolicyJail *jail, JailSource source, JailSettings *ret)
{
    size_t size = 0;

    *ret = JAIL_SETTINGS_EMPTY;
    int result = measure(jail, &size);
    if (result < 0)
        return result;
    /* One block: the pointers, the commands, the name. */
    const size_t name_size = strlen(jail->name) + 1;
    const char **commands = malloc(jail->n_commands * sizeof *commands + size + name_size);
    if (!commands)
        return -ENOMEM;
    char *at = (char *)(commands + jail->n_commands);
    for (size_t i = 0; i < jail->n_commands; i++) {
        commands[i] = at;
        at = stpcpy(at, jail->commands[i]) + 1;
    }
    memcpy(at, jail->name, name_size);
    *ret = (JailSettings){.jail = *jail, .source = source, .memory = commands};
    ret->jail.name = at;
    ret->jail.commands = commands;
    ret->jail.n_commands = settle(commands, jail->n_commands);
    return 0;
}

int jail_settings_plain(const char *name, const char *const *commands, size_t n_commands,
                        bool hardened, JailSource source, JailSettings *ret)
{
    PolicyJail jail = policy_jail_defaults(name);

    jail.commands = commands;
    jail.n_commands = n_commands;
    jail.hardened = hardened;
    return jail_settings_of(&jail, source, ret);
}

void jail_settings_done(JailSettings *settings)
{
    free(settings->memory);
    *settings = JAIL_SETTINGS_EMPTY;
}

bool jail_settings_equal(const JailSettings *one, const JailSettings *other)
{
    const PolicyJail *a = &one->jail, *b = &other->jail;

    if (strcmp(a->name, b->name) != 0 || a->hardened != b->hardened ||
        a->allow_root != b->allow_root || a->wait_ms != b->wait_ms ||
        a->limits.pending != b->limits.pending || a->limits.connections != b->limits.connections ||
        a->limits.bytes != b->limits.bytes || a->limits.commands != b->limits.commands ||
        a->n_commands != b->n_commands)
        return false;
    for (size_t i = 0; i < a->n_commands; i++)
        if (strcmp(a->commands[i], b->commands[i]) != 0)
            return false;
    return true;
}

const char *jail_source_name(JailSource source)
{
    static const char *const names[] = {
        [JAIL_OF_POLICY] = "policy", [JAIL_OF_API] = "api", [JAIL_OF_LABEL] = "label"};
    return source >= JAIL_OF_POLICY && source < JAIL_SOURCE_MAX_ ? names[source] : "nobody";
}

void jail_settings_encode(Buffer *buffer, const JailSettings *settings, bool with_commands)
{
    const PolicyJail *jail = &settings->jail;

    buffer_put_string(buffer, jail->name);
    buffer_put_u8(buffer, (uint8_t)settings->source);
    buffer_put_u8(buffer, (uint8_t)((jail->hardened ? FLAG_HARDENED : 0) |
                                    (jail->allow_root ? FLAG_ALLOW_ROOT : 0)));
    buffer_put_u64(buffer, jail->wait_ms);
    buffer_put_u32(buffer, jail->limits.pending);
    buffer_put_u32(buffer, jail->limits.connections);
    buffer_put_u64(buffer, jail->limits.bytes);
    buffer_put_u32(buffer, jail->limits.commands);
    buffer_put_u32(buffer, with_commands ? (uint32_t)jail->n_commands : 0);
    for (size_t i = 0; with_commands && i < jail->n_commands; i++)
        buffer_put_string(buffer, jail->commands[i]);
}

int jail_settings_decode(Reader *reader, JailSettings *ret)
{
    PolicyJail jail = policy_jail_defaults(reader_string(reader));

    *ret = JAIL_SETTINGS_EMPTY;
    JailSource source = (JailSource)reader_u8(reader);
    uint8_t flags = reader_u8(reader);
    jail.hardened = flags & FLAG_HARDENED;
    jail.allow_root = flags & FLAG_ALLOW_ROOT;
    jail.wait_ms = reader_u64(reader);
    jail.limits.pending = reader_u32(reader);
    jail.limits.connections = reader_u32(reader);
    jail.limits.bytes = reader_u64(reader);
    jail.limits.commands = reader_u32(reader);
    jail.n_commands = reader_u32(reader);
    if (reader->failed || source < JAIL_OF_POLICY || source >= JAIL_SOURCE_MAX_ ||
        (flags & ~FLAGS_ALL) || jail.limits.pending == 0 || jail.limits.connections == 0 ||
        jail.limits.commands == 0 || jail.n_commands > POLICY_JAIL_COMMANDS_MAX)
        return -EPROTO;
    const char **commands = calloc(jail.n_commands + 1, sizeof *commands);
    if (!commands)
        return -ENOMEM;
    for (size_t i = 0; i < jail.n_commands; i++)
        commands[i] = reader_string(reader);
    jail.commands = commands;
    int result = reader->failed ? -EPROTO : jail_settings_of(&jail, source, ret);
    free(commands);
    return result == -EINVAL || result == -E2BIG ? -EPROTO : result;
}
