/*
 * The warden's command line and configuration file.
 */
#pragma once

#include <stdbool.h>

typedef struct Options {
    char *policy, *socket, *state_dir, *run_dir, *audit, *api_socket, *user; /* owned */
    char *api;                /* owned: ADDR:PORT, or "none" */
    char *tls_cert, *tls_key; /* owned: both, or NULL */
    char *shim;               /* owned: the program for the jails' directories; or NULL */
    char *api_hosts;          /* owned: names, each with a line feed; or NULL */
    char *engine;             /* owned: path of the engine's socket; NULL: none */
    bool check, dry_run, log_json;
} Options;

/* Parses argv (and --config), fills in defaults for root or an ordinary user. 0; 1 when the
 * program is done (--help, --version); 2 on a usage error (already explained on stderr). */
int options_parse(int argc, char **argv, Options *ret);
void options_done(Options *options);
