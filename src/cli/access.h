/*
 * Who may operate the warden over its unix socket, and what somebody who may not can do about it.
 */
#pragma once

#include "cli/cli.h"

/* Words for a user whom the socket, or the warden behind it, has refused; owned by the caller.
 * NULL: nothing helpful can be said. */
char *access_hint(const Cli *cli);
