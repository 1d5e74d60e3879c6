/*
 * The policy: YAML in, verdict out. A pure library: it opens no sockets, logs nothing, keeps no
 * global state, and never runs anything.
 *
 * Policy is immutable once loaded; a reload makes a second one. Verdicts point into the policy and
 * are valid as long as it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/buffer.h"

typedef struct Policy Policy;

typedef enum PolicyAction { POLICY_ALLOW, POLICY_DENY, POLICY_ASK } PolicyAction;

typedef enum PolicyExecutor {
    POLICY_EXECUTOR_AUTO,
    POLICY_EXECUTOR_LOCAL,
    POLICY_EXECUTOR_MIRROR,
    POLICY_EXECUTOR_GHOST,
} PolicyExecutor;

/* What runs a mirrored command in its caller's container. */
typedef enum PolicyMirrorEngine {
    POLICY_MIRROR_JOINER, /* the executor's own runner */
    POLICY_MIRROR_DOCKER, /* the container engine, by the Docker API's exec */
} PolicyMirrorEngine;

/* One mistake in a policy file. */
typedef struct PolicyProblem {
    char *file;            /* owned, like all text here */
    unsigned line, column; /* from 1; 0 when the problem has no place */
    bool warning;          /* lint: the policy still loads */
    char *message;         /* what is wrong and what to do about it */
    char *text;            /* the offending text, or NULL */
} PolicyProblem;

typedef struct PolicyProblems {
    PolicyProblem *items;
    size_t n_items;
    size_t n_errors; /* items that are not warnings */
} PolicyProblems;

void policy_problems_done(PolicyProblems *problems);
/* "file:line:column: error: message: text" per line, in file order. */
void policy_problems_print(const PolicyProblems *problems, FILE *out);

/* Loads a policy. 0 with *ret set; 1 when the text has errors (all of them in `problems`, *ret
 * NULL); -errno when broken. Warnings are listed either way. `name` is what messages call it. */
int policy_load_text(const char *name, const char *text, size_t size, Policy **ret,
                     PolicyProblems *problems);
int policy_load_file(const char *path, Policy **ret, PolicyProblems *problems);
Policy *policy_free(Policy *policy); /* accepts NULL, returns NULL */

/* What is judged. Strings are bytes as the caller passed them. */
typedef struct PolicyQuery {
    const char *jail;
    uid_t uid;
    gid_t gid;
    const char *name;        /* the command's name: a basename, never with '/' */
    const char *exe;         /* resolved absolute path of what would run, or NULL if not found */
    bool exe_writable;       /* the caller could change or replace it: names then vouch for nothing,
                                and a name or glob-of-names rule that allows does not apply */
    const char *const *argv; /* argv[0] included */
    size_t argc;
    const char *const *env; /* "NAME=value", scrubbed */
    size_t envc;
    const char *cwd; /* absolute, resolved */
} PolicyQuery;

/* What a rule's own widening of a grant keeps fixed beside the command's file, user, environment,
 * working directory and rule. */
enum {
    POLICY_GRANT_SUBCOMMAND = 1u << 0, /* the tool's subcommand and every option; the operands after
                                          them may differ */
    POLICY_GRANT_PATHS_CWD = 1u << 1, /* every option; operands may differ as long as each is a path
                                         beneath the working directory */
};

/* How a rule asks. */
typedef struct PolicyAsk {
    unsigned approvals;           /* distinct approvers that are needed; at least 1 */
    const char *const *approvers; /* who may decide, see policy_ask_refuses(); none: any approver */
    size_t n_approvers;
    const char *const *channels; /* "cli", "api", "dashboard", "slack", "telegram"; none: all */
    size_t n_channels;
    bool quiet;         /* nobody is paged: it is shown within a digest */
    unsigned grant;     /* POLICY_GRANT_…; 0: a grant covers exactly what was approved */
    unsigned rate_most; /* requests of one jail per `rate_ms` that the rule's action holds for;
                           0: any number. Of rules that allow, too */
    uint64_t rate_ms;
    PolicyAction rate_then; /* ask or deny: of those above */
} PolicyAsk;

