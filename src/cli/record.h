/*
 * One record of the journal as an operator reads it: a line in which nothing that a prisoner chose
 * can pose as something else, or a row of a table that a spreadsheet cannot take for formulas.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"

/* SEQ TIME EVENT JAIL REQUEST name=value … : ARGV, and a line feed. */
void record_put_line(Buffer *out, const json_t *record);
/* RFC 4180: the columns' names, and one record. */
void record_put_csv_header(Buffer *out);
void record_put_csv(Buffer *out, const json_t *record);
