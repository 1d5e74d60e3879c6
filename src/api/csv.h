/*
 * Records as CSV (RFC 4180), for spreadsheets. What a prisoner wrote may begin like a formula; a
 * cell that does gets an apostrophe in front, which spreadsheets take for "this is a text".
 */
#pragma once

#include <stddef.h>

#include "base/buffer.h"

void csv_put_header(Buffer *csv);
/* A line of the journal as a row. A line that is no JSON leaves a row with its seq alone. */
void csv_put_record(Buffer *csv, const char *line, size_t size);