/* How a command runs in an ephemeral container. */
typedef struct PolicyGhost {
    const char *image;   /* NULL: what policy_ghost_image() says */
    const char *network; /* "none", "bridge" or a network of the engine by name; never the host's */
    uint64_t memory;     /* bytes */
    unsigned pids;
    unsigned cpus_milli; /* thousandths of a processor */
    bool pull;           /* a missing image may be fetched */
} PolicyGhost;

typedef struct PolicyVerdict {
    PolicyAction action;
    const char *rule;    /* its name, "rule 3" when it has none, "default", or "allowed_paths" */
    unsigned line;       /* where it stands; 0 for a default */
    const char *reason;  /* or NULL */
    uint64_t timeout_ms; /* of the run; 0: none */
    uint64_t approval_timeout_ms;
    PolicyExecutor executor;
    bool needs_exe; /* an allow that was judged without an `exe`: nothing may run on it; judge again
                       once the file is known */
    bool has_wait;  /* the rule says how long the shim waits (else the jail does), in `wait_ms` */
    uint64_t wait_ms;         /* as in PolicyJail */
    size_t rule_index;        /* of the rule that decided; SIZE_MAX: a default */
    const PolicyAsk *ask;     /* never NULL */
    const PolicyGhost *ghost; /* how it runs where `executor` is ghost; never NULL */
} PolicyVerdict;

/* Microseconds whatever the number of rules; allocates nothing lasting; never fails: what cannot
 * be judged (a regular expression out of its match limit) is denied with a reason. */
void policy_judge(const Policy *policy, const PolicyQuery *query, PolicyVerdict *ret);

/* Why an actor may not decide about what this asks: words for humans and for the actor, or NULL
 * when he may. `role` is "viewer", "approver" or "admin"; `via` the channel. An entry of
 * `approvers` is one of: "approver" (an approver or admin), "admin", the name of a user as it is,
 * or "uid:N", which means whoever has a name that ends in " (uid N)": an operator at the unix
 * socket. No user or token may be given such a name. */
const char *policy_ask_refuses(const PolicyAsk *ask, const char *name, const char *role,
                               const char *via);

/* The shape of a command under a rule's widening (POLICY_GRANT_…): appends to `shape` bytes that
 * two commands have in common exactly when such a grant of the one may cover the other, and sets in
 * `operands` (one bit per argument, argv[0] included, room for `operands_size` bytes) which
 * arguments may differ. With POLICY_GRANT_PATHS_CWD each of those must also be found beneath the
 * working directory; their number may differ then. Options are compared as they are written: an
 * abbreviation or another order is another shape. Never an operand: what could be the value of an
 * option, "-", and under POLICY_GRANT_PATHS_CWD what does not look like a plain path ("-x" behind
 * "--", "@file", ":/", "a=b", "host:x", globs, "").
 * False (the bytes appended mean nothing then): the command has no such shape (the tool or its
 * subcommand has no table that was checked for this, no argument may differ, there are more
 * arguments than `operands` holds): nothing but an exact grant fits.
 * It goes by the tables of the tool called `name`: do not use it where the caller could change or
 * replace the file that runs under this name. */
bool policy_grant_shape(const char *name, const char *const *argv, size_t argc, unsigned widening,
                        Buffer *shape, uint8_t *operands, size_t operands_size);

/* Writes for humans which rule decided and why the ones before it did not. */
void policy_explain(const Policy *policy, const PolicyQuery *query, Buffer *out);

/* Whether an environment entry ("NAME=value") reaches the command: on the allow-list and not on
 * the block-list, which always wins. Entries without '=' or with an empty name do not. */
bool policy_env_keeps(const Policy *policy, const char *entry);

/* Entries that every command gets beside those that are kept: pagers through which nothing can be
 * run. `*ret_count` of them, static. */
