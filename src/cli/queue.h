/*
 * Waiting requests: fetched from the api, and as a human sees them; shared by whatever lists them.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "cli/cli.h"
#include "cli/client.h"

/* Several lines. Arguments are folded after `fold_at` bytes; 0: never, and what an approval could
 * be remembered for is said too. */
void queue_put_entry(Buffer *out, const json_t *entry, size_t fold_at);
/* ", ×75" and the like: who waits, how many approvals there are and are needed. */
void queue_put_standing(Buffer *out, const json_t *entry);

/* One page, from the one after `after` (NULL: the oldest). As client_call(); the answer has an
 * array `pending`. */
int queue_fetch(const Cli *cli, unsigned limit, const char *after, ClientAnswer *ret);
/* The one entry whose id begins with `id`: a new reference in `ret`. CLI_REFUSED, after saying what
 * is pending, when there is none or more than one. */
int queue_find(const Cli *cli, const char *id, json_t **ret);
/* "pending: 7K3M2Q git push, …" or "nothing is pending"; owned by the caller. */
char *queue_hint(const Cli *cli);
