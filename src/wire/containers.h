/*
 * Messages about containers whose labels ask for a jail: seen by the engine process, given a jail
 * by the parent, made ready by the executor, told to the warden. Strings point into the payload.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

/* Control messages, as in message.h. */
enum {
    /* engine → parent: a connected socket to the engine → MESSAGE_ENGINE_CONNECTION, in the order
     * of the asking */
    MESSAGE_ENGINE_WANTED = 240,
    /* parent → engine: u32 0 and 1 fd, or u32 errno */
    MESSAGE_ENGINE_CONNECTION,
    /* engine → parent: u8 whether the engine answers, string what it is or why not */
    MESSAGE_ENGINE_STATE,
    /* engine → parent: ContainerSeen, when it runs and whenever something about it has changed */
    MESSAGE_CONTAINER,
    /* engine → parent: string id. It runs no more, or asks for nothing any more */
    MESSAGE_CONTAINER_GONE,
    /* engine → parent: all that run have been told, since the engine process began or the engine
     * came back */
    MESSAGE_CONTAINERS_KNOWN,
    /* parent → executor: InstallOrder → MESSAGE_INSTALLED with the same key */
    MESSAGE_INSTALL,
    /* executor → parent: u8 InstallResult, string why not, or what is less than it should be */
    MESSAGE_INSTALLED,
    /* parent → warden: ContainerTold */
    MESSAGE_CONTAINER_TOLD,
    /* parent → warden: u8 whether there is an engine (EngineState), string what it is, or why it
     * does not answer */
    MESSAGE_ENGINE_TOLD,
    /* api → warden, with a key: what is known → API_ANSWER. Actor, as always */
    API_CONTAINERS = 200,
};

typedef enum InstallResult {
    INSTALL_FAILED,
    INSTALL_DONE,
    INSTALL_THERE, /* it was there already, from before the warden was restarted */
    INSTALL_MAX_,
} InstallResult;

typedef enum EngineState {
    ENGINE_NONE, /* the warden was started without one */
    ENGINE_AWAY,
    ENGINE_ANSWERS,
    ENGINE_STATE_MAX_,
} EngineState;

#define CONTAINER_COMMANDS_MAX 256u /* names in one label */
#define CONTAINER_MESSAGE_MAX (64u << 10)

/* MESSAGE_CONTAINER, engine → parent. */
typedef struct ContainerSeen {
    const char *id; /* 64 hexadecimal digits */
    const char *name;
    pid_t pid;           /* of its init, as the engine says */
    uint64_t started_us; /* realtime, as the engine says; 0: unknown */
    const char *jail;
    bool hardened;
    const char *commands; /* each followed by a line feed */
    const char *path;     /* PATH of its configuration, "" when it has none */
    const char *problem;  /* what is wrong with its labels; "": nothing */
} ContainerSeen;

void container_seen_encode(Buffer *buffer, const ContainerSeen *seen);
int container_seen_decode(const char *payload, size_t size, ContainerSeen *ret); /* -EPROTO */

/* MESSAGE_INSTALL, parent → executor: a jail into a running container. */
typedef struct InstallOrder {
    const char *id;
    pid_t pid;
    const char *directory; /* the jail's, on the host */
    bool hardened;
    const char *commands; /* each followed by a line feed */
    const char *path;
} InstallOrder;

void install_order_encode(Buffer *buffer, const InstallOrder *order);
int install_order_decode(const char *payload, size_t size, InstallOrder *ret); /* -EPROTO */

/* MESSAGE_CONTAINER_TOLD, parent → warden. */
typedef enum ContainerState {
    CONTAINER_WAITING = 1, /* its jail is not ready yet: it runs ungoverned */
    CONTAINER_GOVERNED,
    CONTAINER_UNGOVERNED, /* and stays so: `why` */
    CONTAINER_GONE,
    CONTAINER_STATE_MAX_,
} ContainerState;

typedef struct ContainerTold {
    ContainerState state;
    bool again; /* nothing has changed: a new warden is told what the old one knew */
    const char *id, *name, *jail;
    uint64_t started_us;
    bool has_ungoverned;
    uint64_t ungoverned_ms; /* it ran so long without a jail */
    const char *why;        /* why it is ungoverned, or what is less than it should be; or "" */
} ContainerTold;

void container_told_encode(Buffer *buffer, const ContainerTold *told);
int container_told_decode(const char *payload, size_t size, ContainerTold *ret); /* -EPROTO */
const char *container_state_name(ContainerState state);                          /* "waiting" … */
