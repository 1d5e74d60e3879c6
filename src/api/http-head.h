/*
 * The head of an HTTP/1.1 request (RFC 9112), read strictly: the first thing that a client's bytes
 * meet. It is a pure function over bytes, fuzzed (tests/fuzz/fuzz-http-head.c).
 *
 * Request smuggling needs two readers that disagree about where a request ends. Here there is one,
 * and whatever leaves room for a second opinion is refused: bare CR or LF, control characters,
 * folded lines, space before a colon, Transfer-Encoding of any kind, a repeated Host or
 * Content-Length (or any other field that the api reads), a body on a method that has none,
 * targets that are not a plain path. libevent's evhttp accepts most of these, and cannot stand
 * behind a filter that refuses them: with a filtering bufferevent it closes before its last answer
 * has left (2.1.12).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HTTP_HEAD_MAX 8192u  /* bytes, with the empty line */
#define HTTP_BODY_MAX 65536u /* bytes */
#define HTTP_FIELDS_MAX 64u  /* header lines */

typedef enum HttpMethod {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_MAX_,
} HttpMethod;

const char *http_method_name(HttpMethod method);

/* The fields that the api reads. Others are checked for form and forgotten. */
typedef enum HttpField {
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_USER_AGENT,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_COOKIE,
    HTTP_FIELD_ORIGIN,
    HTTP_FIELD_LAST_EVENT_ID,
    HTTP_FIELD_SEC_FETCH_SITE,
    HTTP_FIELD_CSRF,
    HTTP_FIELD_IF_NONE_MATCH,
    HTTP_FIELD_MAX_,
} HttpField;

typedef struct HttpHead {
    char *text; /* owned; everything below points into it */
    HttpMethod method;
    const char *path;                    /* begins with '/', as sent: nothing is decoded */
    const char *query;                   /* what follows '?', or NULL */
    const char *fields[HTTP_FIELD_MAX_]; /* values without surrounding space, or NULL */
    size_t length;                       /* of the body that follows */
    bool close;                          /* the client wants no further request answered */
    bool old;                            /* HTTP/1.0: it knows no chunks */
    bool expects_continue;               /* it waits for "100 Continue" before the body */
} HttpHead;

/* Why a request is refused before anybody looks at what it asks. Static. */
typedef struct HttpFault {
    unsigned status;   /* of the answer */
    const char *code;  /* for programs, snake_case */
    const char *words; /* for humans */
} HttpFault;

/* Reads the head at the front of `bytes`. Returns its size; 0 when more bytes are needed (and what
 * is there is not refused yet); -EBADMSG with *ret_fault set; -ENOMEM. After a positive return the
 * caller releases `ret` with http_head_done(). */
ssize_t http_head_parse(const char *bytes, size_t size, HttpHead *ret, const HttpFault **ret_fault);
void http_head_done(HttpHead *head);
