/*
 * audit: verify, show and export the audit log; works on its files, without the warden.
 *
 * What its verbs share. audit.c has the entry and the places, audit-verify.c the chain,
 * audit-records.c show and export.
 */
#pragma once

#include <limits.h>

#include "cli/cli.h"

/* Usage of all verbs together. */
extern const CliSyntax audit_syntax;

/* Where the warden keeps its log and head: the system's one, or, for an ordinary user who has one,
 * their own (the XDG base directory specification). */
typedef struct AuditPlaces {
    char file[PATH_MAX], head[PATH_MAX];
} AuditPlaces;

void audit_default_places(AuditPlaces *ret);

/* FILE, --file FILE, or neither. 0, or CLI_USAGE. */
int audit_choose_file(const char **file, const char *operand);
/* Says why the log could not be read (-errno). Returns CLI_REFUSED. */
int audit_read_failed(const char *path, int error);

/* argv[0] is the verb. */
int audit_verify_main(Cli *cli, int argc, char **argv);
int audit_records_main(Cli *cli, int argc, char **argv); /* show, export */
