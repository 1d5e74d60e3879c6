/*
 * The api beside other things: calls that do not block, and the stream of events, which comes back
 * by itself after the last event seen. Everything happens in feed_wait(), on the caller's thread.
 */
#pragma once

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>

#include "cli/cli.h"
#include "cli/client.h"

typedef struct Feed Feed;

typedef struct FeedHandlers {
    /* A record of the journal: parsed, and as it came. */
    void (*record)(const json_t *record, const char *line, size_t size, void *userdata);
    /* The stream is there (NULL), or is not: why, in words, in display form. */
    void (*stream)(const char *trouble, void *userdata);
    /* A call has ended: an answer, whatever its status, or (NULL) why there is none. */
    void (*answer)(unsigned tag, const ClientAnswer *answer, const char *failure, void *userdata);
} FeedHandlers;

/* NULL: out of memory. `cli` and `handlers` must outlive it. */
Feed *feed_new(const Cli *cli, const FeedHandlers *handlers, void *userdata);
Feed *feed_free(Feed *feed); /* accepts NULL, returns NULL */

/* Follows /api/events, from the record after `after` (0: from now on). */
void feed_follow(Feed *feed, unsigned long long after);
/* Starts a call, whose end is told with `tag`. A failure to start it is told as well, in the next
 * feed_wait(). */
void feed_call(Feed *feed, unsigned tag, const char *method, const char *path, const json_t *body);
/* Waits for the network and for `extra` (with revents set), at most `timeout_ms`; then tells what
 * there is to tell. 0, or -errno when waiting is impossible. */
int feed_wait(Feed *feed, struct curl_waitfd *extra, unsigned n_extra, int timeout_ms);
