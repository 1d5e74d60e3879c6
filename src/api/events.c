/*
 * See events.h.
 */
#include "api/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/handlers.h"
#include "api/record.h"
#include "api/ring.h"
#include "api/scan.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define BACKLOG_MAX (64u << 10)  /* nothing more is given to a client that has so much to read */
#define SCANS_MAX 16u            /* clients that are read to from the journal at a time */
#define SLICE ((size_t)64 << 10) /* bytes of the journal that one of them reads in one turn */
#define LOOKS_MAX 5u             /* for records that should be in the journal */
#define LOOK_AGAIN_MS 50u

typedef struct Client {
    LIST_ENTRY(Client) link;
    Events *events;
    Caller *caller;
    uint64_t next;  /* the seq it is to get next; 0: whatever comes */
    bool unsure;    /* there may be records that the ring does not know of */
    bool waiting;   /* for the segments */
    Scan *scan;     /* owned: from the journal */
    uint64_t until; /* the last seq that the scan is for */
    unsigned looks; /* scans in a row that found nothing new */
    struct event *turn;
} Client;

struct Events {
    Api *api;
    LIST_HEAD(Clients, Client) clients;
    size_t n_clients, n_scans;
    Ring ring;
    bool subscribed;
    struct event *beat;
};

static void pump(Client *client);

/* The subscription. */

static void subscribe(Events *events, bool wanted)
{
    Actor actor = {.name = "api", .role = ROLE_ADMIN, .via = "api", .jails = ""};
    Buffer payload = BUFFER_EMPTY(1024);
    Link *warden = events->api->warden;

    actor_encode(&payload, &actor);
    buffer_put_u8(&payload, wanted);
    /* A link that fails says so itself, and the next one is subscribed to again. */
    bool sent = warden && link_send_buffer(warden, API_SUBSCRIBE, 0, &payload) == 0;
    events->subscribed = wanted && sent;
    buffer_done(&payload);
}

/* From nothing known on: what was missed is in the journal. */
static void subscribe_afresh(Events *events)
{
    Client *client;

    ring_clear(&events->ring);
    subscribe(events, true);
    LIST_FOREACH(client, &events->clients, link)
    {
        client->unsure = client->next != 0;
        client->looks = 0;
    }
}

void events_on_warden(Events *events)
{
    events->subscribed = false;
    ring_clear(&events->ring);
    if (events->n_clients > 0)
        subscribe_afresh(events);
}

/* Clients. */

static void stop_scan(Client *client)
{
    if (client->waiting)
        segments_forget(client->events->api->segments, client);
    if (client->waiting || client->scan)
        client->events->n_scans--;
    client->waiting = false;
    client->scan = scan_free(client->scan);
    (void)event_del(client->turn);
}

static void on_gone(Caller *caller)
{
    Client *client = caller->stream_data;
    Events *events = client->events;

    stop_scan(client);
    event_free(client->turn);
    LIST_REMOVE(client, link);
    events->n_clients--;
    free(client);
    if (events->n_clients == 0 && events->subscribed) {
        subscribe(events, false);
        ring_clear(&events->ring);
    }
}

static void on_drained(Caller *caller)
{
    pump(caller->stream_data);
}

static const CallerStream stream = {.drained = on_drained, .gone = on_gone};

static bool has_room(const Client *client)
{
    return http_stream_backlog(client->caller->connection) < BACKLOG_MAX;
}

/* From the journal. */

static void send_line(Client *client, const ScanLine *line)
{
    Buffer text = BUFFER_EMPTY(EVENT_LINE_MAX + 4096);
    RecordView view;

    client->next = line->seq + 1;
    client->looks = 0;
    if (record_view(line->bytes, line->size, &view) < 0 ||
        !identity_sees(&client->caller->identity, view.jail.bytes, view.jail.size))
        return;
    event_put(&text, view.seq, view.event.bytes, view.event.size,
              view.jail.bytes ? view.jail.bytes : "", view.jail.size, line->bytes, line->size);
    if (!text.error)
        http_stream_write(client->caller->connection, buffer_head(&text), buffer_size(&text));
    buffer_done(&text);
}

