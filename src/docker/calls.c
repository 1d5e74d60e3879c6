/*
 * See calls.h.
 */
#include "docker/calls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "docker/decode.h"

#define PATH_LIMIT 8192u
#define CREATE_TIMEOUT_MS 60000u /* it may have to prepare layers */
#define PULL_BEGIN_MS 60000u

/* Percent-encodes all but what RFC 3986 calls unreserved. */
static void put_escaped(Buffer *path, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

    for (const char *c = text; *c; c++) {
        if (strchr(plain, *c))
            buffer_put_u8(path, (uint8_t)*c);
        else
            buffer_printf(path, "%%%02X", (unsigned char)*c);
    }
}

/* A container may also be called by its name: letters, digits, '_', '.', '-', not first '.' or
 * '-' (moby, RestrictedNamePattern). So none can be a path or a query. */
static bool is_name(const char *text)
{
    static const char inner[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t size = text ? strlen(text) : 0;
    return size > 0 && size < ENGINE_ID_MAX && text[0] != '.' && text[0] != '-' &&
           strspn(text, inner) == size;
}

/* One call whose path is `kind`/ID`rest`. */
static int call(Engine *engine, const char *method, const char *kind, const char *id,
                const char *rest, const json_t *body, uint32_t timeout_ms, EngineDone *done,
                void *userdata, EngineCall **ret)
{
    char path[ENGINE_ID_MAX + 256];
    EngineRequest request = {
        .method = method, .path = path, .body = body, .timeout_ms = timeout_ms};

    if (!is_name(id) || snprintf(path, sizeof path, "/%s/%s%s", kind, id, rest) >= (int)sizeof path)
        return -EINVAL;
    return engine_call(engine, &request, done, userdata, ret);
}

/* {"label":["NAME"]} and perhaps "type", escaped for a query. */
static void put_filters(Buffer *path, const char *label, bool containers_only)
{
    json_t *filters = json_object();
    char *text = NULL;

    if (filters && label)
        (void)json_object_set_new(filters, "label", json_pack("[s]", label));
    if (filters && containers_only)
        (void)json_object_set_new(filters, "type", json_pack("[s]", "container"));
    if (filters)
        text = json_dumps(filters, JSON_COMPACT);
    json_decref(filters);
    if (text)
        put_escaped(path, text);
    else
        path->error = -ENOMEM;
    free(text);
}

int engine_container_list(Engine *engine, const char *label, bool all, EngineDone *done,
                          void *userdata, EngineCall **ret)
{
    Buffer path = BUFFER_EMPTY(PATH_LIMIT);

    buffer_printf(&path, "/containers/json?all=%d&filters=", all);
    put_filters(&path, label, false);
    _cleanup_free_ char *text = buffer_take_string(&path);
    if (!text)
        return -ENOMEM;
    return engine_call(engine, &(EngineRequest){.method = "GET", .path = text}, done, userdata,
                       ret);
}

int engine_container_inspect(Engine *engine, const char *id, EngineDone *done, void *userdata,
                             EngineCall **ret)
{
    return call(engine, "GET", "containers", id, "/json", NULL, 0, done, userdata, ret);
}

int engine_container_create(Engine *engine, const char *name, const json_t *body, EngineDone *done,
                            void *userdata, EngineCall **ret)
{
    char path[ENGINE_ID_MAX + 64] = "/containers/create";
    EngineRequest request = {
        .method = "POST", .path = path, .body = body, .timeout_ms = CREATE_TIMEOUT_MS};

    if (name && !is_name(name))
        return -EINVAL;
    if (name)
        (void)snprintf(path, sizeof path, "/containers/create?name=%s", name);
    return engine_call(engine, &request, done, userdata, ret);
}

int engine_container_start(Engine *engine, const char *id, EngineDone *done, void *userdata,
                           EngineCall **ret)
{
    return call(engine, "POST", "containers", id, "/start", NULL, CREATE_TIMEOUT_MS, done, userdata,
                ret);
}

int engine_container_wait(Engine *engine, const char *id, bool next, uint32_t timeout_ms,
                          EngineDone *done, void *userdata, EngineCall **ret)
{
    return call(engine, "POST", "containers", id,
                next ? "/wait?condition=next-exit" : "/wait?condition=not-running", NULL,
                timeout_ms, done, userdata, ret);
}

int engine_container_kill(Engine *engine, const char *id, const char *signal, EngineDone *done,
                          void *userdata, EngineCall **ret)
{
    char rest[64];

    if (!is_name(signal) ||
        snprintf(rest, sizeof rest, "/kill?signal=%s", signal) >= (int)sizeof rest)
        return -EINVAL;
    return call(engine, "POST", "containers", id, rest, NULL, 0, done, userdata, ret);
}

int engine_container_remove(Engine *engine, const char *id, bool force, EngineDone *done,
                            void *userdata, EngineCall **ret)
{
    return call(engine, "DELETE", "containers", id, force ? "?v=1&force=1" : "?v=1", NULL,
                CREATE_TIMEOUT_MS, done, userdata, ret);
}

int engine_container_pause(Engine *engine, const char *id, EngineDone *done, void *userdata,
                           EngineCall **ret)
{
    return call(engine, "POST", "containers", id, "/pause", NULL, 0, done, userdata, ret);
}

int engine_container_unpause(Engine *engine, const char *id, EngineDone *done, void *userdata,
                             EngineCall **ret)
{
    return call(engine, "POST", "containers", id, "/unpause", NULL, 0, done, userdata, ret);
}

int engine_container_attach(Engine *engine, const char *id, bool with_stdin, EngineHijacked *done,
                            void *userdata, EngineCall **ret)
{
    char path[ENGINE_ID_MAX + 128];

    if (!is_name(id))
        return -EINVAL;
    (void)snprintf(path, sizeof path, "/containers/%s/attach?stream=1&stdout=1&stderr=1&stdin=%d",
                   id, with_stdin);
    return engine_hijack(engine, &(EngineRequest){.method = "POST", .path = path}, done, userdata,
                         ret);
}

int engine_exec_create(Engine *engine, const char *container, const char *user, const char *program,
                       EngineDone *done, void *userdata, EngineCall **ret)
{
    json_t *body = json_pack("{s:[s], s:s, s:s, s:[], s:b, s:b, s:b, s:b, s:b}", "Cmd", program,
                             "User", user, "WorkingDir", "/", "Env", "AttachStdin", 1,
                             "AttachStdout", 1, "AttachStderr", 1, "Tty", 0, "Privileged", 0);
    if (!body)
        return -ENOMEM;
    int result =
        call(engine, "POST", "containers", container, "/exec", body, 0, done, userdata, ret);
    json_decref(body);
    return result;
}

int engine_exec_inspect(Engine *engine, const char *id, EngineDone *done, void *userdata,
                        EngineCall **ret)
{
    return call(engine, "GET", "exec", id, "/json", NULL, 0, done, userdata, ret);
}

int engine_exec_start(Engine *engine, const char *id, bool terminal, EngineHijacked *done,
                      void *userdata, EngineCall **ret)
{
    char path[ENGINE_ID_MAX + 32];

    if (!is_name(id))
        return -EINVAL;
    (void)snprintf(path, sizeof path, "/exec/%s/start", id);
    json_t *body = json_pack("{s:b, s:b}", "Detach", 0, "Tty", (int)terminal);
    if (!body)
        return -ENOMEM;
    int result =
        engine_hijack(engine, &(EngineRequest){.method = "POST", .path = path, .body = body}, done,
                      userdata, ret);
    json_decref(body);
    return result;
}

/* References have slashes, which stand in the path as they are; '..' and what a query needs
 * cannot get there. */
static bool put_reference(Buffer *path, const char *reference)
{
    static const char inner[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:@";
    size_t size = reference ? strlen(reference) : 0;

    if (size == 0 || size > 512 || strspn(reference, inner) != size || reference[0] == '/' ||
        strstr(reference, "..") || strstr(reference, "//"))
        return false;
    buffer_puts(path, reference);
    return true;
}

int engine_image_inspect(Engine *engine, const char *reference, EngineDone *done, void *userdata,
                         EngineCall **ret)
{
    Buffer path = BUFFER_EMPTY(PATH_LIMIT);

    buffer_puts(&path, "/images/");
    bool good = put_reference(&path, reference);
    buffer_puts(&path, "/json");
    _cleanup_free_ char *text = buffer_take_string(&path);
    if (!good || !text)
        return good ? -ENOMEM : -EINVAL;
    return engine_call(engine, &(EngineRequest){.method = "GET", .path = text}, done, userdata,
                       ret);
}

int engine_image_pull(Engine *engine, const char *reference, const EngineStream *stream,
                      void *userdata, EngineCall **ret)
{
    Buffer path = BUFFER_EMPTY(PATH_LIMIT);
    const char *colon = reference ? strrchr(reference, ':') : NULL;
    bool tagged = colon && !strchr(colon, '/');

    buffer_puts(&path, "/images/create?fromImage=");
    bool good = put_reference(&path, reference);
    if (!tagged) /* without a tag the engine would pull all there are */
        buffer_puts(&path, "&tag=latest");
    _cleanup_free_ char *text = buffer_take_string(&path);
    if (!good || !text)
        return good ? -ENOMEM : -EINVAL;
    EngineRequest request = {.method = "POST", .path = text, .timeout_ms = PULL_BEGIN_MS};
    return engine_stream(engine, &request, stream, userdata, ret);
}

int engine_events(Engine *engine, const char *label, const EngineStream *stream, void *userdata,
                  EngineCall **ret)
{
    Buffer path = BUFFER_EMPTY(PATH_LIMIT);

    buffer_puts(&path, "/events?filters=");
    put_filters(&path, label, true);
    _cleanup_free_ char *text = buffer_take_string(&path);
    if (!text)
        return -ENOMEM;
    return engine_stream(engine, &(EngineRequest){.method = "GET", .path = text}, stream, userdata,
                         ret);
}
