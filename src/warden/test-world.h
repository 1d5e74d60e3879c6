/*
 * The warden process with all its neighbours played by the test: parent, door, executor, api.
 *
 * It can bring about orders of events that real processes would hardly ever produce: halves in
 * either order, a caller that goes in each state, facts that drift, an executor that answers late.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "wire/message.h"
#include "wire/shim-protocol.h"

#define DOOR_ID 7u
#define PATIENCE_MS 20000
#define NOTHING_MS 100
#define ID_SIZE 7

typedef struct Frame {
    uint16_t type;
    uint64_t key;
    size_t size;
    char payload[1 << 16];
} Frame;

typedef struct World {
    pid_t pid;
    int control, door, executor, api, journal;
    int engine; /* once it has been handed over */
} World;

/* What the parent found when it started. */
extern SwitchesFound found_switches;
extern const char *found_text;

/* `*state` is the policy's text, and the World afterwards. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WORLD_TEST(function, policy)                                                               \
    cmocka_unit_test_prestate_setup_teardown(function, world_set_up, world_tear_down,              \
                                             (void *)(policy))

/* The process that speaks with a container engine, another one each time. */
void world_hand_engine(World *world);

/* Frames. */
void send_frame(int fd, uint16_t type, uint64_t key, const void *payload, size_t size, int with);
Frame receive(int fd);
Frame expect(int fd, uint16_t type, uint64_t key);
/* Control messages that are not about the test pass by. */
Frame expect_control(int fd, uint16_t type);
void expect_silence(int fd);

/* The parent. */
void hand_policy(World *world, const char *text);
/* … and waits until it is in force. */
void change_policy(World *world, const char *text);
void hand_limits(World *world, uint32_t pending);

/* The shim and the door. */
typedef struct Words {
    const char *argv[16]; /* NULL-terminated; argv[0] names the command */
    const char *env[4];
    uint32_t wait_ms;
} Words;

uint64_t key_of(uint32_t counter);
Words words_of(const char *name); /* NAME -x, and an environment of which a part is scrubbed */
void say_call(World *world, uint64_t key, const Words *words);
void say_words(World *world, uint64_t key, const char *name);
void say_gone(World *world, uint64_t key);
void say_interrupted(World *world, uint64_t key);
void say_signal(World *world, uint64_t key, int number, bool group);
void expect_refusal(World *world, uint64_t key, uint8_t code, const char *words);
void expect_exit(World *world, uint64_t key, uint8_t kind, uint8_t value);
/* Reads "waiting for approval XXXXXX …". */
void expect_pending(World *world, uint64_t key, char id[static ID_SIZE]);
/* Reads "pending approval XXXXXX: …" and the end with 75. */
void expect_unanswered(World *world, uint64_t key, char id[static ID_SIZE]);

/* The executor. */
Prepared facts_of(const char *exe);
Examined examined_of(uint8_t content); /* of the program's file */
void say_prepared(World *world, uint64_t key, const Prepared *prepared);
void say_facts(World *world, uint64_t key, const char *exe);
void say_hashed(World *world, uint64_t key);
void say_examined(World *world, uint64_t key, const Examined *examined);
void say_started(World *world, uint64_t key);
void say_ended(World *world, uint64_t key, uint8_t kind, uint8_t value);

/* Some way along the road. */
void run_to_start(World *world, uint64_t key);                            /* `allowed` */
void run_to_pending(World *world, uint64_t key, char id[static ID_SIZE]); /* `asked` */
/* One who asks, changed at will. */
typedef struct Caller {
    Words words;
    Prepared prepared;
    Examined examined;
} Caller;
Caller caller_of(const char *name);
/* Up to the point where the warden knows what would run. */
void ask_as(World *world, uint64_t key, const Caller *caller);
/* The warden has admitted it: opened again, run bound, started and ended. */
void expect_run(World *world, uint64_t key, const Caller *caller);

/* Operators. */
extern const Actor tester; /* an admin who sees all */

typedef struct Answer {
    unsigned status;
    char json[1 << 16];
} Answer;

Answer receive_answer(World *world);
Answer call(World *world, uint16_t type, const Actor *actor, Buffer *arguments);
/* A call of the kill switch; the parent keeps the table if it comes to that. */
void send_switch(World *world, uint16_t type, const Actor *actor, SwitchScope scope,
                 const char *name, uint64_t for_ms, const char *reason);
Answer switch_as(World *world, uint16_t type, const Actor *actor, SwitchScope scope,
                 const char *name, uint64_t for_ms, const char *reason);
/* The next table that the warden wants kept; it is answered. */
Frame keep_switches(World *world, uint32_t error);
/* With an argument list of no, or one string. Of the kill switch: the jail, "" all. */
Answer call_plain(World *world, uint16_t type, const Actor *actor, const char *argument);
void send_decision(World *world, const Actor *actor, const char *id, bool approve,
                   Remember remember, uint64_t ms, bool widened);
void decide(World *world, const char *id, bool approve); /* sends only */
unsigned answer_status(World *world);
Answer approve_as(World *world, const Actor *actor, const char *id);
Answer remember_as(World *world, const Actor *actor, const char *id, Remember remember, uint64_t ms,
                   bool widened);
Answer queue_as(World *world, const Actor *actor, uint32_t limit, const char *after);
/* How often a text stands in another. */
unsigned count_of(const char *text, const char *part);
/* The text of a member, its first in the document. */
void text_of(const char *json, const char *member, char *ret, size_t size);

/* The journal. */
bool journal_has(World *world, const char *text);
void expect_journal(World *world, const char *text);
