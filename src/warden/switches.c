/*
 * See switches.h. The text: a first line that names the format, one line of eight fields for each
 * entry with tabs between them, one of three for each frozen container, and "end COUNT" of both. A
 * control character, a '%' or a byte beyond ASCII is %HH in a field.
 */
#include "warden/switches.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define FIRST_LINE "clawrden switches 1"
#define FIELDS 8u
#define FROZEN "frozen" /* a line of its own kind, with three fields */
#define FIELD_MAX 1024u /* bytes, decoded */
#define TIME_DIGITS_MAX 18u

static const char *const states[SWITCH_MAX_] = {
    [SWITCH_RUNNING] = "running", [SWITCH_PAUSED] = "paused", [SWITCH_KILLED] = "killed"};
static const char *const scopes[SWITCH_SCOPE_MAX_] = {[SWITCH_SCOPE_JAIL] = "jail",
                                                      [SWITCH_SCOPE_CONTAINER] = "container",
                                                      [SWITCH_SCOPE_ALL] = "all"};

const char *switch_state_name(SwitchState state)
{
    return (unsigned)state < SWITCH_MAX_ ? states[state] : "unknown";
}

const char *switch_scope_name(SwitchScope scope)
{
    return (unsigned)scope < SWITCH_SCOPE_MAX_ && scopes[scope] ? scopes[scope] : "unknown";
}

static Switch *switch_free(Switch *entry)
{
    if (entry) {
        free(entry->by);
        free(entry->via);
        free(entry->reason);
    }
    free(entry);
    return NULL;
}

void switches_done(Switches *switches)
{
    while (switches->first) {
        Switch *next = switches->first->next;
        switch_free(switches->first);
        switches->first = next;
    }
    switches->count = 0;
    while (switches->containers)
        switches_remove_container(switches, switches->containers);
}

Switch *switches_find(const Switches *switches, SwitchScope scope, const char *name)
{
    for (Switch *entry = switches->first; entry; entry = entry->next)
        if (entry->scope == scope && strcmp(entry->name, name) == 0)
            return entry;
    return NULL;
}

const Switch *switches_of(const Switches *switches, const char *jail, const char *container)
{
    const Switch *mine = switches_find(switches, SWITCH_SCOPE_JAIL, jail);
    const Switch *its =
        *container ? switches_find(switches, SWITCH_SCOPE_CONTAINER, container) : NULL;

    if (!mine)
        mine = switches_find(switches, SWITCH_SCOPE_ALL, "");
    if (its && (!mine || its->state > mine->state))
        mine = its;
    return mine && mine->state != SWITCH_RUNNING ? mine : NULL;
}

static Switch *copy_of(const Switch *wanted)
{
    Switch *entry = malloc(sizeof *entry);

    if (!entry)
        return NULL;
    *entry = *wanted;
    entry->by = strdup(wanted->by);
    entry->via = strdup(wanted->via);
    entry->reason = strdup(wanted->reason);
    return entry->by && entry->via && entry->reason ? entry : switch_free(entry);
}

size_t switches_room(const Switches *switches)
{
    size_t n_named = switches->count - (switches_find(switches, SWITCH_SCOPE_ALL, "") != NULL);
    return n_named < SWITCHES_MAX ? SWITCHES_MAX - n_named : 0;
}

int switches_set(Switches *switches, const Switch *wanted)
{
    Switch *before = switches_find(switches, wanted->scope, wanted->name);

    /* There is always room to stop everything. */
    if (!before && wanted->scope != SWITCH_SCOPE_ALL && switches_room(switches) == 0)
        return -ENOSPC;
    Switch *entry = copy_of(wanted);
    if (!entry)
        return -ENOMEM;
    if (before)
        switches_remove(switches, before);
    Switch **link = &switches->first;
    while (*link) /* in the order of their making: what is shown should not jump about */
        link = &(*link)->next;
    entry->next = NULL;
    *link = entry;
    switches->count++;
    return 0;
}

void switches_remove(Switches *switches, Switch *entry)
{
    Switch **link = &switches->first;

    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    switches->count--;
    switch_free(entry);
}

/* Containers. */

