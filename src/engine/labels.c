/*
 * See labels.h.
 */
#include "engine/labels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "wire/containers.h"

#define SHOWN_MAX 60u

/* The first problem is kept; `text` is shown in display form, cut. */
static void complain(Labels *labels, const char *label, const char *text, size_t size,
                     const char *why)
{
    Buffer shown = BUFFER_EMPTY(LABELS_PROBLEM_MAX);

    if (labels->problem[0])
        return;
    if (text)
        text_display(&shown, text, size, SHOWN_MAX);
    (void)snprintf(labels->problem, sizeof labels->problem, "label %s%s%.*s: %s", label,
                   text ? "=" : "", (int)buffer_size(&shown), buffer_head(&shown), why);
    buffer_done(&shown);
}

static void complain_of_name(Labels *labels, const char *label)
{
    Buffer shown = BUFFER_EMPTY(LABELS_PROBLEM_MAX);

    text_display(&shown, label, strlen(label), SHOWN_MAX);
    (void)buffer_put_u8(&shown, '\0');
    complain(labels, buffer_head(&shown), NULL, 0, "there is no such label");
    buffer_done(&shown);
}

static const char *value_of(const json_t *labels, const char *label, size_t *ret_size)
{
    const json_t *value = json_object_get(labels, label);
    *ret_size = json_string_length(value);
    return json_string_value(value);
}

/* An explicit name must be one; the container's own is made to fit. */
static void read_jail(const json_t *object, const char *name, const char *id, Labels *labels)
{
    size_t size;
    const char *jail = value_of(object, "clawrden.jail", &size);

    if (jail) {
        if (size < sizeof labels->jail && policy_is_jail_name(jail))
            memcpy(labels->jail, jail, size + 1);
        else
            complain(labels, "clawrden.jail", jail, size,
                     "not the name of a jail: small letters, digits, '.', '_' and '-'");
        return;
    }
    if (strlen(name) < sizeof labels->jail && policy_is_jail_name(name))
        (void)snprintf(labels->jail, sizeof labels->jail, "%s", name);
    else
        (void)snprintf(labels->jail, sizeof labels->jail, "container-%.12s", id);
}

static void read_mode(const json_t *object, Labels *labels)
{
    size_t size;
    const char *mode = value_of(object, "clawrden.mode", &size);

    labels->hardened = mode && strcmp(mode, "hardened") == 0;
    if (mode && !labels->hardened && strcmp(mode, "plain") != 0)
        complain(labels, "clawrden.mode", mode, size, "must be \"hardened\" or \"plain\"");
}

/* Appends one command of the list. False: it is none, said. */
static bool add_command(Labels *labels, const char *command, size_t size, size_t *used)
{
    char name[256];

    while (size > 0 && *command == ' ')
        command++, size--;
    while (size > 0 && command[size - 1] == ' ')
        size--;
    if (size == 0 || size >= sizeof name) {
        complain(labels, "clawrden.cmds", command, size, "not the name of a command");
        return false;
    }
    memcpy(name, command, size);
    name[size] = '\0';
    const char *problem = policy_command_problem(name);
    if (!problem && strchr(name, '\n'))
        problem = "a command's name has no line feed";
    if (problem) {
        complain(labels, "clawrden.cmds", command, size, problem);
        return false;
    }
    if (*used + size + 2 > sizeof labels->commands) {
        complain(labels, "clawrden.cmds", NULL, 0, "the list is too long");
        return false;
    }
    *used +=
        (size_t)snprintf(labels->commands + *used, sizeof labels->commands - *used, "%s\n", name);
    return true;
}

static void read_commands(const json_t *object, Labels *labels)
{
    size_t size, used = 0, count = 0;
    const char *list = value_of(object, "clawrden.cmds", &size);

    if (!list || size == 0) {
        complain(labels, "clawrden.cmds", NULL, 0,
                 "missing: it names the commands to govern, as in npm,git");
        return;
    }
    for (const char *end = list + size, *comma; list <= end; list = comma + 1) {
        comma = memchr(list, ',', (size_t)(end - list));
        if (!comma)
            comma = end;
        if (++count > CONTAINER_COMMANDS_MAX) {
            complain(labels, "clawrden.cmds", NULL, 0, "too many commands");
            return;
        }
        if (!add_command(labels, list, (size_t)(comma - list), &used))
            return;
    }
}

/* A name of ours that means nothing was meant to mean something. */
static void read_names(const json_t *object, Labels *labels)
{
    static const char ours[] = "clawrden.";
    static const char *const known[] = {LABEL_ENABLED,      "clawrden.cmds", "clawrden.mode",
                                        "clawrden.jail",    GHOST_LABEL,     GHOST_LABEL_LIFE,
                                        GHOST_LABEL_REQUEST};
    const char *label;
    json_t *value;

    json_object_foreach((json_t *)object, label, value)
    {
        size_t i = 0;
        if (strncmp(label, ours, sizeof ours - 1) != 0)
            continue;
        while (i < ARRAY_SIZE(known) && strcmp(label, known[i]) != 0)
            i++;
        if (i == ARRAY_SIZE(known))
            complain_of_name(labels, label);
    }
}

void labels_read(const json_t *object, const char *name, const char *id, Labels *ret)
{
    size_t size;
    const char *enabled = value_of(object, LABEL_ENABLED, &size);

    *ret = (Labels){.enabled = false};
    if (!enabled || strcmp(enabled, "false") == 0)
        return;
    ret->enabled = true;
    if (strlen(enabled) != size || strcmp(enabled, "true") != 0)
        complain(ret, LABEL_ENABLED, enabled, size, "must be \"true\" or \"false\"");
    read_names(object, ret);
    read_jail(object, name, id, ret);
    read_mode(object, ret);
    read_commands(object, ret);
    if (ret->problem[0])
        ret->commands[0] = '\0';
}
