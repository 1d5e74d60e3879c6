/*
 * JSON values as text that cannot lie: everything that a prisoner may have chosen passes through
 * base/text.h before it reaches a terminal.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"

/* A member's text in display form; "" when it is missing. {"base64":"…"} is decoded. */
void show_member(Buffer *out, const json_t *object, const char *name, size_t most);
/* A text of our own or an operator's, in display form. */
void show_text(Buffer *out, const char *text, size_t most);
/* A member's text for words that the warden has put into display form already. */
void show_words(Buffer *out, const json_t *object, const char *name, size_t most);
/* The whole vector with visible boundaries. */
void show_argv(Buffer *out, const json_t *argv, size_t most);
/* The bytes of a JSON text (a string or {"base64":"…"}); the caller frees them. NULL when it is
 * neither. A NUL follows the last byte. */
char *show_bytes(const json_t *value, size_t *ret_size);
/* Whole numbers; 0 when missing. */
unsigned long long show_number(const json_t *object, const char *name);
/* An array of texts: "a, b, c". */
void show_list(Buffer *out, const json_t *list, size_t most);
/* "1 record", "2 records" */
void show_count(Buffer *out, unsigned long long count, const char *what);
/* "10m" of milliseconds. */
void show_duration(Buffer *out, unsigned long long milliseconds);
/* "1000 (alice)" */
void show_uid(Buffer *out, unsigned long long uid);

/* ", KILLED by alice through cli (reason): commands are refused until `resume`" of an entry of the
 * kill switch; nothing of null. */
void show_stop(Buffer *out, const json_t *entry);

/* Prints and releases what was collected. */
void show_print(Buffer *out);
/* The document in printable ASCII, which a terminal shows as it is; `flags` are jansson's. Owned by
 * the caller; NULL: out of memory. */
char *show_dump(const json_t *document, size_t flags);
/* Prints the document, in ASCII so that a terminal shows what is there, and a line feed. */
void show_json(const json_t *document);