static SwitchContainer **find_container(Switches *switches, const char *id, const char *jail)
{
    SwitchContainer **link = &switches->containers;

    while (*link && (strcmp((*link)->id, id) != 0 || strcmp((*link)->jail, jail) != 0))
        link = &(*link)->next;
    return link;
}

void switches_remove_container(Switches *switches, SwitchContainer *container)
{
    SwitchContainer **link = &switches->containers;

    while (*link != container)
        link = &(*link)->next;
    *link = container->next;
    switches->n_containers--;
    free(container);
}

static bool make_room(Switches *switches)
{
    SwitchContainer *oldest = NULL;

    if (switches->n_containers < SWITCH_CONTAINERS_MAX)
        return true;
    for (SwitchContainer *container = switches->containers; container; container = container->next)
        oldest = container->frozen ? oldest : container;
    if (oldest)
        switches_remove_container(switches, oldest);
    return oldest != NULL;
}

SwitchContainer *switches_meet_container(Switches *switches, const char *id, const char *jail,
                                         bool *ret_new)
{
    SwitchContainer **link = find_container(switches, id, jail), *container = *link;

    *ret_new = container == NULL;
    if (container) {
        *link = container->next;
    } else {
        if (strlen(id) >= sizeof container->id || strlen(jail) >= sizeof container->jail ||
            !make_room(switches) || !(container = calloc(1, sizeof *container)))
            return NULL;
        (void)snprintf(container->id, sizeof container->id, "%s", id);
        (void)snprintf(container->jail, sizeof container->jail, "%s", jail);
        switches->n_containers++;
    }
    container->next = switches->containers;
    switches->containers = container;
    return container;
}

uint64_t switches_next_end(const Switches *switches)
{
    uint64_t next = 0;

    for (const Switch *entry = switches->first; entry; entry = entry->next)
        if (entry->until_us > 0 && (next == 0 || entry->until_us < next))
            next = entry->until_us;
    return next;
}

/* Text. */

static void put_field(Buffer *text, const char *field)
{
    for (const char *at = field; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte >= 0x20 && byte < 0x7f && byte != '%')
            buffer_put_u8(text, byte);
        else
            buffer_printf(text, "%%%02x", byte);
    }
    buffer_put_u8(text, '\t');
}

