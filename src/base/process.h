/*
 * What every child process of the warden is told when it is forked.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

typedef struct ProcessUser {
    uid_t uid;
    gid_t gid;
} ProcessUser;

typedef struct ProcessContext {
    int control_fd;  /* link to the parent (wire/message.h, control messages); owned */
    bool privileged; /* started as root: each process becomes its own user */
    ProcessUser warden, door, api;
    gid_t operators;     /* group whose members may decide through the api socket */
    const char *run_dir; /* absolute */
    const char *state_dir;
    const char *policy_path;
    const char *audit_path;
    const char *api_socket;
    const char *api_url; /* of the api's TCP listener; empty: none */
    bool dry_run;        /* judge and record, refuse to run */
} ProcessContext;
