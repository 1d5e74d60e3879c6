/*
 * See http-head.h. Two passes: scan() looks at every byte once and finds the end of the head;
 * after that the text is cut into lines in place and each line is judged. Section numbers are of
 * RFC 9112 (message syntax) and RFC 9110 (fields).
 */
#include "api/http-head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define DIGITS "0123456789"
#define HEX_DIGITS DIGITS "abcdefABCDEF"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
/* RFC 9110 5.6.2 */
#define TOKEN_CHARACTERS LETTERS DIGITS "!#$%&'*+-.^_`|~"
/* RFC 3986 3.3 and 3.4: pchar, "/", "?"; '%' is looked at by itself */
#define TARGET_CHARACTERS LETTERS DIGITS "-._~!$&'()*+,;=:@/?%"
#define HOST_CHARACTERS LETTERS DIGITS "-._:[]%"

static const HttpFault fault_bytes = {400, "bad_request", "control or non-ASCII bytes in the head"};
static const HttpFault fault_line_end = {400, "bad_request", "a line that does not end in CR LF"};
static const HttpFault fault_request_line = {400, "bad_request", "a malformed request line"};
static const HttpFault fault_target = {400, "bad_request", "the target is not a plain path"};
static const HttpFault fault_version = {505, "http_version", "only HTTP/1.1 is spoken here"};
static const HttpFault fault_method = {501, "unknown_method", "an unknown method"};
static const HttpFault fault_field = {400, "bad_request", "a malformed header line"};
static const HttpFault fault_host = {400, "bad_host", "exactly one well-formed Host is required"};
static const HttpFault fault_repeated = {400, "repeated_header", "a header stands there twice"};
static const HttpFault fault_length = {400, "bad_length", "a malformed Content-Length"};
static const HttpFault fault_encoding = {400, "transfer_encoding",
                                         "Transfer-Encoding is not accepted: send Content-Length"};
static const HttpFault fault_unwanted_body = {400, "unwanted_body", "this method has no body"};
static const HttpFault fault_expect = {417, "expectation", "only 100-continue can be expected"};
static const HttpFault fault_head_size = {431, "head_too_large", "the request's head is too large"};
static const HttpFault fault_body_size = {413, "body_too_large", "the request's body is too large"};

static const char *const method_names[HTTP_METHOD_MAX_] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS",
};

static const char *const field_names[HTTP_FIELD_MAX_] = {
    [HTTP_FIELD_HOST] = "Host",
    [HTTP_FIELD_CONTENT_LENGTH] = "Content-Length",
    [HTTP_FIELD_CONTENT_TYPE] = "Content-Type",
    [HTTP_FIELD_CONNECTION] = "Connection",
    [HTTP_FIELD_EXPECT] = "Expect",
    [HTTP_FIELD_USER_AGENT] = "User-Agent",
    [HTTP_FIELD_AUTHORIZATION] = "Authorization",
    [HTTP_FIELD_COOKIE] = "Cookie",
    [HTTP_FIELD_ORIGIN] = "Origin",
    [HTTP_FIELD_LAST_EVENT_ID] = "Last-Event-ID",
    [HTTP_FIELD_SEC_FETCH_SITE] = "Sec-Fetch-Site",
    [HTTP_FIELD_CSRF] = "X-Clawrden-CSRF",
    [HTTP_FIELD_IF_NONE_MATCH] = "If-None-Match",
};

const char *http_method_name(HttpMethod method)
{
    return method < HTTP_METHOD_MAX_ ? method_names[method] : "?";
}

/* The size of the head, 0 when its end has not come yet, or a fault. */
static size_t scan(const char *bytes, size_t size, const HttpFault **ret_fault)
{
    size_t most = size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX;
    size_t line = 0; /* where the current one begins */

    for (size_t i = 0; i < most; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n') {
            if (i == line || bytes[i - 1] != '\r') {
                *ret_fault = &fault_line_end;
                return 0;
            }
            if (i == line + 1) { /* an empty line */
                if (line == 0)
                    *ret_fault = &fault_request_line;
                return line == 0 ? 0 : i + 1;
            }
            line = i + 1;
        } else if (i > line && bytes[i - 1] == '\r') {
            *ret_fault = &fault_line_end;
            return 0;
        } else if ((c < 0x20 && c != '\r' && c != '\t') || c >= 0x7f) {
            *ret_fault = &fault_bytes;
            return 0;
        }
    }
    if (most == HTTP_HEAD_MAX)
        *ret_fault = &fault_head_size;
    return 0;
}