const char *const *policy_env_added(size_t *ret_count);

/* Replaces every match of the policy's `redact` patterns by "[redacted]". Appends to `out`. */
void policy_redact(const Policy *policy, const char *text, size_t size, Buffer *out);
bool policy_redacts(const Policy *policy); /* false: policy_redact only copies */

/* The same for a whole command line, in one effort that ends after a tenth of a second at the
 * latest: also hides what a pattern finds in two arguments together, as in `--token SECRET`. What
 * is behind 4,096 arguments or a MiB is hidden unseen. 0 with `argc` strings and a NULL, which the
 * caller frees as one, or -ENOMEM. */
int policy_redact_argv(const Policy *policy, const char *const *argv, size_t argc,
                       const char ***ret);

/* Limits of one jail; defaults are filled in. */
typedef struct PolicyLimits {
    unsigned pending;     /* requests that may wait for a human at once (50) */
    unsigned connections; /* open connections to the jail's socket (200) */
    uint64_t bytes;       /* of all requests being read or held (64 MiB) */
    unsigned commands;    /* commands that are being judged, run, or ended at once (100) */
} PolicyLimits;

#define POLICY_JAIL_COMMANDS_MAX 4096u
#define POLICY_JAIL_COMMANDS_BYTES_MAX (64u * 1024) /* of all the names, with their ends */
#define POLICY_JAIL_NAME_SIZE 64                    /* with the end */

typedef struct PolicyJail {
    const char *name; /* [a-z0-9][a-z0-9._-]{0,62} */
    const char *const *commands;
    size_t n_commands;
    bool hardened;
    bool allow_root;  /* root, and who could change the warden otherwise, may be its prisoner */
    uint64_t wait_ms; /* UINT64_MAX: as long as the approval lives; 0: no-wait */
    PolicyLimits limits;
} PolicyJail;

/* The jails of the policy; one named "default" is always among them. */
const PolicyJail *policy_jails(const Policy *policy, size_t *ret_n_jails);
const PolicyJail *policy_jail(const Policy *policy, const char *name); /* or NULL */

/* Settings of a jail of which nothing but the name is said; `name` is kept as it is. */
PolicyJail policy_jail_defaults(const char *name);
bool policy_is_jail_name(const char *name);
/* Why this can be no command of a jail, in words that follow a colon; NULL: it can. A command is
 * one component of a path, in UTF-8 without control characters. */
const char *policy_command_problem(const char *name);

/* How long a pending request outlives its shim. */
uint64_t policy_approval_grace_ms(const Policy *policy);
PolicyMirrorEngine policy_mirror_engine(const Policy *policy);
/* Whether any command may run in `ghost`. */
bool policy_uses_ghost(const Policy *policy);
/* How a rule's commands run there, by PolicyVerdict.rule_index (SIZE_MAX: a default). NULL: there
 * is no such rule. */
const PolicyGhost *policy_ghost(const Policy *policy, size_t rule_index);
/* The directory that a ghost may have of the warden's own file system for a caller from there: the
 * longest of `allowed_paths` that covers the (absolute, resolved) working directory. 0, or 1: none
 * does, and `allowed_paths` must name one; 2: it is, or holds, a directory of the system, which no
 * workspace may hide. `ret` has PATH_MAX bytes. */
int policy_workspace(const Policy *policy, const char *cwd, char *ret);
/* The image that `ghost_images` names for a command, or NULL. */
const char *policy_ghost_image(const Policy *policy, const char *command);

size_t policy_n_rules(const Policy *policy);
/* Hex BLAKE2b of the policy's text, for status and the journal. */
const char *policy_digest(const Policy *policy);

const char *policy_action_name(PolicyAction action);       /* "allow" … */
const char *policy_executor_name(PolicyExecutor executor); /* "auto" … */

/* The policy that `clawrden-cli policy init` writes and that ships in the package. */
extern const char policy_default_text[];
