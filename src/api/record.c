/*
 * See record.h.
 */
#include "api/record.h"

#include <errno.h>
#include <string.h>

/* Behind the string that begins at `at` (its quote), or NULL. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

/* Behind the value that begins at `at`, or NULL. */
static const char *skip_value(const char *at, const char *end)
{
    unsigned depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (!at)
                return NULL;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0)
                return at; /* of the object around it */
            depth--;
            at++;
        } else if (*at == ',' && depth == 0) {
            return at;
        } else {
            at++;
        }
        if (depth == 0 && at < end && (*at == ',' || *at == '}'))
            return at;
    }
    return NULL;
}

static Slice unquoted(Slice value)
{
    if (value.size >= 2 && value.bytes[0] == '"')
        return (Slice){value.bytes + 1, value.size - 2};
    return (Slice){NULL, 0};
}

static uint64_t number(Slice value)
{
    uint64_t result = 0;

    if (value.size == 0 || value.size > 19)
        return 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return 0;
        result = result * 10 + (uint64_t)(value.bytes[i] - '0');
    }
    return result;
}

static void take_member(Slice name, Slice value, const char *line, RecordView *ret)
{
    if (slice_is(name, "seq"))
        ret->seq = number(value);
    else if (slice_is(name, "ts"))
        ret->ts = unquoted(value);
    else if (slice_is(name, "event"))
        ret->event = unquoted(value);
    else if (slice_is(name, "jail"))
        ret->jail = unquoted(value);
    else if (slice_is(name, "command"))
        ret->command = value;
    else if (slice_is(name, "prev"))
        ret->searched = (size_t)(name.bytes - line);
}

int record_view(const char *line, size_t size, RecordView *ret)
{
    const char *at = line, *end = line + size;

    *ret = (RecordView){.searched = size};
    if (size < 2 || line[0] != '{' || line[size - 1] != '}')
        return -EBADMSG;
    for (at++; at < end && *at != '}'; at += at < end && *at == ',') {
        const char *name = at, *name_end = *at == '"' ? skip_string(at, end) : NULL;
        if (!name_end || name_end >= end || *name_end != ':')
            return -EBADMSG;
        const char *value = name_end + 1;
        at = skip_value(value, end);
        if (!at || at == value)
            return -EBADMSG;
        take_member((Slice){name + 1, (size_t)(name_end - name) - 2},
                    (Slice){value, (size_t)(at - value)}, line, ret);
    }
    return ret->seq > 0 && ret->ts.bytes && ret->event.bytes && at == end - 1 ? 0 : -EBADMSG;
}

bool slice_is(Slice slice, const char *text)
{
    return slice.bytes && strlen(text) == slice.size && memcmp(slice.bytes, text, slice.size) == 0;
}

int slice_compare(Slice slice, const char *text)
{
    size_t size = strlen(text), common = slice.size < size ? slice.size : size;
    int result = common > 0 ? memcmp(slice.bytes, text, common) : 0;

    if (result != 0 || slice.size == size)
        return result;
    return slice.size < size ? -1 : 1;
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool slice_has_word(Slice slice, const char *word)
{
    size_t size = strlen(word);

    for (size_t i = 0; i + size <= slice.size; i++) {
        size_t same = 0;
        while (same < size && lower(slice.bytes[i + same]) == lower(word[same]))
            same++;
        if (same == size)
            return true;
    }
    return false;
}
