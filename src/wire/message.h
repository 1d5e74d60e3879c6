/*
 * The internal messages: who may say what to whom, and what each payload holds.
 *
 * Every process has a link to the parent (control), over which the parent hands it links to the
 * others. A type that is not in the reader's table for that link is fatal to the sender
 * (style.md, rule 6: what is not in the table does not exist).
 *
 * Key of a request: the door's id in the upper 32 bits (given by the parent, never used twice), the
 * door's own counter in the lower. Warden and executor check that the upper half is the link's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/digest.h"

#define SEGMENTS_FDS_MAX 8u /* descriptors in one MESSAGE_SEGMENTS */
#define MESSAGE_KEY(door_id, counter) ((uint64_t)(door_id) << 32 | (uint32_t)(counter))
#define MESSAGE_KEY_DOOR(key) ((uint32_t)((key) >> 32))

typedef enum LinkRole {
    LINK_ROLE_DOOR = 1,
    LINK_ROLE_WARDEN,
    LINK_ROLE_EXECUTOR,
    LINK_ROLE_API,
    LINK_ROLE_ENGINE, /* the process that speaks with the container engine */
} LinkRole;

/* Control: parent ↔ child. Payloads are written and read with buffer.h in the order given. */
enum {
    /* parent → child: still there? → MESSAGE_PONG */
    MESSAGE_PING = 1,
    MESSAGE_PONG,
    /* child → parent: set up and serving */
    MESSAGE_READY,
    /* parent → child: finish what must be finished and exit */
    MESSAGE_STOP,
    /* parent → child, 1 fd: a link to another process. u8 role of the other end, u32 door id (or
     * 0), string jail, string socket path (getsockname(2) of the jail's listener) */
    MESSAGE_LINK,
    /* parent → door and api, 1 fd: a listening socket. string path or address; to the api also: u8
     * whether TLS is spoken there, string names that clients may call it by, each with a line
     * feed */
    MESSAGE_LISTENER,
    /* parent → warden, 1 fd: the policy file. string path, string why there is no fd */
    MESSAGE_POLICY,
    /* warden → parent: u8 ok (the new policy is in force), string problems */
    MESSAGE_POLICY_ANSWER,
    /* parent → warden, 1 fd: the journal. u64 seq, 32 bytes hash, string recovery report */
    MESSAGE_JOURNAL,
    /* warden → parent: a new segment, please → MESSAGE_SEGMENT (1 fd), or none: u32 errno */
    MESSAGE_SEGMENT_WANTED,
    MESSAGE_SEGMENT,
    /* warden → parent: u64 seq, 32 bytes hash */
    MESSAGE_HEAD,
    /* warden → parent: reload the policy now (asked for through the api) */
    MESSAGE_RELOAD,
    /* parent → warden, door and executor: a jail's settings, and again when they change:
     * jail_settings_encode(). Before the link to the jail's door. Its commands are told to the
     * warden alone */
    MESSAGE_JAIL,
    /* api → parent: the journal's segments, please → MESSAGE_SEGMENTS. No payload */
    MESSAGE_SEGMENTS_WANTED,
    /* parent → api, at most SEGMENTS_FDS_MAX fds, each read-only, oldest first. u32 how many
     * follow in further messages */
    MESSAGE_SEGMENTS,
    /* parent → api: what TLS is spoken with from now on. blob certificates, blob key (PEM) */
    MESSAGE_TLS,
    /* parent → warden: the jail is no more; what runs or waits in it ends. string jail */
    MESSAGE_JAIL_GONE,
    /* warden → parent, with a key: an operator wants a jail of the api made, changed or removed
     * → MESSAGE_JAIL_ANSWER with that key, after MESSAGE_JAIL or MESSAGE_JAIL_GONE. u8 JailWish,
     * jail_settings_encode() (of a removed one, its name counts alone) */
    MESSAGE_JAIL_WANTED,
    /* u8 done, string why not */
    MESSAGE_JAIL_ANSWER,
    /* parent → warden, once, before it may serve: what operators have stopped. u8 SwitchesFound,
     * string the table as MESSAGE_SWITCHES_SAVE had it, or why it cannot be read */
    MESSAGE_SWITCHES,
    /* warden → parent: keep this instead of what was kept before. string the table
     * → MESSAGE_SWITCHES_SAVED: u32 errno, 0: it is on disk. In the order of the questions */
    MESSAGE_SWITCHES_SAVE,
    MESSAGE_SWITCHES_SAVED,
};

