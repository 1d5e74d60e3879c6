/*
 * Between control.c (the table) and control-call.c (the operators' calls).
 */
#pragma once

#include "warden/control.h"

typedef struct Followed {
    unsigned frozen, resumed; /* requests */
    unsigned n_orders;        /* about containers */
} Followed;

/* Every request and container does what the table says now. `key`: of the orders about containers.
 */
Followed control_follow(Warden *warden, uint64_t key);
/* The parent is asked to keep the table as it is now. */
void control_save(Warden *warden);
/* The timer of the next entry that ends by itself. */
void control_arm(Warden *warden);
/* `before` stands before the message. */
void control_record_stop(Warden *warden, const Switch *entry, const char *before);
void control_record_resume(Warden *warden, const Switch *entry, const char *by, const char *via,
                           const char *reason);

/* control-containers.c */
/* Orders what the table says about each container. How many orders. */
unsigned control_follow_containers(Warden *warden, uint64_t key);
/* Orders its end; false if that has been ordered before. */
bool control_kill_container(Warden *warden, uint64_t key, const SwitchContainer *container);
/* A new executor knows of none that is frozen. */
void control_freeze_again(Warden *warden);
/* The whole id of the container that is named so: whole, or the first 12 digits of it or more. 0;
 * -ENOENT: none that the actor may see; -ENOTUNIQ. */
int control_find_container(Warden *warden, const Actor *actor, const char *name,
                           char ret[static SWITCH_NAME_SIZE]);
bool control_sees_container(Warden *warden, const Actor *actor, const char *id);

/* control-call.c */
/* One of the orders with this key is done, or has failed. */
void control_on_container_done(Warden *warden, uint64_t key, const char *id, bool done,
                               const char *failure);
