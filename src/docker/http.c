/*
 * See http.h.
 */
#include "docker/http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define CHUNK_LINE_MAX 256u
#define TRAILERS_MAX 64u

typedef struct Field {
    const char *name, *value;
    size_t name_size, value_size;
} Field;

static bool is_token(const char *text, size_t size)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0' || !strchr(allowed, text[i]))
            return false;
    return size > 0;
}

/* "Name: value" without its line's end. */
static bool parse_field(const char *line, size_t size, Field *ret)
{
    const char *colon = memchr(line, ':', size);

    if (!colon || !is_token(line, (size_t)(colon - line)) || memchr(line, '\0', size) ||
        memchr(line, '\r', size) || memchr(line, '\n', size))
        return false;
    const char *value = colon + 1, *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret = (Field){line, value, (size_t)(colon - line), (size_t)(end - value)};
    return true;
}

static bool is_named(const Field *field, const char *name)
{
    return field->name_size == strlen(name) &&
           strncasecmp(field->name, name, field->name_size) == 0;
}

static bool parse_digits(const char *text, size_t size, unsigned base, uint64_t *ret)
{
    uint64_t value = 0;

    if (size == 0 || size > 15) /* far more than fits anywhere, and no overflow */
        return false;
    for (size_t i = 0; i < size; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = memchr(digits, text[i] | (text[i] >= 'A' ? 0x20 : 0), base);
        if (!at)
            return false;
        value = value * base + (uint64_t)(at - digits);
    }
    *ret = value;
    return true;
}

static bool parse_status(const char *line, size_t size, unsigned *ret)
{
    uint64_t status;

    if (size < 12 || (memcmp(line, "HTTP/1.1 ", 9) != 0 && memcmp(line, "HTTP/1.0 ", 9) != 0) ||
        (size > 12 && line[12] != ' ') || !parse_digits(line + 9, 3, 10, &status) || status < 100 ||
        status > 599)
        return false;
    *ret = (unsigned)status;
    return true;
}

/* How the body is delimited, from the fields of a whole head. */
static int read_framing(HttpReader *reader, const char *head, const char *end)
{
    bool has_length = false, is_chunked = false;
    uint64_t length = 0;

    for (const char *line = head, *eol; line < end; line = eol + 2) {
        Field field;
        eol = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (!eol || !parse_field(line, (size_t)(eol - line), &field))
            return -EPROTO;
        if (is_named(&field, "content-length")) {
            if (has_length || !parse_digits(field.value, field.value_size, 10, &length))
                return -EPROTO;
            has_length = true;
        }
        if (is_named(&field, "transfer-encoding")) {
            if (is_chunked || field.value_size != 7 || strncasecmp(field.value, "chunked", 7) != 0)
                return -EPROTO;
            is_chunked = true;
        }
    }
    if (has_length && is_chunked)
        return -EPROTO;
    reader->left = length;
    if (is_chunked)
        reader->state = HTTP_STATE_CHUNK_SIZE;
    else if (has_length)
        reader->state = length > 0 ? HTTP_STATE_BODY : HTTP_STATE_DONE;
    else
        reader->state = HTTP_STATE_TO_THE_END;
    if (reader->status == 204 || reader->status == 304)
        reader->state = HTTP_STATE_DONE;
    return 0;
}

/* A head with its empty line is in `line`. */
static int take_head(HttpReader *reader)
{
    const char *head = buffer_head(&reader->line);
    const char *end = head + buffer_size(&reader->line) - 2;
    const char *eol = memmem(head, (size_t)(end - head), "\r\n", 2);

    if (!eol || !parse_status(head, (size_t)(eol - head), &reader->status))
        return -EPROTO;
    int result = read_framing(reader, eol + 2, end);
    buffer_clear(&reader->line);
    if (result == 0 && reader->status < 200 && reader->status != 101) {
        reader->status = 0;
        reader->state = HTTP_STATE_HEAD;
    }
    return result;
}

/* Adds what belongs to the head. 1: it is whole. */
static int feed_head(HttpReader *reader, const char *bytes, size_t size, size_t *ret_used)
{
    for (size_t i = 0; i < size; i++) {
        buffer_put_u8(&reader->line, (uint8_t)bytes[i]);
        *ret_used = i + 1;
        if (reader->line.error)
            return -EFBIG;
        size_t so_far = buffer_size(&reader->line);
        if (bytes[i] == '\n' && so_far >= 4 &&
            memcmp(buffer_head(&reader->line) + so_far - 4, "\r\n\r\n", 4) == 0)
            return 1;
    }
    return 0;
}

