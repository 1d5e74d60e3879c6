/*
 * The calls of the Engine API that Clawrden makes, by name (docs.docker.com/reference/api/engine,
 * v1.41). Names and ids go into paths escaped, and ids must look like ids, so that no name can
 * become another call. All return as engine_call() does.
 */
#pragma once

#include "docker/engine.h"

/* Containers. `label` is "name" or "name=value", NULL for all; stopped ones too if `all`. */
int engine_container_list(Engine *engine, const char *label, bool all, EngineDone *done,
                          void *userdata, EngineCall **ret);
int engine_container_inspect(Engine *engine, const char *id, EngineDone *done, void *userdata,
                             EngineCall **ret);
/* `name` may be NULL. The answer's json has "Id" (engine_decode_id()). */
int engine_container_create(Engine *engine, const char *name, const json_t *body, EngineDone *done,
                            void *userdata, EngineCall **ret);
int engine_container_start(Engine *engine, const char *id, EngineDone *done, void *userdata,
                           EngineCall **ret);
/* Until it has ended, at most `timeout_ms` (engine_decode_exit()). `next`: its next end, for a
 * container that has been created but not started. */
int engine_container_wait(Engine *engine, const char *id, bool next, uint32_t timeout_ms,
                          EngineDone *done, void *userdata, EngineCall **ret);
int engine_container_kill(Engine *engine, const char *id, const char *signal, EngineDone *done,
                          void *userdata, EngineCall **ret);
/* With its anonymous volumes; `force` kills it first. */
int engine_container_remove(Engine *engine, const char *id, bool force, EngineDone *done,
                            void *userdata, EngineCall **ret);
int engine_container_pause(Engine *engine, const char *id, EngineDone *done, void *userdata,
                           EngineCall **ret);
int engine_container_unpause(Engine *engine, const char *id, EngineDone *done, void *userdata,
                             EngineCall **ret);
/* Stdin, stdout and stderr of a container, as a stream of bytes: framed (demux.h) unless it has a
 * terminal. Attached before the start, nothing is missed. */
int engine_container_attach(Engine *engine, const char *id, bool with_stdin, EngineHijacked *done,
                            void *userdata, EngineCall **ret);

/* Commands inside a running container: one program without arguments, as `user` ("UID:GID") and
 * with nothing in its environment but the container's own, its three streams attached and no
 * terminal. The answer's json has "Id". */
int engine_exec_create(Engine *engine, const char *container, const char *user, const char *program,
                       EngineDone *done, void *userdata, EngineCall **ret);
int engine_exec_inspect(Engine *engine, const char *id, EngineDone *done, void *userdata,
                        EngineCall **ret);
int engine_exec_start(Engine *engine, const char *id, bool terminal, EngineHijacked *done,
                      void *userdata, EngineCall **ret);

/* Images, by reference ("node:18-alpine") or id. */
int engine_image_inspect(Engine *engine, const char *reference, EngineDone *done, void *userdata,
                         EngineCall **ret);
/* Items are progress; a failure is an item with "error" (engine_decode_progress()), and the stream
 * ends as if nothing were wrong: inspect the image afterwards. */
int engine_image_pull(Engine *engine, const char *reference, const EngineStream *stream,
                      void *userdata, EngineCall **ret);

/* Container events from now on, those of one label only. */
int engine_events(Engine *engine, const char *label, const EngineStream *stream, void *userdata,
                  EngineCall **ret);
