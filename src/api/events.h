/*
 * Live views: GET /api/events, a stream of the journal's records (text/event-stream, WHATWG HTML
 * 9.2), with everything since Last-Event-ID sent again.
 *
 * The warden is subscribed to while there are clients. What it sends goes into a ring; a client
 * whose place is older than the ring is served from the journal's segments until it has caught up.
 * Clients pull: nothing is queued for one beyond a small bound, so one that does not read costs
 * nothing but its place, and is dropped when it has read nothing for the server's time for writing.
 */
#pragma once

#include "api/api-private.h"

#define EVENTS_CLIENTS_MAX 1100u /* in all */
#define EVENTS_OF_ONE_MAX 1000u  /* of one operator, token or session */

/* NULL: out of memory. */
Events *events_new(Api *api);
Events *events_free(Events *events); /* accepts NULL, returns NULL */
/* API_RECORD. 0 or -EPROTO. */
int events_on_record(Events *events, const LinkFrame *frame);
/* There is a new link to the warden, which knows of no subscription. */
void events_on_warden(Events *events);
/* Ends the streams of identities that are worth nothing any more. */
void events_check(Events *events);
size_t events_clients(const Events *events);
