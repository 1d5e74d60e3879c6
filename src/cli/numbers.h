/*
 * Numbers as operators write them.
 */
#pragma once

/* A decimal number from 1 to `most`. 0 or -EINVAL. */
int cli_parse_count(const char *text, unsigned most, unsigned *ret);