static void wake_scanner(Events *events)
{
    Client *client;
    LIST_FOREACH(client, &events->clients, link)
    {
        if (client->unsure && !client->waiting && !client->scan &&
            !event_pending(client->turn, EV_TIMEOUT, NULL))
            event_active(client->turn, EV_TIMEOUT, 0);
    }
}

/* All that the journal has of what was wanted. When it should have more, it is looked at again: a
 * record may be told of a moment before it can be read. */
static void scan_ended(Client *client, int error)
{
    Events *events = client->events;
    bool missing = client->until != UINT64_MAX && client->next <= client->until;
    struct timeval later = clock_timeval_of_ms(LOOK_AGAIN_MS);

    stop_scan(client);
    if (error < 0)
        log_warning("the journal cannot be read for a live view: %s", strerror(-error));
    if (missing && ++client->looks < LOOKS_MAX) {
        (void)event_add(client->turn, &later);
    } else {
        if (missing)
            client->next = client->until + 1;
        client->unsure = false;
        client->looks = 0;
        pump(client);
    }
    wake_scanner(events);
}

static void scan_some(Client *client)
{
    size_t budget = SLICE;
    ScanLine line;
    int step = SCAN_PAUSE;

    while (budget > 0 && has_room(client)) {
        step = scan_next(client->scan, &budget, &line);
        if (step != SCAN_LINE)
            break;
        send_line(client, &line);
    }
    if (step == SCAN_END || step < 0)
        scan_ended(client, step);
    else if (has_room(client))
        event_active(client->turn, EV_TIMEOUT, 0);
    /* else: when it has read something, on_drained() goes on */
}

static void on_segments(SegmentSet *set, void *userdata)
{
    Client *client = userdata;

    client->waiting = false;
    int result = set ? scan_new(&client->scan, set, client->next, client->until, false) : -ENOENT;
    if (result < 0) {
        client->waiting = true; /* stop_scan() counts it */
        segments_forget(client->events->api->segments, client);
        scan_ended(client, result);
        return;
    }
    scan_some(client);
}

static void begin_scan(Client *client, uint64_t until)
{
    Events *events = client->events;

    if (events->n_scans >= SCANS_MAX) {
        client->unsure = true; /* wake_scanner() comes back to it */
        return;
    }
    client->until = until;
    client->waiting = true;
    events->n_scans++;
    if (segments_want(events->api->segments, on_segments, client) < 0)
        scan_ended(client, -ENOMEM);
}

static void on_turn(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    pump(userdata);
}

/* From the ring. */

static void send_events(Client *client)
{
    const Event *event;

    while (has_room(client) && (event = ring_at(&client->events->ring, client->next))) {
        client->next = event->seq + 1;
        if (identity_sees(&client->caller->identity, event->jail, strlen(event->jail)))
            http_stream_write(client->caller->connection, event->text, event->size);
    }
}

/* Gives a client what it can take now. */
static void pump(Client *client)
{
    const Ring *ring = &client->events->ring;
    uint64_t first = ring_first(ring), last = ring_last(ring);

    if (client->waiting || !has_room(client))
        return;
    if (client->scan) {
        scan_some(client);
        return;
    }
    if (first == 0) {
        if (client->next != 0 && client->unsure)
            begin_scan(client, UINT64_MAX);
        return;
    }
    if (client->next == 0 || client->next > last + 1)
        client->next = last; /* from now on; or from a seq that was never there */
    if (client->next < first) {
        begin_scan(client, first - 1);
        return;
    }
    client->unsure = false;
    send_events(client);
}

int events_on_record(Events *events, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint64_t seq = reader_u64(&reader);
    const char *jail = reader_string(&reader), *name = reader_string(&reader);
    size_t size = 0;
    const char *line = reader_blob(&reader, &size);
    Client *client, *next;

    if (frame->key != 0)
        return -EPROTO;
    if (seq == 0) {
        log_warning("the warden's records came faster than they were read: going back to the "
                    "journal");
        if (events->n_clients > 0)
            subscribe_afresh(events);
        return 0;
    }
    if (!reader_done(&reader) || memchr(line, '\n', size) || memchr(line, '\r', size) ||
        strpbrk(name, "\r\n") || seq <= ring_last(&events->ring))
        return -EPROTO;
    if (!events->subscribed)
        return 0; /* on its way when the subscription ended */
    (void)ring_push(&events->ring, seq, name, jail, line, size);
    for (client = LIST_FIRST(&events->clients); client; client = next) {
        next = LIST_NEXT(client, link);
        pump(client);
    }
    return 0;
}

