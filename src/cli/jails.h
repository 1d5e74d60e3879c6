/*
 * The part of `jails` that has a file of its own.
 */
#pragma once

#include "cli/cli.h"

int jails_containers(Cli *cli, int argc, char **argv);
