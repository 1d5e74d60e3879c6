/*
 * One HTTP call on libcurl, made ready but not performed: what client.c does at once, and the live
 * view (feed.h) beside other things. http and https only, no proxies, no redirects.
 */
#pragma once

#include <curl/curl.h>
#include <jansson.h>

#include "base/buffer.h"
#include "cli/cli.h"
#include "cli/client.h"

typedef struct Line {
    CURL *curl;                 /* owned, like the rest */
    struct curl_slist *headers; /* the api's and the caller's own */
    char *body;
    Buffer answer;
    char detail[CURL_ERROR_SIZE];
} Line;

/* NULL with the reason in `ret_words` (owned by the caller) and CLI_USAGE or CLI_UNREACHABLE in
 * `ret_exit`. The answer goes to `answer` unless the caller sets another function. `cli` must
 * outlive the line. */
Line *line_new(const Cli *cli, const char *method, const char *path, const json_t *body,
               char **ret_words, int *ret_exit);
Line *line_free(Line *line); /* accepts NULL, returns NULL */
/* Before it is performed. 0 or -ENOMEM. */
int line_add_header(Line *line, const char *text);
/* The whole answer. The line's buffer is empty then. */
void line_take_answer(Line *line, ClientAnswer *ret);
/* Why it failed, in words that say what to do; owned by the caller. */
char *line_failure(const Line *line, const Cli *cli, CURLcode code);