/* Signs of life, which also find connections that are dead. */
static void on_beat(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Events *events = userdata;
    Client *client;

    events_check(events);
    LIST_FOREACH(client, &events->clients, link)
    {
        if (http_stream_backlog(client->caller->connection) == 0)
            http_stream_write(client->caller->connection, ": still here\n\n", 14);
    }
}

static bool is_stale(Caller *caller, const void *userdata UNUSED)
{
    return !auth_still_good(caller->api, &caller->identity);
}

void events_check(Events *events)
{
    callers_end_streams(events->api, is_stale, NULL);
}

size_t events_clients(const Events *events)
{
    return events->n_clients;
}

Events *events_new(Api *api)
{
    Events *events = calloc(1, sizeof *events);
    struct timeval every = clock_timeval_of_ms(api->limits->beat_ms);

    if (!events)
        return NULL;
    events->api = api;
    LIST_INIT(&events->clients);
    events->beat = event_new(api->loop, -1, EV_PERSIST, on_beat, events);
    if (!events->beat || ring_init(&events->ring) < 0 || event_add(events->beat, &every) < 0)
        return events_free(events);
    return events;
}

Events *events_free(Events *events)
{
    if (!events)
        return NULL;
    if (events->beat)
        event_free(events->beat);
    ring_done(&events->ring);
    free(events);
    return NULL;
}

/* The call. */

static size_t clients_of(const Events *events, const Identity *identity)
{
    const Client *client;
    size_t count = 0;
    LIST_FOREACH(client, &events->clients, link)
    {
        if (identity_same(&client->caller->identity, identity))
            count++;
    }
    return count;
}

/* Last-Event-ID, from the header that browsers send or the query. False: answered. */
static bool read_place(Caller *caller, uint64_t *ret_next)
{
    const char *text = caller->query.values[0];
    uint64_t last = 0;

    if (!text)
        text = caller->request->head.fields[HTTP_FIELD_LAST_EVENT_ID];
    *ret_next = 0;
    if (!text || !*text)
        return true;
    if (!query_number(text, 0, INT64_MAX - 1, &last)) {
        caller_fail(caller, 400, "bad_query", "the last event's id must be a number");
        return false;
    }
    *ret_next = last + 1;
    return true;
}

void handle_events(Caller *caller)
{
    Events *events = caller->api->events;
    static const HttpAnswer head = {
        .status = 200, .type = "text/event-stream", .fields = "X-Accel-Buffering: no\r\n"};
    uint64_t next;

    if (!read_place(caller, &next))
        return;
    if (events->n_clients >= EVENTS_CLIENTS_MAX ||
        clients_of(events, &caller->identity) >= EVENTS_OF_ONE_MAX) {
        caller_fail(caller, 429, "too_many", "too many live views are open");
        return;
    }
    Client *client = calloc(1, sizeof *client);
    if (!client || !(client->turn = evtimer_new(caller->api->loop, on_turn, client))) {
        free(client);
        caller_fail(caller, 503, "no_memory", "out of memory");
        return;
    }
    client->events = events;
    client->caller = caller;
    client->next = next;
    client->unsure = next != 0;
    if (next == 0 && ring_last(&events->ring) != 0)
        client->next = ring_last(&events->ring) + 1;
    if (!caller_stream(caller, &head)) {
        event_free(client->turn);
        free(client);
        return;
    }
    caller_work(caller, &stream, client);
    LIST_INSERT_HEAD(&events->clients, client, link);
    events->n_clients++;
    http_stream_write(caller->connection, "retry: 2000\n\n", 13);
    if (!events->subscribed)
        subscribe(events, true);
    pump(client);
}
