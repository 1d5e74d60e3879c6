/*
 * Hostile bytes as text that cannot lie: shown to humans (terminal, messages) and written as JSON.
 *
 * Display form: printable UTF-8 stays; control characters, bytes that are not UTF-8, bidirectional
 * controls and right-to-left scripts, zero-width, blank and other invisible characters, marks
 * beyond two on a letter or on anything else become escapes (\n, \x1b, \u{202e}), and a backslash
 * becomes two: what looks like an escape is one, and no two texts look the same for want of it. An
 * argument that is empty or holds anything a reader could take for a boundary is put in single
 * quotes with the quote itself escaped, so argument boundaries are always visible.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Bytes of the UTF-8 character at `text` (1 to 4; well-formed per RFC 3629), or 0. */
size_t text_utf8_size(const char *text, size_t size, uint32_t *ret_codepoint);
bool text_is_utf8(const char *text, size_t size);

/* Appends `size` bytes in display form without quotes, folded after `most` bytes of output with
 * "…(+N bytes)" (0: never folded). */
void text_display(Buffer *buffer, const char *text, size_t size, size_t most);
/* The same for words that hold text in display form already: backslashes and folds stay, anything
 * else that must not reach a terminal is escaped all the same. */
void text_display_again(Buffer *buffer, const char *text, size_t size, size_t most);

/* Appends one argument / a whole vector in display form with visible boundaries. */
void text_display_argument(Buffer *buffer, const char *argument, size_t most);
void text_display_argv(Buffer *buffer, const char *const *argv, size_t argc, size_t most);

/* JSON (RFC 8259) writing. A string that is UTF-8 becomes a JSON string; any other becomes
 * {"base64":"…"} (RFC 4648), so that no byte is lost and no reader can mistake one for the other.
 */
void json_put_string(Buffer *buffer, const char *text, size_t size);
void json_put_cstring(Buffer *buffer, const char *text);

/* Object members: `"name":value` preceded by a comma unless the byte before is '{' or '['. */
void json_put_name(Buffer *buffer, const char *name);
void json_put_member(Buffer *buffer, const char *name, const char *text);
void json_put_member_u64(Buffer *buffer, const char *name, uint64_t value);
void json_put_member_i64(Buffer *buffer, const char *name, int64_t value);
void json_put_member_bool(Buffer *buffer, const char *name, bool value);
void json_put_member_argv(Buffer *buffer, const char *name, const char *const *argv, size_t argc);

/* Whether a spreadsheet could take a cell of this text for a formula: it needs a quote in front
 * then (OWASP, "CSV Injection"). */
bool text_is_formula(const char *text, size_t size);
