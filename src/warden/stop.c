/*
 * The warden's end when it is told to stop: what runs is ended and its end recorded, what waits is
 * cancelled, and then comes the last record.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "warden/state.h"

#define STOP_TIME_MAX_MS 4000u /* for what runs to end */

static void on_stop_recorded(int result UNUSED, void *userdata)
{
    Warden *warden = userdata;
    warden_send_head(warden);
    (void)event_base_loopbreak(warden->loop);
}

/* The last record, on disk, then the head; then the process ends. */
static void record_stop(Warden *warden)
{
    JournalRecord record = {.event = JOURNAL_STOP};
    int result = warden->journal
                     ? journal_append(warden->journal, &record, true, on_stop_recorded, warden)
                     : -ENOTCONN;
    if (result < 0)
        (void)event_base_loopbreak(warden->loop);
}

static void on_stop_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *userdata)
{
    Warden *warden = userdata;
    bool late = clock_monotonic_ms() - warden->stop_began_ms >= STOP_TIME_MAX_MS;

    if (warden->n_requests > 0 && !late)
        return;
    (void)event_del(warden->stop_timer);
    record_stop(warden);
}

void warden_stop(Warden *warden)
{
    struct timeval often = clock_timeval_of_ms(20);

    if (warden->stop_timer)
        return;
    warden->stopping = true;
    for (Jail *jail = warden->jails; jail; jail = jail->next) {
        for (Request *request = jail->requests, *next; request; request = next) {
            next = request->next;
            request_on_stop(request);
        }
    }
    (void)questions_cancel(warden, NULL, NULL, "the warden was told to stop");
    warden->stop_began_ms = clock_monotonic_ms();
    warden->stop_timer = event_new(warden->loop, -1, EV_PERSIST, on_stop_timer, warden);
    if (warden->n_requests == 0 || !warden->stop_timer || event_add(warden->stop_timer, &often) < 0)
        record_stop(warden);
}
