/*
 * See text.h. Facts: RFC 3629 (UTF-8), RFC 8259 (JSON), RFC 4648 (base64); the invisible and
 * bidirectional characters are those of Unicode's general category Cf and the line separators,
 * the set that the "Trojan Source" paper (CVE-2021-42574) abuses.
 */
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text-marks.h"

size_t text_utf8_size(const char *text, size_t size, uint32_t *ret_codepoint)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t wanted;
    uint32_t codepoint;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};

    if (size == 0)
        return 0;
    if (bytes[0] < 0x80) {
        *ret_codepoint = bytes[0];
        return 1;
    }
    if ((bytes[0] & 0xe0) == 0xc0) {
        wanted = 2;
        codepoint = bytes[0] & 0x1f;
    } else if ((bytes[0] & 0xf0) == 0xe0) {
        wanted = 3;
        codepoint = bytes[0] & 0x0f;
    } else if ((bytes[0] & 0xf8) == 0xf0) {
        wanted = 4;
        codepoint = bytes[0] & 0x07;
    } else {
        return 0;
    }
    if (wanted > size)
        return 0;
    for (size_t i = 1; i < wanted; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        codepoint = codepoint << 6 | (bytes[i] & 0x3f);
    }
    if (codepoint < smallest[wanted] || codepoint > 0x10ffff ||
        (codepoint >= 0xd800 && codepoint <= 0xdfff))
        return 0;
    *ret_codepoint = codepoint;
    return wanted;
}

