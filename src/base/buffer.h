/*
 * One growing byte buffer with a limit, and one bounded reader for hostile bytes.
 *
 * Buffer: appends fail with a sticky -ENOBUFS (limit) or -ENOMEM; check `error` once at the end.
 * Reader: every getter returns a zero value after the first overrun and sets `failed`; a decoder
 * reads all its fields and then asks reader_done(), which is true only when the size matched
 * exactly. Integers are little-endian on the wire.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Buffer {
    char *bytes;     /* owned */
    size_t size;     /* bytes in use */
    size_t start;    /* bytes already consumed at the front */
    size_t capacity; /* bytes allocated */
    size_t limit;    /* the most that size - start may become */
    int error;       /* 0, or the first -errno */
} Buffer;

#define BUFFER_EMPTY(limit_) ((Buffer){.limit = (limit_)})

/* Releases the memory; the buffer is empty and usable again with the same limit. */
void buffer_done(Buffer *buffer);
void buffer_clear(Buffer *buffer);

/* Unconsumed bytes. */
static inline size_t buffer_size(const Buffer *buffer)
{
    return buffer->size - buffer->start;
}
static inline const char *buffer_head(const Buffer *buffer)
{
    return buffer->bytes ? buffer->bytes + buffer->start : "";
}

/* Room for `size` more bytes at the tail, or NULL (sticky error). Add what was used to `size`
 * with buffer_grow(). */
char *buffer_reserve(Buffer *buffer, size_t size);
void buffer_grow(Buffer *buffer, size_t size);
void buffer_consume(Buffer *buffer, size_t size);

void buffer_put(Buffer *buffer, const void *bytes, size_t size);
void buffer_put_u8(Buffer *buffer, uint8_t value);
void buffer_put_u16(Buffer *buffer, uint16_t value);
void buffer_put_u32(Buffer *buffer, uint32_t value);
void buffer_put_u64(Buffer *buffer, uint64_t value);
/* A u32 length, the bytes, and a NUL that the length does not count. NULL is sent as "". */
void buffer_put_string(Buffer *buffer, const char *string);
/* `count` of them, with their number. */
void buffer_put_strings(Buffer *buffer, const char *const *strings, size_t count);
void buffer_put_blob(Buffer *buffer, const void *bytes, size_t size);
/* Text without a terminator. */
void buffer_puts(Buffer *buffer, const char *text);
void buffer_printf(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The contents as a NUL-terminated string that the caller frees; the buffer is empty then.
 * NULL if the buffer has failed. */
char *buffer_take_string(Buffer *buffer);

typedef struct Reader {
    const char *next;
    size_t left;
    bool failed;
} Reader;

static inline Reader reader_of(const void *bytes, size_t size)
{
    return (Reader){.next = bytes, .left = size};
}

uint8_t reader_u8(Reader *reader);
uint16_t reader_u16(Reader *reader);
uint32_t reader_u32(Reader *reader);
uint64_t reader_u64(Reader *reader);
/* `size` bytes inside the input, or NULL. */
const char *reader_bytes(Reader *reader, size_t size);
/* What buffer_put_string wrote: NUL-terminated, without inner NULs; points into the input. Never
 * NULL: "" on failure. */
const char *reader_string(Reader *reader);
/* What buffer_put_strings wrote: an array that the caller frees, with a NULL at its end. NULL on
 * failure, and without memory. */
const char **reader_strings(Reader *reader, size_t *ret_count);
/* What buffer_put_blob wrote (it may hold NULs). */
const char *reader_blob(Reader *reader, size_t *ret_size);
/* A NUL-terminated string that stands in the input without a length. */
const char *reader_cstring(Reader *reader);

/* True when nothing failed and nothing is left over. */
static inline bool reader_done(const Reader *reader)
{
    return !reader->failed && reader->left == 0;
}
