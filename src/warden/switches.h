/*
 * The kill switch's table (private to warden/): what operators have stopped, and until when.
 *
 * An entry is about one jail, one container, or everything. What holds for a request is looked up
 * by its jail and container (switches_of()): killed counts more than paused. The entry for
 * everything also holds for jails that do not exist yet; a jail that was resumed while it stands
 * has an entry of its own that says so.
 *
 * The table is text too (switches_encode()), which the parent keeps in the state directory: a
 * restart resumes nothing. Its last line counts the entries, so that a cut file is seen; anything
 * that is not exactly as it was written is -EBADMSG, and then everything stays stopped (control.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wire/message.h"

#define SWITCHES_MAX 128u               /* and the one for everything */
#define SWITCH_CONTAINERS_MAX 512u      /* known at the same time */
#define SWITCH_NAME_SIZE 80u            /* a jail's name or a container's id, and a NUL */
#define SWITCH_REASON_MAX 300u          /* bytes, as the operator gave them */
#define SWITCHES_TEXT_MAX (400u * 1024) /* of the whole table as text; a message holds it */

typedef enum SwitchState {
    SWITCH_RUNNING, /* an exception to the entry for everything */
    SWITCH_PAUSED,
    SWITCH_KILLED,
    SWITCH_MAX_,
} SwitchState;

typedef struct Switch {
    SwitchScope scope;
    SwitchState state;
    char name[SWITCH_NAME_SIZE]; /* "" of everything */
    uint64_t since_us;
    uint64_t until_us; /* realtime; 0: until somebody resumes it */
    char *by, *via;    /* owned */
    char *reason;      /* owned; "": none given */
    struct Switch *next;
} Switch;

/* A container that commands have come from, or that labels announced, and the jail it is in; one
 * entry for each jail that it is in. Those that are frozen are kept on disk: nobody else would
 * thaw them after a restart. */
typedef struct SwitchContainer {
    char id[SWITCH_NAME_SIZE];
    char jail[SWITCH_NAME_SIZE]; /* "": in none */
    bool frozen, dying;          /* or it has been ordered */
    bool freezing;               /* ordered, and not answered yet */
    struct SwitchContainer *next;
} SwitchContainer;

typedef struct Switches {
    Switch *first;
    size_t count;
    SwitchContainer *containers; /* the one heard of last is the first */
    size_t n_containers;
} Switches;

void switches_done(Switches *switches);

/* The entry itself, or NULL. */
Switch *switches_find(const Switches *switches, SwitchScope scope, const char *name);
/* The entry that stops requests of this jail from this container ("": none), or NULL: they run. */
const Switch *switches_of(const Switches *switches, const char *jail, const char *container);
/* How many more entries there may be. The one for everything is not counted, nor refused. */
size_t switches_room(const Switches *switches);
/* Adds the entry, or replaces the one of its scope and name. Copies all of it. -ENOMEM; -ENOSPC:
 * SWITCHES_MAX; then nothing has changed. */
int switches_set(Switches *switches, const Switch *wanted);
void switches_remove(Switches *switches, Switch *entry);
/* The entry, put first; made when there is none (the frozen ones apart, whoever was not heard of
 * for longest makes room). `ret_new`: it was made. NULL: no room, or no memory. */
SwitchContainer *switches_meet_container(Switches *switches, const char *id, const char *jail,
                                         bool *ret_new);
void switches_remove_container(Switches *switches, SwitchContainer *container);
/* When the next entry ends by itself, realtime; 0: none does. */
uint64_t switches_next_end(const Switches *switches);

const char *switch_state_name(SwitchState state); /* "running", "paused", "killed" */
const char *switch_scope_name(SwitchScope scope); /* "jail", "container", "all" */

/* The buffer's own limit holds. */
void switches_encode(const Switches *switches, Buffer *text);
/* 0, -EBADMSG, -ENOMEM; `ret` is to be released in all cases. */
int switches_decode(const char *text, size_t size, Switches *ret);
