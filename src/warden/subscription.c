/*
 * The api sees what is recorded: every line of the journal as soon as it is written, in the order
 * of seq. An api that does not read fast enough must not make this process grow: its subscription
 * ends, with a record of seq 0 that says so, and it takes what it has missed from the segments.
 */
#include "journal/line.h"
#include "warden/state.h"

/* Half of what the link may hold: answers always find room. */
#define BEHIND_MAX (16u << 20)
#define LINE_MAX_SENT (4u << 20)

static void send_record(Warden *warden, uint64_t seq, const char *jail, const char *event,
                        const char *line, size_t size)
{
    Buffer payload = BUFFER_EMPTY(LINE_MAX_SENT + 1024);

    buffer_put_u64(&payload, seq);
    buffer_put_string(&payload, jail);
    buffer_put_string(&payload, event);
    buffer_put_blob(&payload, line, size);
    if (warden->api)
        (void)link_send_buffer(warden->api, API_RECORD, 0, &payload);
    buffer_done(&payload);
}

static void on_line(const char *line, size_t size, void *userdata)
{
    Warden *warden = userdata;
    char event[JOURNAL_EVENT_SIZE], jail[JOURNAL_JAIL_SIZE];
    bool fits = line && size <= LINE_MAX_SENT && warden->api &&
                link_queued(warden->api) + size <= BEHIND_MAX;
    uint64_t seq = fits ? journal_line_about(line, size, event, jail) : 0;

    if (seq > 0) {
        send_record(warden, seq, jail, event, line, size);
        return;
    }
    subscription_set(warden, false);
    send_record(warden, 0, "", "", "", 0);
}

void subscription_set(Warden *warden, bool wanted)
{
    if (warden->journal)
        journal_set_observer(warden->journal, wanted ? on_line : NULL, warden);
}
