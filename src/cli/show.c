/*
 * See show.h.
 */
#include "cli/show.h"

#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

char *show_bytes(const json_t *value, size_t *ret_size)
{
    if (json_is_string(value)) {
        size_t size = json_string_length(value);
        char *copy = malloc(size + 1);
        if (!copy)
            return NULL;
        memcpy(copy, json_string_value(value), size);
        copy[size] = '\0';
        *ret_size = size;
        return copy;
    }
    const json_t *encoded = json_object_get(value, "base64");
    if (!json_is_string(encoded))
        return NULL;

    size_t size = json_string_length(encoded);
    char *bytes = malloc(size + 1);
    if (!bytes)
        return NULL;
    if (sodium_base642bin((unsigned char *)bytes, size, json_string_value(encoded), size, NULL,
                          ret_size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        free(bytes);
        return NULL;
    }
    bytes[*ret_size] = '\0';
    return bytes;
}

void show_member(Buffer *out, const json_t *object, const char *name, size_t most)
{
    size_t size = 0;
    _cleanup_free_ char *bytes = show_bytes(json_object_get(object, name), &size);
    if (bytes)
        text_display(out, bytes, size, most);
}

void show_text(Buffer *out, const char *text, size_t most)
{
    text_display(out, text, strlen(text), most);
}

void show_words(Buffer *out, const json_t *object, const char *name, size_t most)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_string(value))
        text_display_again(out, json_string_value(value), json_string_length(value), most);
    else
        show_member(out, object, name, most);
}

void show_argv(Buffer *out, const json_t *argv, size_t most)
{
    size_t count = json_array_size(argv);
    const char **arguments = calloc(count + 1, sizeof *arguments);

    for (size_t i = 0; arguments && i < count; i++) {
        size_t size;
        arguments[i] = show_bytes(json_array_get(argv, i), &size);
        if (!arguments[i])
            arguments[i] = strdup("?");
    }
    if (arguments)
        text_display_argv(out, arguments, count, most);
    for (size_t i = 0; arguments && i < count; i++)
        free((void *)arguments[i]);
    free(arguments);
}

unsigned long long show_number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (unsigned long long)value : 0;
}

void show_list(Buffer *out, const json_t *list, size_t most)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t size = 0;
        _cleanup_free_ char *bytes = show_bytes(json_array_get(list, i), &size);
        buffer_puts(out, i > 0 ? ", " : "");
        text_display(out, bytes ? bytes : "?", bytes ? size : 1, most);
    }
}

void show_count(Buffer *out, unsigned long long count, const char *what)
{
    buffer_printf(out, "%llu %s%s", count, what, count == 1 ? "" : "s");
}

void show_duration(Buffer *out, unsigned long long milliseconds)
{
    char text[CLOCK_TEXT_MAX];
    /* Whole seconds are enough for a human once there are a few. */
    if (milliseconds >= 10000)
        milliseconds -= milliseconds % 1000;
    buffer_puts(out, clock_format_duration(milliseconds, text));
}

void show_uid(Buffer *out, unsigned long long uid)
{
    const struct passwd *entry = getpwuid((uid_t)uid);

    buffer_printf(out, "%llu", uid);
    if (!entry)
        return;
    buffer_puts(out, " (");
    text_display(out, entry->pw_name, strlen(entry->pw_name), 64);
    buffer_puts(out, ")");
}

void show_stop(Buffer *out, const json_t *entry)
{
    const char *state = json_string_value(json_object_get(entry, "state"));
    const char *reason = json_string_value(json_object_get(entry, "reason"));

    if (!state)
        return;
    buffer_puts(out, strcmp(state, "killed") == 0 ? ", KILLED by " : ", PAUSED by ");
    show_member(out, entry, "by", 100);
    buffer_puts(out, " through ");
    show_member(out, entry, "via", 40);
    if (reason && *reason) {
        buffer_puts(out, " (");
        show_member(out, entry, "reason", 300);
        buffer_puts(out, ")");
    }
    buffer_puts(out, ": commands are refused until ");
    if (json_is_string(json_object_get(entry, "until")))
        show_member(out, entry, "until", 40);
    else
        buffer_puts(out, "`resume`");
}

void show_print(Buffer *out)
{
    if (out->error)
        (void)fputs("clawrden-cli: out of memory\n", stderr);
    else
        (void)fwrite(buffer_head(out), 1, buffer_size(out), stdout);
    buffer_done(out);
}

char *show_dump(const json_t *document, size_t flags)
{
    _cleanup_free_ char *text = json_dumps(document, flags | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    Buffer out = BUFFER_EMPTY((size_t)1 << 30);

    if (!text)
        return NULL;
    /* What jansson leaves: DEL, which can only stand in a string. */
    for (char *rest = text, *part; (part = strsep(&rest, "\x7f"));) {
        buffer_puts(&out, part);
        buffer_puts(&out, rest ? "\\u007f" : "");
    }
    return buffer_take_string(&out);
}

void show_json(const json_t *document)
{
    _cleanup_free_ char *text = show_dump(document, JSON_INDENT(2));
    (void)puts(text ? text : "");
    if (!text)
        (void)fputs("clawrden-cli: out of memory\n", stderr);
}