/* Adds up to a line feed. 1: the line is whole, without its end; it must end as lines do. */
static int feed_line(HttpReader *reader, const char *bytes, size_t size, size_t *ret_used)
{
    const char *feed = memchr(bytes, '\n', size);
    size_t part = feed ? (size_t)(feed - bytes) + 1 : size;

    *ret_used = part;
    if (buffer_size(&reader->line) + part > CHUNK_LINE_MAX)
        return -EPROTO;
    buffer_put(&reader->line, bytes, part);
    if (reader->line.error)
        return reader->line.error;
    if (!feed)
        return 0;
    size_t whole = buffer_size(&reader->line);
    if (whole < 2 || buffer_head(&reader->line)[whole - 2] != '\r')
        return -EPROTO;
    reader->line.size -= 2;
    return 1;
}

static int take_line(HttpReader *reader)
{
    const char *line = buffer_head(&reader->line);
    size_t size = buffer_size(&reader->line);
    const char *extension = memchr(line, ';', size);
    Field field;
    int result = 0;

    switch (reader->state) {
    case HTTP_STATE_CHUNK_SIZE:
        if (!parse_digits(line, extension ? (size_t)(extension - line) : size, 16, &reader->left))
            result = -EPROTO;
        reader->state = reader->left > 0 ? HTTP_STATE_CHUNK : HTTP_STATE_TRAILER;
        break;
    case HTTP_STATE_CHUNK_END:
        if (size > 0)
            result = -EPROTO;
        reader->state = HTTP_STATE_CHUNK_SIZE;
        break;
    case HTTP_STATE_TRAILER:
        if (size == 0)
            reader->state = HTTP_STATE_DONE;
        else if (++reader->n_trailers > TRAILERS_MAX || !parse_field(line, size, &field))
            result = -EPROTO;
        break;
    case HTTP_STATE_HEAD:
    case HTTP_STATE_BODY:
    case HTTP_STATE_TO_THE_END:
    case HTTP_STATE_CHUNK:
    case HTTP_STATE_DONE:
    default:
        result = -EPROTO;
    }
    buffer_clear(&reader->line);
    return result;
}

static int feed_body(HttpReader *reader, const char *bytes, size_t size, Buffer *body,
                     size_t *ret_used)
{
    bool counted = reader->state != HTTP_STATE_TO_THE_END;
    size_t part = counted && reader->left < size ? (size_t)reader->left : size;

    *ret_used = part;
    buffer_put(body, bytes, part);
    if (body->error)
        return body->error == -ENOBUFS ? -EFBIG : body->error;
    if (counted)
        reader->left -= part;
    if (counted && reader->left == 0)
        reader->state = reader->state == HTTP_STATE_CHUNK ? HTTP_STATE_CHUNK_END : HTTP_STATE_DONE;
    return 0;
}

/* One step. */
static int feed_some(HttpReader *reader, const char *bytes, size_t size, Buffer *body,
                     size_t *ret_used)
{
    int whole;

    switch (reader->state) {
    case HTTP_STATE_HEAD:
        whole = feed_head(reader, bytes, size, ret_used);
        return whole == 1 ? take_head(reader) : whole;
    case HTTP_STATE_BODY:
    case HTTP_STATE_TO_THE_END:
    case HTTP_STATE_CHUNK:
        return feed_body(reader, bytes, size, body, ret_used);
    case HTTP_STATE_CHUNK_SIZE:
    case HTTP_STATE_CHUNK_END:
    case HTTP_STATE_TRAILER:
        whole = feed_line(reader, bytes, size, ret_used);
        return whole == 1 ? take_line(reader) : whole;
    case HTTP_STATE_DONE:
    default:
        return -EPROTO;
    }
}

int http_reader_feed(HttpReader *reader, const char *bytes, size_t size, bool head_only,
                     Buffer *body, size_t *ret_used)
{
    int result = 0;

    *ret_used = 0;
    while (result == 0 && *ret_used < size && reader->state != HTTP_STATE_DONE &&
           (!head_only || reader->state == HTTP_STATE_HEAD)) {
        size_t used = 0;
        result = feed_some(reader, bytes + *ret_used, size - *ret_used, body, &used);
        *ret_used += used;
    }
    return result;
}

int http_reader_end(const HttpReader *reader)
{
    return reader->state == HTTP_STATE_DONE || reader->state == HTTP_STATE_TO_THE_END ? 0
                                                                                      : -ECONNRESET;
}

void http_reader_done(HttpReader *reader)
{
    buffer_done(&reader->line);
}
