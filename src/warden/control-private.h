/*
 * Between control.c (the table) and control-call.c (the operators' calls).
 */
#pragma once

#include "warden/control.h"

typedef struct Followed {
    unsigned frozen, resumed; /* requests */
} Followed;

/* Every request does what the table says now. */
Followed control_follow(Warden *warden);
/* The parent is asked to keep the table as it is now. */
void control_save(Warden *warden);
/* The timer of the next entry that ends by itself. */
void control_arm(Warden *warden);
/* `before` stands before the message. */
void control_record_stop(Warden *warden, const Switch *entry, const char *before);
void control_record_resume(Warden *warden, const Switch *entry, const char *by, const char *via,
                           const char *reason);
