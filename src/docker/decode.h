/*
 * What the engine's documents say, read strictly: a member of another type than the API promises,
 * a name that is too long or not a name, is -EPROTO. Strings point into the document.
 * Pure functions over bytes, fuzzed (tests/fuzz/fuzz-docker.c).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

#define DOCKER_CONTAINERS_MAX 10000u

/* Strict JSON (no duplicate members, nothing behind it), an object or array. NULL when it is not.
 * The caller owns it. */
json_t *engine_decode_json(const char *text, size_t size);

/* 64 small hexadecimal digits, as engines name containers and execs. */
bool engine_is_id(const char *text);

/* {"Id": …} of a create, {"ID": …} of an exec. NULL when there is none that is an id. */
const char *engine_decode_id(const json_t *json);

typedef struct EngineContainer {
    const char *id;
    const char *name; /* without the slash; "" when it has none */
    bool running, paused, restarting;
    pid_t pid;            /* of its init, in the engine's pid namespace; 0: none */
    uint64_t started_us;  /* realtime; 0: never, or not said */
    const json_t *labels; /* object of strings, or NULL */
    const json_t *env;    /* array of strings, or NULL: what its init was given */
    const char *user;     /* as configured: "", "1000:1000", "node" */
    int64_t exit_code;
} EngineContainer;
/* Of an inspect. */
int engine_decode_container(const json_t *json, EngineContainer *ret);

/* Of a list: the id of each entry, at most DOCKER_CONTAINERS_MAX. `each` is called for those that
 * run or are paused. */
int engine_decode_list(const json_t *json, void (*each)(const char *id, void *userdata),
                       void *userdata);

/* A container's event. 0; 1: some other event, of no interest; -EPROTO. */
typedef struct EngineEvent {
    const char *id;
    const char *action; /* "start", "die", "destroy", "rename" … */
} EngineEvent;
int engine_decode_event(const json_t *json, EngineEvent *ret);

/* What an inspected exec is. */
typedef struct EngineExecState {
    bool running;
    pid_t pid;     /* as the engine sees it; 0: none (yet) */
    bool has_code; /* it has ended, with `exit_code` */
    int64_t exit_code;
} EngineExecState;

/* 0 or -EPROTO. */
int engine_decode_exec(const json_t *json, EngineExecState *ret);

/* {"StatusCode": N} of a wait, {"ExitCode": N, "Running": …} of an exec. -EBUSY while it runs. */
int engine_decode_exit(const json_t *json, int64_t *ret);

/* An item of a pull: NULL while all is well, else the engine's words (not safe to show as is). */
const char *engine_decode_progress(const json_t *json);

/* {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}: the version to speak, at most 7 bytes.
 * -ENOTSUP when the engine is too old (before 1.40). */
int engine_decode_version(const json_t *json, char ret[static 8]);

/* Appends {"message": …} of a refusal in display form, at most 300 bytes; nothing if there is
 * none. */
void engine_decode_message(const json_t *json, Buffer *words);
