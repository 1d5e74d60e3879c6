/*
 * See buffer.h.
 */
#include "base/buffer.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_done(Buffer *buffer)
{
    free(buffer->bytes);
    *buffer = BUFFER_EMPTY(buffer->limit);
}

void buffer_clear(Buffer *buffer)
{
    buffer->size = buffer->start = 0;
    buffer->error = 0;
}

char *buffer_reserve(Buffer *buffer, size_t size)
{
    if (buffer->error < 0)
        return NULL;
    size_t used = buffer_size(buffer);
    if (size > buffer->limit || used > buffer->limit - size) {
        buffer->error = -ENOBUFS;
        return NULL;
    }
    if (buffer->capacity - buffer->size >= size && buffer->bytes)
        return buffer->bytes + buffer->size;
    if (buffer->bytes && buffer->start > 0) { /* make room at the front first */
        memmove(buffer->bytes, buffer->bytes + buffer->start, used);
        buffer->start = 0;
        buffer->size = used;
        if (buffer->capacity - used >= size)
            return buffer->bytes + used;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < used + size)
        capacity *= 2;
    char *larger = realloc(buffer->bytes, capacity);
    if (!larger) {
        buffer->error = -ENOMEM;
        return NULL;
    }
    buffer->bytes = larger;
    buffer->capacity = capacity;
    return larger + used;
}

void buffer_grow(Buffer *buffer, size_t size)
{
    buffer->size += size;
}

void buffer_consume(Buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start == buffer->size)
        buffer->start = buffer->size = 0;
}

void buffer_put(Buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    char *room = buffer_reserve(buffer, size);
    if (!room)
        return;
    memcpy(room, bytes, size);
    buffer->size += size;
}

void buffer_put_u8(Buffer *buffer, uint8_t value)
{
    buffer_put(buffer, &value, sizeof value);
}

void buffer_put_u16(Buffer *buffer, uint16_t value)
{
    uint16_t wire = htole16(value);
    buffer_put(buffer, &wire, sizeof wire);
}

void buffer_put_u32(Buffer *buffer, uint32_t value)
{
    uint32_t wire = htole32(value);
    buffer_put(buffer, &wire, sizeof wire);
}

void buffer_put_u64(Buffer *buffer, uint64_t value)
{
    uint64_t wire = htole64(value);
    buffer_put(buffer, &wire, sizeof wire);
}

void buffer_put_string(Buffer *buffer, const char *string)
{
    const char *text = string ? string : "";
    size_t size = strlen(text);
    buffer_put_u32(buffer, (uint32_t)size);
    buffer_put(buffer, text, size + 1);
}

void buffer_put_strings(Buffer *buffer, const char *const *strings, size_t count)
{
    buffer_put_u32(buffer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        buffer_put_string(buffer, strings[i]);
}

void buffer_put_blob(Buffer *buffer, const void *bytes, size_t size)
{
    buffer_put_u32(buffer, (uint32_t)size);
    buffer_put(buffer, bytes, size);
}

void buffer_puts(Buffer *buffer, const char *text)
{
    buffer_put(buffer, text, strlen(text));
}

void buffer_printf(Buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0) {
        buffer->error = -EINVAL;
        return;
    }
    char *room = buffer_reserve(buffer, (size_t)size + 1);
    if (!room)
        return;
    va_start(arguments, format);
    (void)vsnprintf(room, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
}

char *buffer_take_string(Buffer *buffer)
{
    char *room = buffer_reserve(buffer, 1);
    if (!room) {
        buffer_done(buffer);
        return NULL;
    }
    *room = '\0';
    if (buffer->start > 0)
        memmove(buffer->bytes, buffer->bytes + buffer->start, buffer_size(buffer) + 1);
    char *taken = buffer->bytes;
    *buffer = BUFFER_EMPTY(buffer->limit);
    return taken;
}

const char *reader_bytes(Reader *reader, size_t size)
{
    if (reader->failed || size > reader->left) {
        reader->failed = true;
        return NULL;
    }
    const char *bytes = reader->next;
    reader->next += size;
    reader->left -= size;
    return bytes;
}

uint8_t reader_u8(Reader *reader)
{
    const char *bytes = reader_bytes(reader, 1);
    return bytes ? (uint8_t)*bytes : 0;
}

uint16_t reader_u16(Reader *reader)
{
    uint16_t wire = 0;
    const char *bytes = reader_bytes(reader, sizeof wire);
    if (bytes)
        memcpy(&wire, bytes, sizeof wire);
    return le16toh(wire);
}

uint32_t reader_u32(Reader *reader)
{
    uint32_t wire = 0;
    const char *bytes = reader_bytes(reader, sizeof wire);
    if (bytes)
        memcpy(&wire, bytes, sizeof wire);
    return le32toh(wire);
}

uint64_t reader_u64(Reader *reader)
{
    uint64_t wire = 0;
    const char *bytes = reader_bytes(reader, sizeof wire);
    if (bytes)
        memcpy(&wire, bytes, sizeof wire);
    return le64toh(wire);
}

const char *reader_string(Reader *reader)
{
    size_t size = reader_u32(reader);
    const char *bytes = size < SIZE_MAX ? reader_bytes(reader, size + 1) : NULL;
    if (!bytes || bytes[size] != '\0' || memchr(bytes, '\0', size)) {
        reader->failed = true;
        return "";
    }
    return bytes;
}

const char *reader_blob(Reader *reader, size_t *ret_size)
{
    size_t size = reader_u32(reader);
    const char *bytes = reader_bytes(reader, size);
    *ret_size = bytes ? size : 0;
    return bytes ? bytes : "";
}

const char *reader_cstring(Reader *reader)
{
    /* memchr(3) must not get the NULL of an empty input, not even with a size of 0. */
    const char *end =
        reader->failed || reader->left == 0 ? NULL : memchr(reader->next, '\0', reader->left);
    if (!end) {
        reader->failed = true;
        return "";
    }
    return reader_bytes(reader, (size_t)(end - reader->next) + 1);
}

/* Each string takes at least five bytes, so what is allocated is in proportion to what was sent. */
const char **reader_strings(Reader *reader, size_t *ret_count)
{
    size_t count = reader_u32(reader);

    *ret_count = 0;
    if (count > reader->left / 5) {
        reader->failed = true;
        return NULL;
    }
    const char **strings = calloc(count + 1, sizeof *strings);
    if (!strings)
        return NULL;
    for (size_t i = 0; i < count; i++)
        strings[i] = reader_string(reader);
    *ret_count = count;
    return strings;
}