bool text_is_utf8(const char *text, size_t size)
{
    uint32_t codepoint;
    for (size_t at = 0; at < size;) {
        size_t step = text_utf8_size(text + at, size - at, &codepoint);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

/* Characters that change or hide what a reader sees around them. */
static bool is_deceptive(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad || c == 0x34f || c == 0x115f ||
           c == 0x1160 || c == 0x1680 || (c >= 0x17b4 && c <= 0x17b5) ||
           (c >= 0x180b && c <= 0x180f) || (c >= 0x2000 && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x2800 ||
           c == 0x3000 || c == 0x3164 || (c >= 0xe000 && c <= 0xf8ff) ||
           (c >= 0xfe00 && c <= 0xfe0f) || c == 0xffa0 || (c >= 0xfff0 && c <= 0xfffb) ||
           (c >= 0xfffe && c <= 0xffff) || c == 0x110bd || c == 0x110cd ||
           (c >= 0x13430 && c <= 0x1343f) || (c >= 0x1bca0 && c <= 0x1bca3) || c == 0x1d159 ||
           (c >= 0x1d173 && c <= 0x1d17a) || c >= 0x40000;
}

/* Scripts that run from right to left: terminals and browsers that know it reorder the digits,
 * quotes and spaces beside them (Unicode Standard Annex 9), so that two arguments change places.
 */
static bool is_right_to_left(uint32_t c)
{
    return (c >= 0x590 && c <= 0x8ff) || (c >= 0xfb1d && c <= 0xfdff) ||
           (c >= 0xfe70 && c <= 0xfeff) || (c >= 0x10800 && c <= 0x10fff) ||
           (c >= 0x1e800 && c <= 0x1efff);
}

static bool is_mark(uint32_t c)
{
    size_t low = 0, high = ARRAY_SIZE(text_marks);

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > text_marks[middle].last)
            low = middle + 1;
        else if (c < text_marks[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

/* Marks that strike a character through or enclose it make another one of it. */
static bool is_overlay(uint32_t c)
{
    return (c >= 0x334 && c <= 0x338) || (c >= 0x20d0 && c <= 0x20ff) || c == 0x488 || c == 0x489 ||
           (c >= 0xa670 && c <= 0xa672);
}

/* The most marks that one letter keeps: more climb over the lines above. */
#define MARKS_MAX 2u

/* Whether `c` may be shown as it is. `*room`: how many marks may follow what was shown last. */
static bool is_shown(uint32_t c, unsigned *room)
{
    bool letter = c >= 0x80 || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'), shown;

    if (c >= 0x80 && is_mark(c)) {
        shown = *room > 0 && !is_overlay(c) && !is_deceptive(c);
        *room = shown ? *room - 1 : 0;
        return shown;
    }
    /* The mark of a fold is ours alone. */
    shown = !is_deceptive(c) && !is_right_to_left(c) && c != 0x2026;
    *room = shown && letter ? MARKS_MAX : 0;
    return shown;
}

static void put_escape(Buffer *buffer, uint32_t c)
{
    switch (c) {
    case '\n':
        buffer_puts(buffer, "\\n");
        return;
    case '\t':
        buffer_puts(buffer, "\\t");
        return;
    case '\r':
        buffer_puts(buffer, "\\r");
        return;
    default:
        buffer_printf(buffer, c < 0x80 ? "\\x%02x" : "\\u{%x}", c);
    }
}

typedef enum Form {
    FORM_RAW,     /* a backslash is escaped: what looks like an escape is one */
    FORM_QUOTED,  /* the quote as well */
    FORM_ALREADY, /* in display form: backslashes and folds stay */
} Form;

static void display(Buffer *buffer, const char *text, size_t size, size_t most, Form form)
{
    /* Not by `size`: an append may move what is unconsumed to the front. */
    size_t begun = buffer_size(buffer);
    unsigned marks = 0;

    for (size_t at = 0; at < size;) {
        uint32_t codepoint;
        if (most > 0 && buffer_size(buffer) - begun >= most && size - at > 16) {
            buffer_printf(buffer, "…(+%zu bytes)", size - at);
            return;
        }
        size_t step = text_utf8_size(text + at, size - at, &codepoint);
        if (step == 0) {
            buffer_printf(buffer, "\\x%02x", (unsigned char)text[at]);
            step = 1;
            marks = 0;
        } else if (!is_shown(codepoint, &marks) && !(form == FORM_ALREADY && codepoint == 0x2026)) {
            put_escape(buffer, codepoint);
        } else {
            if ((form != FORM_ALREADY && codepoint == '\\') ||
                (form == FORM_QUOTED && codepoint == '\''))
                buffer_put_u8(buffer, '\\');
            buffer_put(buffer, text + at, step);
        }
        at += step;
    }
}

void text_display(Buffer *buffer, const char *text, size_t size, size_t most)
{
    display(buffer, text, size, most, FORM_RAW);
}

void text_display_again(Buffer *buffer, const char *text, size_t size, size_t most)
{
    display(buffer, text, size, most, FORM_ALREADY);
}

void text_display_argument(Buffer *buffer, const char *argument, size_t most)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_^~";
    size_t size = strlen(argument);
    bool quote = size == 0 || strspn(argument, plain) != size;

    if (quote)
        buffer_put_u8(buffer, '\'');
    display(buffer, argument, size, most, quote ? FORM_QUOTED : FORM_RAW);
    if (quote)
        buffer_put_u8(buffer, '\'');
}

void text_display_argv(Buffer *buffer, const char *const *argv, size_t argc, size_t most)
{
    size_t begun = buffer_size(buffer);

    for (size_t i = 0; i < argc; i++) {
        size_t used = buffer_size(buffer) - begun;
        if (most > 0 && used >= most) {
            buffer_printf(buffer, " …(+%zu arguments)", argc - i);
            return;
        }
        if (i > 0)
            buffer_put_u8(buffer, ' ');
        text_display_argument(buffer, argv[i], most > 0 ? most - used : 0);
    }
}

static void put_base64(Buffer *buffer, const char *text, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)text;

    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        uint32_t group = (uint32_t)bytes[at] << 16;
        if (left > 1)
            group |= (uint32_t)bytes[at + 1] << 8;
        if (left > 2)
            group |= bytes[at + 2];
        char out[4] = {digits[group >> 18], digits[group >> 12 & 63],
                       left > 1 ? digits[group >> 6 & 63] : '=',
                       left > 2 ? digits[group & 63] : '='};
        buffer_put(buffer, out, sizeof out);
    }
}

void json_put_string(Buffer *buffer, const char *text, size_t size)
{
    if (!text_is_utf8(text, size)) {
        buffer_puts(buffer, "{\"base64\":\"");
        put_base64(buffer, text, size);
        buffer_puts(buffer, "\"}");
        return;
    }
    buffer_put_u8(buffer, '"');
    size_t begun = 0;
    for (size_t at = 0; at < size; at++) {
        unsigned char c = (unsigned char)text[at];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buffer_put(buffer, text + begun, at - begun);
        begun = at + 1;
        if (c == '"' || c == '\\') {
            char escaped[2] = {'\\', (char)c};
            buffer_put(buffer, escaped, sizeof escaped);
        } else {
            buffer_printf(buffer, "\\u%04x", c);
        }
    }
    buffer_put(buffer, text + begun, size - begun);
    buffer_put_u8(buffer, '"');
}

void json_put_cstring(Buffer *buffer, const char *text)
{
    json_put_string(buffer, text, strlen(text));
}

void json_put_name(Buffer *buffer, const char *name)
{
    if (buffer_size(buffer) > 0) {
        char last = buffer->bytes[buffer->size - 1];
        if (last != '{' && last != '[')
            buffer_put_u8(buffer, ',');
    }
    buffer_put_u8(buffer, '"');
    buffer_puts(buffer, name);
    buffer_puts(buffer, "\":");
}

void json_put_member(Buffer *buffer, const char *name, const char *text)
{
    json_put_name(buffer, name);
    json_put_cstring(buffer, text);
}

/* Decimal digits without stdio: the journal's hot path. */
static void put_u64(Buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buffer_put(buffer, digits + at, sizeof digits - at);
}

void json_put_member_u64(Buffer *buffer, const char *name, uint64_t value)
{
    json_put_name(buffer, name);
    put_u64(buffer, value);
}

void json_put_member_i64(Buffer *buffer, const char *name, int64_t value)
{
    json_put_name(buffer, name);
    if (value < 0)
        buffer_put_u8(buffer, '-');
    put_u64(buffer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_put_member_bool(Buffer *buffer, const char *name, bool value)
{
    json_put_name(buffer, name);
    buffer_puts(buffer, value ? "true" : "false");
}

void json_put_member_argv(Buffer *buffer, const char *name, const char *const *argv, size_t argc)
{
    json_put_name(buffer, name);
    buffer_put_u8(buffer, '[');
    for (size_t i = 0; i < argc; i++) {
        if (i > 0)
            buffer_put_u8(buffer, ',');
        json_put_cstring(buffer, argv[i]);
    }
    buffer_put_u8(buffer, ']');
}

bool text_is_formula(const char *text, size_t size)
{
    static const char *const starts[] = {"=",  "+",  "-",  "@",  "\t", "\r",
                                         "\n", "＝", "＋", "－", "＠"};

    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        size_t length = strlen(starts[i]);
        if (size >= length && memcmp(text, starts[i], length) == 0)
            return true;
    }
    return false;
}
