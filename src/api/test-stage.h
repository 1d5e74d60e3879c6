/*
 * The stage for tests of the api process: a real one, forked, around which the test plays parent,
 * warden, executor and clients, over the sockets that they have. Kernel facts relied on:
 * descriptors pass over unix sockets; an answer written before close(2) can still be read.
 *
 * Everything here fails the test by itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/caller.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "wire/message.h"

typedef struct Stage {
    pid_t pid;
    int control, warden, executor; /* the test's ends */
    char directory[32], path[64];
} Stage;

typedef struct Frame {
    uint16_t type;
    uint64_t key;
    char payload[65536];
    size_t size;
    int fd; /* or -EBADF */
} Frame;

/* The api process with both links and a listener; it must end well. */
int stage_set_up(void **state);
int stage_tear_down(void **state);
#define STAGED(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)

/* Frames of the links, by hand. `payload` (may be NULL) is released, `passed` (or -1) is not. */
void send_frame(int fd, uint16_t type, uint64_t key, Buffer *payload, int passed);
void receive_frame(int fd, Frame *ret);
/* Nothing can be read for so long. */
bool is_quiet(int fd, int timeout_ms);
void give_link(Stage *stage, LinkRole role, int *ret_ours);
/* Returns when the api has handled all that was sent to it before. */
void settle(Stage *stage);

int client(Stage *stage);
void say(int fd, const char *text);
/* One answer, head and body, as text in `ret`; returns its status, 0 at the connection's end. */
unsigned hear(int fd, char *ret, size_t room);
void expect_end(int fd);

/* Plays the executor: the next vetting question gets this answer. */
void vet(Stage *stage, bool ok, uid_t uid, bool in_group);
/* Plays the warden. */
void warden_answers(Stage *stage, uint64_t key, unsigned status, const char *json);
/* A client that has been vetted as root. */
int operator_client(Stage *stage);
