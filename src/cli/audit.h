/*
 * audit: verify, show and export the audit log; works on its files, without the warden.
 */
#pragma once

#include <stdbool.h>

/* argv[0] is "audit". Returns the exit code (cli.h). */
int audit_main(int argc, char **argv, bool json);