void switches_encode(const Switches *switches, Buffer *text)
{
    buffer_puts(text, FIRST_LINE "\n");
    for (const Switch *entry = switches->first; entry; entry = entry->next) {
        put_field(text, switch_state_name(entry->state));
        put_field(text, switch_scope_name(entry->scope));
        put_field(text, entry->name);
        buffer_printf(text, "%llu\t%llu\t", (unsigned long long)entry->since_us,
                      (unsigned long long)entry->until_us);
        put_field(text, entry->by);
        put_field(text, entry->via);
        put_field(text, entry->reason);
        buffer_put_u8(text, '\n');
    }
    size_t n_frozen = 0;
    for (const SwitchContainer *container = switches->containers; container;
         container = container->next) {
        if (!container->frozen)
            continue;
        put_field(text, FROZEN);
        put_field(text, container->id);
        put_field(text, container->jail);
        buffer_put_u8(text, '\n');
        n_frozen++;
    }
    buffer_printf(text, "end %zu\n", switches->count + n_frozen);
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The next field of the line, which ends with a tab; *at stands behind that then. NULL: not as it
 * was written, or no memory. */
static char *take_field(const char **at, const char *end)
{
    char decoded[FIELD_MAX + 1];
    size_t size = 0;

    while (*at < end && **at != '\t') {
        char byte = *(*at)++;
        if (byte == '%') {
            if (end - *at < 2 || hex_value((*at)[0]) < 0 || hex_value((*at)[1]) < 0)
                return NULL;
            byte = (char)(hex_value((*at)[0]) << 4 | hex_value((*at)[1]));
            *at += 2;
        } else if ((unsigned char)byte < 0x20 || (unsigned char)byte >= 0x7f) {
            return NULL;
        }
        if (byte == '\0' || size == FIELD_MAX)
            return NULL;
        decoded[size++] = byte;
    }
    if (*at == end)
        return NULL;
    (*at)++;
    decoded[size] = '\0';
    return strdup(decoded);
}

/* The index of `word` in a table of names, or -1. */
static int index_of(const char *const *names, unsigned count, const char *word)
{
    for (unsigned i = 0; i < count; i++)
        if (names[i] && strcmp(names[i], word) == 0)
            return (int)i;
    return -1;
}

static bool parse_number(const char *text, uint64_t *ret)
{
    size_t size = strlen(text);

    if (size == 0 || size > TIME_DIGITS_MAX || strspn(text, "0123456789") != size ||
        (text[0] == '0' && size > 1))
        return false;
    *ret = strtoull(text, NULL, 10);
    return true;
}

static bool is_sound(const Switch *entry, char *const *fields)
{
    return (entry->scope == SWITCH_SCOPE_ALL) == (entry->name[0] == '\0') &&
           (entry->state != SWITCH_RUNNING ||
            (entry->scope == SWITCH_SCOPE_JAIL && entry->until_us == 0)) &&
           fields[5][0] && fields[6][0];
}

static int take_entry(Switches *switches, char *const *fields)
{
    int state = index_of(states, SWITCH_MAX_, fields[0]);
    int scope = index_of(scopes, SWITCH_SCOPE_MAX_, fields[1]);
    Switch entry = {.by = fields[5], .via = fields[6], .reason = fields[7]};

    if (state < 0 || scope < 0 || strlen(fields[2]) >= sizeof entry.name ||
        !parse_number(fields[3], &entry.since_us) || !parse_number(fields[4], &entry.until_us))
        return -EBADMSG;
    entry.state = (SwitchState)state;
    entry.scope = (SwitchScope)scope;
    memcpy(entry.name, fields[2], strlen(fields[2]) + 1);
    if (!is_sound(&entry, fields) || switches_find(switches, entry.scope, entry.name))
        return -EBADMSG;
    int result = switches_set(switches, &entry);
    return result == -ENOSPC ? -EBADMSG : result;
}

/* "frozen", id, jail. */
static int take_frozen(Switches *switches, const char *line, const char *end)
{
    char *kind = take_field(&line, end), *id = take_field(&line, end);
    char *jail = take_field(&line, end);
    bool is_new = false;
    SwitchContainer *container = NULL;

    if (kind && id && jail && *id && line == end)
        container = switches_meet_container(switches, id, jail, &is_new);
    if (container)
        container->frozen = true;
    free(kind);
    free(id);
    free(jail);
    return container && is_new ? 0 : -EBADMSG;
}

static int take_line(Switches *switches, const char *line, const char *end)
{
    char *fields[FIELDS] = {NULL};
    int result = 0;

    for (unsigned i = 0; i < FIELDS && result == 0; i++)
        if (!(fields[i] = take_field(&line, end)))
            result = -EBADMSG;
    if (result == 0)
        result = line == end ? take_entry(switches, fields) : -EBADMSG;
    for (unsigned i = 0; i < FIELDS; i++)
        free(fields[i]);
    return result;
}

int switches_decode(const char *text, size_t size, Switches *ret)
{
    const char *at = text, *end = text + size;
    char last[32];
    bool first = true;

    *ret = (Switches){.first = NULL};
    for (const char *stop; at < end && (stop = memchr(at, '\n', (size_t)(end - at)));
         at = stop + 1) {
        size_t length = (size_t)(stop - at);
        if (first && (length != strlen(FIRST_LINE) || memcmp(at, FIRST_LINE, length) != 0))
            return -EBADMSG;
        if (!first && stop + 1 == end) {
            int written = snprintf(last, sizeof last, "end %zu", ret->count + ret->n_containers);
            return (size_t)written == length && memcmp(at, last, length) == 0 ? 0 : -EBADMSG;
        }
        int result = first ? 0
                     : strncmp(at, FROZEN "\t", strlen(FROZEN) + 1) == 0
                         ? take_frozen(ret, at, stop)
                         : take_line(ret, at, stop);
        if (result < 0)
            return result;
        first = false;
    }
    return -EBADMSG;
}