typedef enum JailWish {
    JAIL_WISH_PUT = 1, /* as these settings say, whether it is there already or not */
    JAIL_WISH_REMOVE,
} JailWish;

typedef enum SwitchesFound {
    SWITCHES_NONE, /* there is no table yet */
    SWITCHES_TEXT,
    SWITCHES_BROKEN,
} SwitchesFound;

/* Door ↔ warden. */
enum {
    /* door → warden: u32 pid, u32 uid, u32 gid (of the actual writer), blob header + body as the
     * shim sent them, already decoded once by the door */
    DOOR_REQUEST = 32,
    DOOR_SIGNAL,  /* door → warden: u8 signal number, u8 group */
    DOOR_CANCEL,  /* door → warden: Ctrl-C and the like while waiting. With u8 signal number, u8
                     group: only unless the command has been started, which gets that signal then */
    DOOR_GONE,    /* door → warden: the connection is lost */
    DOOR_REFUSED, /* door → warden, key 0: something refused before it was a request. u32 pid, u32
                     uid, u32 gid, string why */
    DOOR_ACK,     /* warden → door: u8 SHIM_ACK_… */
    DOOR_MESSAGE, /* warden → door: string */
    DOOR_EXIT,    /* warden → door: u8 kind, u8 value; the request is over */
    DOOR_OPEN,    /* warden → door: offer this request to the executor again (it was approved) */
};

/* Door → executor, and nothing back. */
enum {
    /* 2 fds: the shim's connection (the executor asks the kernel who is behind it) and one end of a
     * socketpair, on which the door sends the child the shim's request as it came: header, body,
     * and with the first byte the caller's descriptors. No payload. */
    EXEC_OPEN = 64,
};

/* Warden ↔ executor. The executor answers EXEC_OPEN to the warden. */
enum {
    EXEC_PREPARED = 96, /* executor → warden: Prepared */
    EXEC_HASHED,        /* executor → warden: Examined; the child is gone */
    EXEC_FAILED,        /* executor → warden: u8 ExecFailure, string message; the child is gone */
    EXEC_STARTED,       /* executor → warden: u32 pid of the command */
    EXEC_ENDED,         /* executor → warden: u8 kind (0 code, 1 signal), u8 value, u32 leftovers;
                           nothing of the request is left alive */
    EXEC_EXITED, /* executor → warden: u8 kind, u8 value: the command itself has ended, what
                    it left behind is being ended; EXEC_ENDED follows */
    EXEC_HASH,   /* warden → executor: digest what would run, report, end the child */
    EXEC_RUN,    /* warden → executor: RunOrder */
    EXEC_DROP,   /* warden → executor: end a prepared child */
    EXEC_SIGNAL, /* warden → executor: u8 signal number, u8 group */
    EXEC_END,    /* warden → executor: u32 grace in ms: TERM, then KILL; 0: KILL at once.
                    Whatever state the request is in */
    EXEC_FREEZE, /* warden → executor: u8 1: nothing of the request runs until 0 */
    /* warden → executor: u8 ContainerOp, string a container's whole id → EXEC_CONTAINER_DONE with
     * the same key, which is the warden's and no request's */
    EXEC_CONTAINER,
    /* executor → warden: u8 ContainerOp, string id, u8 ContainerOutcome, string why it has failed
     */
    EXEC_CONTAINER_DONE,
    EXEC_LAUNCH, /* warden → executor: RunOrder; the engine starts it in the caller's container, and
                    its EXEC_ENDED may say kind 2: how it ended only the engine knows */
};

/* To a whole container, whatever runs in it. */
typedef enum ContainerOp {
    CONTAINER_OP_KILL = 1,
    CONTAINER_OP_FREEZE,
    CONTAINER_OP_THAW,
    CONTAINER_OP_MAX_,
} ContainerOp;

typedef enum ContainerOutcome {
    CONTAINER_OUTCOME_DONE,
    CONTAINER_OUTCOME_ABSENT, /* there is no such container, or it has ended */
    CONTAINER_OUTCOME_FAILED,
    CONTAINER_OUTCOME_MAX_,
} ContainerOutcome;

/* Api → executor, and back: is this peer a prisoner? Answered by key. */
enum {
    VET_PEER = 128, /* 1 fd: the client's connection */
    VET_ANSWER, /* u8 ok, u32 pid, u32 uid, u32 gid, u8 is in the operators' group, string why */
};

