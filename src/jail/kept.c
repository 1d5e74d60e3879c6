/*
 * See kept.h.
 */
#include "jail/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define FILE_NEW ".jails.json.new"
#define FILE_BYTES_MAX ((size_t)64 << 20)
#define LIMIT_MAX 1000000

/* Reading. */

__attribute__((format(printf, 2, 3))) static int complain(char **ret_problem, const char *format,
                                                          ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(ret_problem, format, arguments) < 0)
        *ret_problem = NULL;
    va_end(arguments);
    return *ret_problem ? 1 : -ENOMEM;
}

static bool read_number(const json_t *object, const char *name, json_int_t most, json_int_t *ret)
{
    const json_t *value = json_object_get(object, name);

    *ret = json_integer_value(value);
    return json_is_integer(value) && *ret >= 1 && *ret <= most;
}

static bool read_limits(const json_t *json, PolicyLimits *limits)
{
    json_int_t pending, connections, bytes, commands;

    if (!read_number(json, "pending", LIMIT_MAX, &pending) ||
        !read_number(json, "connections", LIMIT_MAX, &connections) ||
        !read_number(json, "bytes", (json_int_t)1 << 40, &bytes) ||
        !read_number(json, "commands", LIMIT_MAX, &commands))
        return false;
    *limits = (PolicyLimits){.pending = (unsigned)pending,
                             .connections = (unsigned)connections,
                             .bytes = (uint64_t)bytes,
                             .commands = (unsigned)commands};
    return true;
}

static bool read_wait(const json_t *value, uint64_t *ret_ms)
{
    if (json_is_null(value))
        *ret_ms = UINT64_MAX;
    else if (json_is_integer(value) && json_integer_value(value) >= 0)
        *ret_ms = (uint64_t)json_integer_value(value);
    else
        return false;
    return true;
}

/* 0; 1: it is not well-formed; -ENOMEM. */
static int read_jail(const json_t *json, JailSettings *ret)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const json_t *list = json_object_get(json, "commands"), *entry;
    PolicyJail jail = policy_jail_defaults(name);
    size_t i;

    if (!name || !json_is_array(list) || !json_is_boolean(json_object_get(json, "hardened")) ||
        !read_wait(json_object_get(json, "wait_ms"), &jail.wait_ms) ||
        !read_limits(json_object_get(json, "limits"), &jail.limits))
        return 1;
    jail.hardened = json_is_true(json_object_get(json, "hardened"));
    _cleanup_free_ const char **commands = calloc(json_array_size(list) + 1, sizeof *commands);
    if (!commands)
        return -ENOMEM;
    json_array_foreach(list, i, entry)
    {
        commands[i] = json_string_value(entry);
        if (!commands[i])
            return 1;
    }
    jail.commands = commands;
    jail.n_commands = json_array_size(list);
    int result = jail_settings_of(&jail, JAIL_OF_API, ret);
    return result == -ENOMEM ? result : result < 0;
}

static int read_document(const json_t *document, JailTable *table, char **ret_problem)
{
    const json_t *list = json_object_get(document, "jails"), *entry;
    size_t i;

    if (json_integer_value(json_object_get(document, "version")) != 1 || !json_is_array(list) ||
        json_array_size(list) > JAILS_KEPT_MAX)
        return complain(ret_problem, "it is no list of jails that this version knows");
    json_array_foreach(list, i, entry)
    {
        JailSettings settings = JAIL_SETTINGS_EMPTY;
        int result = read_jail(entry, &settings);
        if (result == 0 && jail_table_find_of(table, settings.jail.name, JAIL_OF_API)) {
            jail_settings_done(&settings);
            return complain(ret_problem, "jail %zu stands there twice", i + 1);
        }
        if (result == 0)
            result = jail_table_put_take(table, &settings);
        jail_settings_done(&settings);
        if (result != 0)
            return result < 0 ? result
                              : complain(ret_problem, "jail %zu is not well-formed", i + 1);
    }
    return 0;
}

static void forget(JailTable *table)
{
    for (size_t i = table->n_items; i-- > 0;)
        if (table->items[i].source == JAIL_OF_API)
            (void)jail_table_remove(table, table->items[i].jail.name, JAIL_OF_API);
}

/* 0, 1 with a problem, or -ENOENT. */
static int read_text(int directory_fd, char **ret_text, size_t *ret_size, char **ret_problem)
{
    struct stat status;
    _cleanup_fd_ int fd =
        openat(directory_fd, JAILS_KEPT_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? -ENOENT
                               : complain(ret_problem, "it cannot be opened: %s", strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return complain(ret_problem, "it is no regular file");
    if ((status.st_uid != 0 && status.st_uid != geteuid()) ||
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return complain(ret_problem, "others own it or can write to it");
    int result = fd_read_all(fd, FILE_BYTES_MAX, ret_text, ret_size);
    return result < 0 ? complain(ret_problem, "it cannot be read: %s", strerror(-result)) : 0;
}

int jails_kept_read(int directory_fd, JailTable *table, char **ret_problem)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    json_error_t error;

    *ret_problem = NULL;
    int result = read_text(directory_fd, &text, &size, ret_problem);
    if (result != 0)
        return result == -ENOENT ? 0 : result;
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        return complain(ret_problem, "line %d, column %d: %s", error.line, error.column,
                        error.text);
    result = read_document(document, table, ret_problem);
    json_decref(document);
    if (result != 0)
        forget(table);
    return result;
}

/* Writing. */

static json_t *write_jail(const PolicyJail *jail)
{
    json_t *commands = json_array();
    const PolicyLimits *limits = &jail->limits;

    for (size_t i = 0; i < jail->n_commands; i++)
        (void)json_array_append_new(commands, json_string(jail->commands[i]));
    return json_pack("{s:s, s:o, s:b, s:o, s:{s:I, s:I, s:I, s:I}}", "name", jail->name, "commands",
                     commands, "hardened", (int)jail->hardened, "wait_ms",
                     jail->wait_ms == UINT64_MAX ? json_null()
                                                 : json_integer((json_int_t)jail->wait_ms),
                     "limits", "pending", (json_int_t)limits->pending, "connections",
                     (json_int_t)limits->connections, "bytes", (json_int_t)limits->bytes,
                     "commands", (json_int_t)limits->commands);
}

static char *write_document(const JailTable *table)
{
    json_t *list = json_array();
    int failed = 0;

    for (size_t i = 0; i < table->n_items; i++)
        if (table->items[i].source == JAIL_OF_API)
            failed |= json_array_append_new(list, write_jail(&table->items[i].jail));
    json_t *document = json_pack("{s:i, s:o}", "version", 1, "jails", list);
    char *text = document && !failed ? json_dumps(document, JSON_INDENT(1)) : NULL;
    json_decref(document);
    return text;
}

int jails_kept_write(int directory_fd, const JailTable *table)
{
    _cleanup_free_ char *text = write_document(table);

    if (!text)
        return -ENOMEM;
    if (strlen(text) > FILE_BYTES_MAX)
        return -EFBIG;
    return fd_replace_file(directory_fd, JAILS_KEPT_FILE, FILE_NEW, text, 0600, (gid_t)-1);
}
