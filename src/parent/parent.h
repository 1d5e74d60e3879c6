/*
 * The parent process (private to parent/): forks the others, hands them links and files, restarts
 * them, and keeps what must survive them: listeners, the journal's file and head, the lock.
 *
 * It reads no byte of a prisoner. When the warden or the executor dies the rest is void: all
 * children are ended and started together. A door or the api is restarted alone.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pidref.h"
#include "base/process.h"
#include "jail/house.h"
#include "jail/table.h"
#include "journal/journal-file.h"
#include "parent/containers.h"
#include "parent/listen.h"
#include "parent/options.h"
#include "policy/policy.h"
#include "wire/link.h"
#include "wire/message.h"

typedef struct Parent Parent;
typedef struct ServedJail ServedJail;

#define LOCKS 3
#define FRESH_MAX 16

typedef enum ChildKind {
    CHILD_EXECUTOR,
    CHILD_WARDEN,
    CHILD_API,
    CHILD_DOOR,
    CHILD_ENGINE
} ChildKind;

typedef struct Child {
    Parent *parent;
    ChildKind kind;
    char role[80]; /* "executor", "door/default": for the log */
    PidRef process;
    Link *control;
    struct event *ended; /* its pidfd is readable */
    bool ready;
    uint64_t answered_ms; /* last sign of life, monotonic */
    ServedJail *jail;     /* of a door */
    struct Child *next;
} Child;

struct ServedJail {
    char name[POLICY_JAIL_NAME_SIZE];
    char *directory, *socket_path; /* owned */
    int listener;
    bool fresh;            /* its directory was not there before */
    JailSettings settings; /* as they were told to the others */
    uint32_t door_id;
    Child *door; /* NULL while it is being restarted */
    struct event *restart;
    Parent *parent;
    ServedJail *next;
};

struct Parent {
    const Options *options;
    ProcessContext context;
    struct event_base *loop;
    Child *children;
    ServedJail *jails; /* those of `wanted` that could be opened */
    JailTable wanted;  /* by policy, operators and labels */
    JailHouse house;
    int state_fd;       /* the state directory, for jails.json */
    char *kept_problem; /* owned: why jails.json cannot be read; it is left alone then */
    EngineSide *engine; /* NULL: there is none (containers.c) */
    uint32_t next_door_id;
    int locks[LOCKS]; /* of the state, the sockets, the journal */
    int api_listener, inotify_fd;
    TcpListener tcp;
    char *fresh[FRESH_MAX]; /* owned: directories that were not there before this start */
    size_t n_fresh;
    struct event *inotify, *reload_timer, *watchdog, *restart_timer, *stop_timer;
    struct event *signals[4];
    char *head_path;
    JournalHead head;
    SwitchesFound switches_found; /* what operators have stopped: */
    char *switches;               /* owned; the warden's words, not read here */
    unsigned failures;            /* restarts without a quiet time between them */
    uint64_t last_failure_ms;
    bool announced, stopping, restarting;
    int exit_status;
};

/* children.c */
Child *child_start(Parent *parent, ChildKind kind, ServedJail *jail);
void child_free(Child *child);
Child *child_find(Parent *parent, ChildKind kind);
/* Connects two children by a fresh socketpair. */
int children_link(Child *a, Child *b, uint32_t door_id, const char *jail, const char *socket_path);
int child_send(Child *child, uint16_t type, Buffer *payload, int fd);
void child_kill(Child *child);
/* Reaps processes that nobody here has started: orphans become children of a parent that is PID 1
 * of a container. Called when a child, whichever, has ended (SIGCHLD). */
void children_reap_strangers(Parent *parent);

/* jails.c */
/* Makes the policy's jails those of this one: new ones get a directory, a socket and a door. */
int jails_reconcile(Parent *parent, const Policy *policy);
/* Serves the jail as the table wants it now, or no longer. 0 or -errno, the reason already said. */
int jails_settle(Parent *parent, const char *name);
/* The same with all of them. -errno when one of the policy's could not be served. */
int jails_settle_all(Parent *parent);
int jail_start_door(Parent *parent, ServedJail *jail);
void jail_send_listener(ServedJail *jail);
ServedJail *jail_find(Parent *parent, const char *name);
void jails_free(Parent *parent);

/* A jail that the labels of containers ask for, or its new settings (source JAIL_OF_LABEL, see
 * jail_settings_plain()); they are empty then. It lives until jails_remove_label(), not beyond this
 * process. A jail of this name that the policy or an operator has made stays as it is, and is the
 * one in force as long as it is there. Afterwards jail_find() knows its directory, and its commands
 * have their links; MESSAGE_JAIL has gone to the others before. 0 or -errno, the reason said. */
int jails_put_label_take(Parent *parent, JailSettings *settings);
/* No container asks for it any more: what runs in it is ended, its directory goes. */
void jails_remove_label(Parent *parent, const char *name);
/* What the labels ask for is known: directories that no jail owns go. Until then they stay, because
 * containers that run have them mounted. Called at the start when there is no engine. */
void jails_sweep(Parent *parent);

/* jails-kept.c: the jails that operators make. */
/* Takes the jailhouse and the shim, and reads jails.json. 0 or -errno, the reason said. */
int jails_open(Parent *parent);
void jails_on_wanted(Parent *parent, Child *warden, const LinkFrame *frame);

/* parent.c */
void parent_on_child_frame(Child *child, LinkFrame *frame);
void parent_on_child_ended(Child *child);
/* Runs the service until it is told to stop. Returns the program's exit status. */
int parent_run(const Options *options);

/* setup.c: 0 or -errno, the reason already said. */
int setup_find_users(Parent *parent);
int setup_make_places(Parent *parent);
/* What setup_make_places() and setup_open_places() have made, when nothing has come of it. */
void setup_undo_places(Parent *parent);
int setup_listen(Parent *parent);
int setup_open_places(Parent *parent);
int setup_serve_jails(Parent *parent);

/* files.c */
/* Loads a policy; says on stderr what is wrong with it or its place, as log lines if `json`. NULL
 * when it is not good. */
Policy *files_load_policy(const char *path, bool json);
void files_send_policy(Parent *parent);
void files_send_policy_to(Parent *parent, Child *child);
void files_on_policy_answer(Parent *parent, const LinkFrame *frame);
int files_watch_policy(Parent *parent);
/* Opens, recovers and hands over the journal. */
int files_send_journal(Parent *parent, Child *warden);
void files_on_segment_wanted(Parent *parent, Child *warden);
void files_on_head(Parent *parent, const LinkFrame *frame);
/* The journal's segments, for reading. */
void files_send_segments(Parent *parent, Child *api);
/* Reads certificates and key and hands them to the api. */
void files_send_tls(Parent *parent);

/* switches.c */
void switches_load(Parent *parent);
int switches_send(Parent *parent, Child *warden);
void switches_on_save(Parent *parent, Child *warden, const LinkFrame *frame);

/* notify.c: sd_notify(3) as systemd documents it; without NOTIFY_SOCKET nothing happens. */
void notify_service_manager(const char *state);
