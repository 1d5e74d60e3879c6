/*
 * The engine's answers as HTTP/1.1 (RFC 9112), read strictly: a pure function over bytes, fuzzed
 * (tests/fuzz/fuzz-docker.c).
 *
 * Of our own because nothing else takes a connection that is there already: libcurl 7.88 connects
 * it once more, CURL_SOCKOPT_ALREADY_CONNECTED or not, and libevent's evhttp closes it first. What
 * leaves room for two opinions about an answer's end is refused: two lengths, a length and chunks,
 * an encoding that is not "chunked", folded lines, bare line feeds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#define HTTP_ANSWER_HEAD_MAX 16384u

typedef enum HttpState {
    HTTP_STATE_HEAD,
    HTTP_STATE_BODY,       /* `left` bytes */
    HTTP_STATE_TO_THE_END, /* of the connection */
    HTTP_STATE_CHUNK_SIZE,
    HTTP_STATE_CHUNK,     /* `left` bytes */
    HTTP_STATE_CHUNK_END, /* the line's end behind it */
    HTTP_STATE_TRAILER,
    HTTP_STATE_DONE,
} HttpState;

typedef struct HttpReader {
    HttpState state;
    unsigned status; /* once the head has been read */
    uint64_t left;
    size_t n_trailers;
    Buffer line; /* the head, or a line of the chunks, as far as it has come */
} HttpReader;

#define HTTP_READER_EMPTY ((HttpReader){.line = BUFFER_EMPTY(HTTP_ANSWER_HEAD_MAX)})

/* Reads on; a body's bytes are appended to `body` as they come. Interim answers (1xx but 101) are
 * passed over. Stops behind the head where `head_only` (then state says what would follow), at the
 * answer's end, and when the bytes are used up. `ret_used`: how many were. 0, -EPROTO, or -EFBIG
 * for a head or a body that is too large. */
int http_reader_feed(HttpReader *reader, const char *bytes, size_t size, bool head_only,
                     Buffer *body, size_t *ret_used);
/* The connection has ended. 0 when the answer is whole, else -ECONNRESET. */
int http_reader_end(const HttpReader *reader);
void http_reader_done(HttpReader *reader);