/* Api ↔ warden. Answers are JSON documents, ready to be sent on. Every question begins with the
 * Actor who asks: what it may not see or do is refused by the warden, whatever the api thinks. */
enum {
    API_STATUS = 160, /* → API_ANSWER, like all others but the last four */
    API_QUEUE,        /* u32 limit (0: 100), string the id to go on after ("": from the oldest) */
    API_DECIDE,       /* string id, u8 approve, u8 Remember, u64 ms (REMEMBER_FOR), u8 widened,
                         string reason */
    API_KILL,         /* u8 SwitchScope, string jail or container ("": all), u64 ms until it is
                         resumed by itself (0: never), string reason */
    API_PAUSE,        /* the same */
    API_RESUME,       /* the same, ms 0 */
    API_RELOAD,
    API_GRANTS,
    API_REVOKE,      /* string grant id */
    API_JAILS,       /* string name ("": all) */
    API_JAIL_CREATE, /* jail_change_encode() */
    API_JAIL_CHANGE, /* the same */
    API_JAIL_DELETE, /* string name */
    API_POLICY,      /* the policy's text */
    API_POLICY_TEST, /* string jail, u32 uid, u32 gid, string cwd, u32 argc, strings argv */
    API_ANSWER,      /* warden → api: u16 HTTP status, string JSON */
    API_SUBSCRIBE, /* api → warden, key 0: Actor (as always), u8 whether API_RECORDs are wanted */
    API_RECORD,    /* warden → api, key 0: u64 seq, string jail ("" none), string event, blob the
                      journal's line without its line feed. In the order of seq, none left out
                      between a subscription and its end. Seq 0 (and nothing in the rest): the api
                      did not read fast enough and the subscription is over; subscribe again and take
                      what is missing from the segments */
    API_NOTE, /* api → warden, key 0, not answered: something the journal must have. Actor (the
                 record's approver and via), u8 NoteKind, string message */
};

/* What the kill switch is thrown for. */
typedef enum SwitchScope {
    SWITCH_SCOPE_JAIL = 1,
    SWITCH_SCOPE_CONTAINER,
    SWITCH_SCOPE_ALL,
    SWITCH_SCOPE_MAX_,
} SwitchScope;

/* How far an approval is remembered. */
typedef enum Remember {
    REMEMBER_NOT,
    REMEMBER_FOR,     /* a grant for a time */
    REMEMBER_SESSION, /* a grant until the prisoner's container or root process ends */
    REMEMBER_MAX_,
} Remember;

typedef enum NoteKind {
    NOTE_LOGIN,  /* a login, a failed one, a logout */
    NOTE_CONFIG, /* a token or user created, changed, deleted */
    NOTE_MAX_,
} NoteKind;

/* Who asks something of the warden through the api, as the api found out. */
typedef enum ActorRole {
    ROLE_VIEWER = 1,
    ROLE_APPROVER,
    ROLE_ADMIN,
    ROLE_MAX_,
} ActorRole;

typedef struct Actor {
    const char *name; /* "alice", or "root (uid 0)" on the unix socket: what the journal keeps, and
                         what tells two approvers apart */
    ActorRole role;
    const char *via;   /* the channel: "cli", "api", "dashboard", "slack", "telegram" */
    const char *jails; /* names, each followed by a line feed, it is confined to; "": all */
} Actor;

void actor_encode(Buffer *buffer, const Actor *actor);
/* Reads the Actor at the reader's place. -EPROTO: no such role, or no name. Strings point into the
 * payload. */
int actor_decode(Reader *reader, Actor *ret);
/* Whether the jail is among those that the actor may see. A record of no jail ("") is for those
 * who may see all. */
bool actor_sees(const Actor *actor, const char *jail);
const char *actor_role_name(ActorRole role); /* "viewer" … */

/* Why a request could not be prepared or started. */
typedef enum ExecFailure {
    EXEC_FAILURE_IDENTITY = 1, /* the caller may not use this jail: 125 */
    EXEC_FAILURE_NOT_FOUND,    /* 127 */
    EXEC_FAILURE_NOT_RUNNABLE, /* found, but cannot be executed: 126 */
    EXEC_FAILURE_CWD,          /* the working directory is not usable: 126 */
    EXEC_FAILURE_DRIFT,        /* not what was admitted: 126 */
    EXEC_FAILURE_BROKEN,       /* fork, pipe, protocol …: 125 */
    EXEC_FAILURE_MAX_,
} ExecFailure;

