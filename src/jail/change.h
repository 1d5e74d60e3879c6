/*
 * What an operator wants of a jail: a new one, or changes to one that is there.
 */
#pragma once

#include "jail/settings.h"

typedef struct JailNames {
    const char *const *items;
    size_t n_items;
} JailNames;

enum {
    JAIL_CHANGE_COMMANDS = 1u << 0, /* `commands` replaces those that are there */
    JAIL_CHANGE_HARDENED = 1u << 1,
    JAIL_CHANGE_WAIT = 1u << 2,
    JAIL_CHANGE_ALL_ = (1u << 3) - 1,
};

typedef struct JailChange {
    const char *name;
    unsigned said; /* JAIL_CHANGE_… */
    JailNames commands, add, remove;
    bool hardened;
    uint64_t wait_ms;    /* as in PolicyJail */
    PolicyLimits limits; /* 0 where nothing is said */
    void *memory;        /* owned by a decoded one */
} JailChange;

#define JAIL_PROBLEM_MAX 400u

void jail_change_encode(Buffer *buffer, const JailChange *change);
/* Reads a change at the reader's place; its strings point into the payload. -EPROTO, -ENOMEM. */
int jail_change_decode(Reader *reader, JailChange *ret);
void jail_change_done(JailChange *change);

/* The settings (source JAIL_OF_API) that come of it: of `base`, or of a new jail when that is NULL.
 * 0; 1 with words for the operator in `problem`; -ENOMEM. */
int jail_change_apply(const JailChange *change, const PolicyJail *base, JailSettings *ret,
                      char problem[static JAIL_PROBLEM_MAX]);
/* Appends what is said, for a record: "commands git npm, hardened". Nothing when nothing is. */
void jail_change_describe(const JailChange *change, Buffer *out);
