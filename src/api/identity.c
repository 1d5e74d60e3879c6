/*
 * See identity.h.
 */
#include "api/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SCOPE_JAILS_MAX 256u

void identity_done(Identity *identity)
{
    free(identity->jails);
    *identity = (Identity){.kind = IDENTITY_NONE};
}

Actor identity_actor(const Identity *identity)
{
    return (Actor){.name = identity->name,
                   .role = identity->role,
                   .via = identity->via,
                   .jails = identity->jails ? identity->jails : ""};
}

bool identity_same(const Identity *a, const Identity *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == IDENTITY_OPERATOR ? strcmp(a->name, b->name) == 0
                                        : strcmp(a->key, b->key) == 0;
}

bool identity_sees(const Identity *identity, const char *jail, size_t size)
{
    Actor actor = identity_actor(identity);
    char name[64];

    if (!*actor.jails)
        return true;
    if (size == 0 || size >= sizeof name)
        return false;
    memcpy(name, jail, size);
    name[size] = '\0';
    return actor_sees(&actor, name);
}

int identity_copy(Identity *to, const Identity *from)
{
    char *jails = from->jails ? strdup(from->jails) : NULL;

    if (from->jails && !jails)
        return -ENOMEM;
    free(to->jails);
    *to = *from;
    to->jails = jails;
    return 0;
}

ActorRole role_of_name(const char *name)
{
    for (ActorRole role = ROLE_VIEWER; name && role < ROLE_MAX_; role++)
        if (strcmp(name, actor_role_name(role)) == 0)
            return role;
    return (ActorRole)0;
}

#define SMALL "abcdefghijklmnopqrstuvwxyz0123456789"

bool is_jail_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= 63 && strspn(name, SMALL) >= 1 && strspn(name, SMALL "._-") == size;
}

bool is_identity_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= 64 &&
           strspn(name, SMALL "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-@") == size && name[0] != '-' &&
           name[0] != '.';
}

int scope_of_json(const json_t *json, char **ret_jails)
{
    Buffer text = BUFFER_EMPTY(SCOPE_JAILS_MAX * 65);
    size_t i;
    const json_t *entry;

    if (json && !json_is_null(json) &&
        (!json_is_array(json) || json_array_size(json) == 0 ||
         json_array_size(json) > SCOPE_JAILS_MAX))
        return -EINVAL;
    json_array_foreach(json, i, entry)
    {
        const char *name = json_string_value(entry);
        if (!name || !is_jail_name(name)) {
            buffer_done(&text);
            return -EINVAL;
        }
        buffer_printf(&text, "%s\n", name);
    }
    *ret_jails = buffer_take_string(&text);
    return *ret_jails ? 0 : -ENOMEM;
}

json_t *scope_to_json(const char *jails)
{
    if (!jails || !*jails)
        return json_null();
    json_t *array = json_array();
    for (const char *end; (end = strchr(jails, '\n')); jails = end + 1)
        (void)json_array_append_new(array, json_stringn(jails, (size_t)(end - jails)));
    return array;
}

json_t *time_to_json(uint64_t us)
{
    char text[CLOCK_TEXT_MAX];
    return us == 0 ? json_null() : json_string(clock_format_time(us, text));
}
