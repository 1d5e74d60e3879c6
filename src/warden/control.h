/*
 * The kill switch at work (private to warden/): kill, pause, resume.
 *
 *   kill     what runs ends at once, what waits is cancelled, grants and kept answers go, new
 *            commands are refused
 *   pause    what runs is frozen where it stands, what waits can be decided and is held then, new
 *            commands are refused
 *   resume   the way back from both
 *
 * It takes effect first and is answered last: when the table is on disk, and when what was killed
 * is gone (or CALL_TIME_MAX_MS have passed, and the answer says how much is left).
 */
#pragma once

#include "warden/state.h"

/* MESSAGE_SWITCHES. 0 or -errno. A table that cannot be read stops everything. */
int control_take_table(Warden *warden, const LinkFrame *frame);
/* The warden begins to serve: what is in force is recorded, what has run out ends. */
void control_begin(Warden *warden);
/* MESSAGE_SWITCHES_SAVED. 0 or -errno. */
int control_take_saved(Warden *warden, const LinkFrame *frame);
/* A request that was killed while it ran is gone. */
void control_on_ended(Warden *warden);
/* A container that is in this jail ("": in none): a command comes from it, or labels announced it.
 * It is frozen if its jail is. */
void control_meet_container(Warden *warden, const char *id, const char *jail);
/* EXEC_CONTAINER_DONE. 0 or -EPROTO. */
int control_take_done(Warden *warden, const LinkFrame *frame);
/* Nobody waits for the answers any more. */
void control_forget_calls(Warden *warden);
void control_done(Warden *warden);

/* control-call.c */
/* API_KILL, API_PAUSE, API_RESUME. */
void control_call(Warden *warden, uint16_t type, uint64_t key, const Actor *actor, Reader *reader);
/* control.c: what is shown.
 * `"paused":…,"stopped":{…}` of the jail, as members. */
void control_put_jail(Buffer *json, const Jail *jail);
/* `"switches":[…]`: what the actor may see of the table, as a member. */
void control_put_table(Warden *warden, Buffer *json, const Actor *actor);

/* request-control.c */
/* What stops this request now, or NULL. */
const Switch *request_switch(const Request *request);
/* Refuses it if anything stops it, or the warden is about to end; true when it did. */
bool request_refused_by_switch(Request *request);
/* Approved, and its next step would be to run: waits until it is resumed if it is stopped; true
 * when it does. */
bool request_held_by_switch(Request *request);
/* Does what the table says now: frozen, thawed, let go on. Returns 1 if it was frozen, -1 if it
 * runs or goes on again. */
int request_follow_switch(Request *request);
