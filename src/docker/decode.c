/*
 * See decode.h.
 */
#include "docker/decode.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define MESSAGE_SHOWN_MAX 300u
#define ID_SIZE 64u
#define NAME_MAX_BYTES 255u
/* The oldest version that has all that is used here, the one that is asked for by preference. */
#define VERSION_OLDEST 40u
#define VERSION_SPOKEN 41u

json_t *engine_decode_json(const char *text, size_t size)
{
    return json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
}

bool engine_is_id(const char *text)
{
    return strlen(text) == ID_SIZE && strspn(text, "0123456789abcdef") == ID_SIZE;
}

/* A member that must be a string where it is there. False: it is something else. */
static bool get_string(const json_t *object, const char *name, const char **ret)
{
    const json_t *value = json_object_get(object, name);

    *ret = "";
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return false;
    *ret = json_string_value(value);
    return true;
}

static bool get_flag(const json_t *object, const char *name, bool *ret)
{
    const json_t *value = json_object_get(object, name);

    *ret = json_is_true(value);
    return !value || json_is_null(value) || json_is_boolean(value);
}

static bool get_number(const json_t *object, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(object, name);

    *ret = json_integer_value(value);
    return !value || json_is_null(value) || json_is_integer(value);
}

const char *engine_decode_id(const json_t *json)
{
    const char *id = json_string_value(json_object_get(json, "Id"));

    if (!id)
        id = json_string_value(json_object_get(json, "ID"));
    return id && engine_is_id(id) ? id : NULL;
}

static bool is_object_of_strings(const json_t *object)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object))
        return false;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_string(value))
            return false;
    }
    return true;
}

static bool is_array_of_strings(const json_t *array)
{
    size_t i;
    const json_t *value;

    if (!json_is_array(array))
        return false;
    json_array_foreach(array, i, value)
    {
        if (!json_is_string(value))
            return false;
    }
    return true;
}

static bool read_state(const json_t *json, EngineContainer *ret)
{
    const json_t *state = json_object_get(json, "State");
    const char *started;
    int64_t pid;

    if (!json_is_object(state) || !get_flag(state, "Running", &ret->running) ||
        !get_flag(state, "Paused", &ret->paused) ||
        !get_flag(state, "Restarting", &ret->restarting) || !get_number(state, "Pid", &pid) ||
        !get_number(state, "ExitCode", &ret->exit_code) ||
        !get_string(state, "StartedAt", &started) || pid < 0 || pid > INT_MAX)
        return false;
    ret->pid = (pid_t)pid;
    /* "0001-01-01T00:00:00Z" when it never has, and podman writes its own zone: then it is not
     * known. */
    if (clock_parse_time(started, &ret->started_us) < 0)
        ret->started_us = 0;
    return true;
}

static bool read_config(const json_t *json, EngineContainer *ret)
{
    const json_t *config = json_object_get(json, "Config");

    if (!json_is_object(config) || !get_string(config, "User", &ret->user))
        return false;
    ret->labels = json_object_get(config, "Labels");
    ret->env = json_object_get(config, "Env");
    if (json_is_null(ret->labels))
        ret->labels = NULL;
    if (json_is_null(ret->env))
        ret->env = NULL;
    return (!ret->labels || is_object_of_strings(ret->labels)) &&
           (!ret->env || is_array_of_strings(ret->env));
}

int engine_decode_container(const json_t *json, EngineContainer *ret)
{
    *ret = (EngineContainer){.id = engine_decode_id(json)};
    if (!ret->id || !get_string(json, "Name", &ret->name) || !read_state(json, ret) ||
        !read_config(json, ret))
        return -EPROTO;
    if (ret->name[0] == '/')
        ret->name++;
    return strlen(ret->name) <= NAME_MAX_BYTES ? 0 : -EPROTO;
}

int engine_decode_list(const json_t *json, void (*each)(const char *id, void *userdata),
                       void *userdata)
{
    size_t i;
    const json_t *entry;

    if (!json_is_array(json) || json_array_size(json) > DOCKER_CONTAINERS_MAX)
        return -EPROTO;
    json_array_foreach(json, i, entry)
    {
        const char *state;
        if (!engine_decode_id(entry) || !get_string(entry, "State", &state))
            return -EPROTO;
    }
    json_array_foreach(json, i, entry)
    {
        const char *state = json_string_value(json_object_get(entry, "State"));
        if (state && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0))
            each(engine_decode_id(entry), userdata);
    }
    return 0;
}

int engine_decode_event(const json_t *json, EngineEvent *ret)
{
    const json_t *actor = json_object_get(json, "Actor");
    const char *type;

    if (!json_is_object(json) || !get_string(json, "Type", &type) ||
        !get_string(json, "Action", &ret->action))
        return -EPROTO;
    if (strcmp(type, "container") != 0)
        return 1;
    if (!json_is_object(actor) || !(ret->id = engine_decode_id(actor)))
        return -EPROTO;
    return 0;
}

int engine_decode_exec(const json_t *json, EngineExecState *ret)
{
    const json_t *code = json_object_get(json, "ExitCode");
    int64_t pid;

    *ret = (EngineExecState){.running = false};
    if (!json_is_object(json) || !json_is_boolean(json_object_get(json, "Running")) ||
        !get_flag(json, "Running", &ret->running) || !get_number(json, "Pid", &pid) || pid < 0 ||
        pid > INT_MAX || !get_number(json, "ExitCode", &ret->exit_code))
        return -EPROTO;
    ret->pid = (pid_t)pid;
    ret->has_code = json_is_integer(code);
    return ret->exit_code >= 0 && ret->exit_code <= 255 ? 0 : -EPROTO;
}

int engine_decode_exit(const json_t *json, int64_t *ret)
{
    const json_t *code = json_object_get(json, "StatusCode");

    if (!code)
        code = json_object_get(json, "ExitCode");
    if (json_is_true(json_object_get(json, "Running")))
        return -EBUSY;
    if (!json_is_integer(code))
        return -EPROTO;
    *ret = json_integer_value(code);
    return 0;
}

const char *engine_decode_progress(const json_t *json)
{
    const json_t *error = json_object_get(json, "error");

    if (!error)
        return NULL;
    return json_is_string(error) ? json_string_value(error) : "the engine reports a failure";
}

/* "1.41" → 41; 0 when it is not a version of the API. */
static unsigned minor_of(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t digits;

    if (!text || strncmp(text, "1.", 2) != 0)
        return 0;
    digits = strspn(text + 2, "0123456789");
    if (digits == 0 || digits > 3 || text[2 + digits] != '\0')
        return 0;
    return (unsigned)strtoul(text + 2, NULL, 10);
}

int engine_decode_version(const json_t *json, char ret[static 8])
{
    unsigned newest = minor_of(json_object_get(json, "ApiVersion"));
    unsigned oldest = minor_of(json_object_get(json, "MinAPIVersion"));

    if (newest == 0)
        return -EPROTO;
    if (newest < VERSION_OLDEST)
        return -ENOTSUP;
    unsigned spoken = newest < VERSION_SPOKEN ? newest : VERSION_SPOKEN;
    if (spoken < oldest) /* an engine that has given up what we would speak */
        spoken = oldest;
    (void)snprintf(ret, 8, "1.%u", spoken % 1000);
    return 0;
}

void engine_decode_message(const json_t *json, Buffer *words)
{
    const json_t *message = json_object_get(json, "message");

    if (json_is_string(message))
        text_display(words, json_string_value(message), json_string_length(message),
                     MESSAGE_SHOWN_MAX);
}