/* Facts about what would run, as the child found them with the caller's own rights. */
enum {
    PREPARED_EXE_WRITABLE = 1u << 0,         /* the caller could change or replace the executable */
    PREPARED_SCRIPT = 1u << 1,               /* `#!`: `interpreter` is what the kernel would load */
    PREPARED_OPERAND = 1u << 2,              /* an interpreter's script operand: `operand` */
    PREPARED_OPERAND_WRITABLE = 1u << 3,     /* the caller could change that script */
    PREPARED_STDIN_MUTABLE = 1u << 4,        /* stdin is neither closed, /dev/null nor a terminal */
    PREPARED_READS_STDIN = 1u << 5,          /* the program takes its instructions from stdin: an
                                                interpreter without operand (sh, psql …) */
    PREPARED_NO_PROGRAM = 1u << 9,           /* the caller has no such program: only `ghost` can run
                                                it. `operand` says why */
    PREPARED_NOT_RUNNABLE = 1u << 10,        /* then: there is one, but it cannot be executed */
    PREPARED_INTERPRETER_WRITABLE = 1u << 8, /* the caller could change what a script's #! names */
    PREPARED_POWERFUL = 1u << 7,             /* the caller is root, or has CAP_SYS_ADMIN or
                                                CAP_SYS_PTRACE: it could change the warden itself */
    PREPARED_HARDENED = 1u << 11,            /* shims stand in the places of its container's
                                                programs: commands need mounts of their own */
    PREPARED_NO_CGROUP = 1u << 6,            /* a subreaper stands in for the request's cgroup */
};

#define PREPARED_GROUPS_MAX 256u

typedef struct Prepared {
    /* By the executor, from the kernel. */
    pid_t pid;
    uid_t uid;
    gid_t gid;
    uint64_t start_time; /* of the caller, clock ticks since boot (proc(5), field 22) */
    const gid_t *groups;
    size_t n_groups;
    const char *container;         /* "" for a caller in the warden's own namespaces */
    uint64_t container_start_time; /* of its init, as start_time: a container that was started again
                                      is another one */
    /* By the child. */
    uint32_t flags;
    const char *exe;         /* resolved absolute path; of the script if it is one */
    const char *interpreter; /* "" if not a script */
    const char *operand;     /* "" if none */
    const char *cwd;         /* by getcwd(2) after fchdir(2) to the caller's descriptor */
    uint64_t cwd_device, cwd_inode;
} Prepared;

void prepared_encode(Buffer *buffer, const Prepared *prepared);
/* Strings point into the payload; `groups` into `group_space` (PREPARED_GROUPS_MAX). -EPROTO. */
int prepared_decode(const char *payload, size_t size, gid_t *group_space, Prepared *ret);

/* Digests of what would run: what a human's approval binds. Zero where there is no such file. */
typedef struct Hashed {
    Digest exe, interpreter, operand;
} Hashed;

#define EXAMINED_ARGUMENTS_MAX 256u /* arguments that `beneath` speaks of */

/* What the executor found out because a human will be asked. */
typedef struct Examined {
    Hashed hashed;
    pid_t root_pid; /* the prisoner's root process: the topmost of the caller's ancestors that run
                       as its user; 0: not known */
    uint64_t root_start_time; /* as Prepared.start_time */
    /* One bit per argument (argv[0] included): as a path it lies beneath the caller's working
     * directory, without a symbolic link on the way. */
    uint8_t beneath[EXAMINED_ARGUMENTS_MAX / 8];
} Examined;

void examined_encode(Buffer *buffer, const Examined *examined);
int examined_decode(const char *payload, size_t size, Examined *ret);

/* The order to run a prepared child. */
typedef struct RunOrder {
    Digest command; /* digest_command() of argv and the environment after scrubbing */
    bool bound;     /* a human approved: the digests below must hold, and what the caller could
                       change runs from a sealed copy */
    Hashed hashed;
    const uint8_t *keep; /* one bit per environment entry as the shim sent it: it is passed on */
    size_t keep_size;    /* bytes */
} RunOrder;

void run_order_encode(Buffer *buffer, const RunOrder *order);
int run_order_decode(const char *payload, size_t size, RunOrder *ret);

static inline bool run_order_keeps(const RunOrder *order, size_t index)
{
    return index / 8 < order->keep_size && (order->keep[index / 8] >> (index % 8) & 1);
}
