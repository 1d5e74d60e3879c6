/*
 * What a jail is: its settings, and where they come from. A pure library.
 *
 * A jail is made by the policy (`jails:`), by an operator (api and CLI; kept in jails.json by the
 * parent), or by the labels of containers (not kept). The parent has the one table of them
 * (table.h); everybody else is told by messages, in the form of jail_settings_encode().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "policy/policy.h"

/* The first of these that names a jail has it; what the others say about the name waits. */
typedef enum JailSource {
    JAIL_OF_POLICY = 1,
    JAIL_OF_API,
    JAIL_OF_LABEL,
    JAIL_SOURCE_MAX_,
} JailSource;

/* The most bytes that encoded settings can have. */
#define JAIL_ENCODED_MAX ((size_t)192 * 1024)

typedef struct JailSettings {
    PolicyJail jail; /* name and commands point into `memory`; commands are sorted, none twice */
    JailSource source;
    void *memory; /* owned */
} JailSettings;

#define JAIL_SETTINGS_EMPTY ((JailSettings){.memory = NULL})

/* A copy of what the policy (or anybody else) says, commands sorted and each of them once. 0;
 * -ENOMEM; -EINVAL: a name that no jail or command may have; -E2BIG: too many commands, or too
 * long ones. `ret` is empty then. */
int jail_settings_of(const PolicyJail *jail, JailSource source, JailSettings *ret);
/* The settings of a jail of which nothing but its name and its commands (and `hardened`) is said.
 */
int jail_settings_plain(const char *name, const char *const *commands, size_t n_commands,
                        bool hardened, JailSource source, JailSettings *ret);
/* Frees; the settings are empty then. */
void jail_settings_done(JailSettings *settings);
/* Apart from where they come from. */
bool jail_settings_equal(const JailSettings *a, const JailSettings *b);

const char *jail_source_name(JailSource source); /* "policy", "api", "label" */

/* The payload of MESSAGE_JAIL (wire/message.h). `with_commands`: else none, for who has no use for
 * them. */
void jail_settings_encode(Buffer *buffer, const JailSettings *settings, bool with_commands);
/* Reads settings at the reader's place. -EPROTO, -ENOMEM. */
int jail_settings_decode(Reader *reader, JailSettings *ret);
