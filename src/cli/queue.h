/*
 * One waiting request as a human sees it; shared by whatever lists requests.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"

/* Several lines. Arguments are folded after `fold_at` bytes; 0: never. */
void queue_put_entry(Buffer *out, const json_t *entry, size_t fold_at);