/* "METHOD SP target SP version" (section 3). */
static const HttpFault *parse_request_line(HttpHead *head, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || strspn(line, TOKEN_CHARACTERS) != (size_t)(target - line) || target == line)
        return &fault_request_line;
    *target++ = '\0';
    *version++ = '\0';

    if (strcmp(version, "HTTP/1.0") == 0)
        head->close = head->old = true;
    else if (strlen(version) == 8 && strncmp(version, "HTTP/", 5) == 0 && version[6] == '.' &&
             strcmp(version, "HTTP/1.1") != 0)
        return &fault_version;
    else if (strcmp(version, "HTTP/1.1") != 0)
        return &fault_request_line;

    if (target[0] != '/' || strspn(target, TARGET_CHARACTERS) != strlen(target))
        return &fault_target;
    for (const char *at = target; (at = strchr(at, '%')); at++) {
        if (strspn(at + 1, HEX_DIGITS) < 2)
            return &fault_target;
    }
    head->path = target;
    char *query = strchr(target, '?');
    if (query) {
        *query = '\0';
        head->query = query + 1;
    }

    while (head->method < HTTP_METHOD_MAX_ && strcmp(line, method_names[head->method]) != 0)
        head->method++;
    return head->method == HTTP_METHOD_MAX_ ? &fault_method : NULL;
}

/* "name: value" (section 5). */
static const HttpFault *parse_field(HttpHead *head, char *line)
{
    size_t name_size = strspn(line, TOKEN_CHARACTERS);
    if (name_size == 0 || line[name_size] != ':')
        return &fault_field;
    line[name_size] = '\0';

    char *value = line + name_size + 1;
    value += strspn(value, " \t");
    size_t size = strlen(value);
    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        value[--size] = '\0';

    if (strcasecmp(line, "Transfer-Encoding") == 0)
        return &fault_encoding;
    for (size_t i = 0; i < HTTP_FIELD_MAX_; i++) {
        if (strcasecmp(line, field_names[i]) != 0)
            continue;
        if (head->fields[i])
            return i == HTTP_FIELD_HOST ? &fault_host : &fault_repeated;
        head->fields[i] = value;
    }
    return NULL;
}

static const HttpFault *parse_length(HttpHead *head)
{
    const char *value = head->fields[HTTP_FIELD_CONTENT_LENGTH];
    if (!value)
        return NULL;

    size_t size = strlen(value);
    if (size == 0 || strspn(value, DIGITS) != size)
        return &fault_length;
    value += strspn(value, "0");
    if (strlen(value) > 8)
        return &fault_body_size;
    head->length = strtoul(value, NULL, 10);
    if (head->length > HTTP_BODY_MAX)
        return &fault_body_size;
    if (head->length > 0 && (head->method == HTTP_GET || head->method == HTTP_HEAD ||
                             head->method == HTTP_DELETE || head->method == HTTP_OPTIONS))
        return &fault_unwanted_body;
    return NULL;
}

/* What the fields mean for this connection. */
static const HttpFault *parse_meaning(HttpHead *head)
{
    const char *host = head->fields[HTTP_FIELD_HOST];
    if (!host || host[0] == '\0' || strspn(host, HOST_CHARACTERS) != strlen(host))
        return &fault_host;

    const char *expect = head->fields[HTTP_FIELD_EXPECT];
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return &fault_expect;
    head->expects_continue = expect != NULL;

    /* RFC 9110 7.6.1: a list; whoever does not say exactly "keep-alive" is answered and closed,
     * which is always right. */
    const char *connection = head->fields[HTTP_FIELD_CONNECTION];
    if (connection)
        head->close = strcasecmp(connection, "keep-alive") != 0;
    return parse_length(head);
}

static const HttpFault *parse_lines(HttpHead *head, size_t size)
{
    char *line = head->text, *end = head->text + size - 2; /* without the empty line */
    const HttpFault *fault = NULL;

    for (size_t n_lines = 0; !fault && line < end; n_lines++) {
        char *line_end = strstr(line, "\r\n");
        *line_end = '\0';
        if (n_lines == 0)
            fault = parse_request_line(head, line);
        else if (n_lines > HTTP_FIELDS_MAX)
            fault = &fault_head_size;
        else
            fault = parse_field(head, line);
        line = line_end + 2;
    }
    return fault ? fault : parse_meaning(head);
}

ssize_t http_head_parse(const char *bytes, size_t size, HttpHead *ret, const HttpFault **ret_fault)
{
    *ret = (HttpHead){0};
    *ret_fault = NULL;
    size_t head_size = scan(bytes, size, ret_fault);
    if (*ret_fault)
        return -EBADMSG;
    if (head_size == 0)
        return 0;

    ret->text = strndup(bytes, head_size);
    if (!ret->text)
        return -ENOMEM;
    *ret_fault = parse_lines(ret, head_size);
    if (*ret_fault) {
        http_head_done(ret);
        return -EBADMSG;
    }
    return (ssize_t)head_size;
}

void http_head_done(HttpHead *head)
{
    free(head->text);
    *head = (HttpHead){0};
}
