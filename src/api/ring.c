/*
 * See ring.h. Seqs in it are ascending, not always without gaps: found by halving.
 */
#include "api/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void event_put(Buffer *text, uint64_t seq, const char *event, size_t event_size, const char *jail,
               size_t jail_size, const char *line, size_t line_size)
{
    buffer_printf(text, "id: %llu\nevent: ", (unsigned long long)seq);
    buffer_put(text, event, event_size);
    buffer_puts(text, "\ndata: ");
    if (line_size <= EVENT_LINE_MAX) {
        buffer_put(text, line, line_size);
    } else {
        buffer_printf(text, "{\"seq\":%llu,\"event\":", (unsigned long long)seq);
        json_put_string(text, event, event_size);
        buffer_puts(text, ",\"jail\":");
        json_put_string(text, jail, jail_size);
        buffer_printf(text, ",\"oversize\":%zu}", line_size);
    }
    buffer_puts(text, "\n\n");
}

int ring_init(Ring *ring)
{
    *ring = (Ring){.capacity = RING_EVENTS};
    ring->events = calloc(RING_EVENTS, sizeof *ring->events);
    return ring->events ? 0 : -ENOMEM;
}

static void drop_oldest(Ring *ring)
{
    Event *oldest = &ring->events[ring->start];

    ring->bytes -= oldest->size;
    free(oldest->jail);
    free(oldest->text);
    *oldest = (Event){.seq = 0};
    ring->start = (ring->start + 1) % ring->capacity;
    ring->count--;
}

void ring_clear(Ring *ring)
{
    while (ring->count > 0)
        drop_oldest(ring);
}

void ring_done(Ring *ring)
{
    ring_clear(ring);
    free(ring->events);
    ring->events = NULL;
}

int ring_push(Ring *ring, uint64_t seq, const char *event, const char *jail, const char *line,
              size_t line_size)
{
    Buffer text = BUFFER_EMPTY(EVENT_LINE_MAX + 4096);

    event_put(&text, seq, event, strlen(event), jail, strlen(jail), line, line_size);
    Event fresh = {.seq = seq, .jail = strdup(jail), .size = buffer_size(&text)};
    fresh.text = buffer_take_string(&text);
    if (!fresh.jail || !fresh.text) {
        free(fresh.jail);
        free(fresh.text);
        ring_clear(ring);
        return -ENOMEM;
    }
    while (ring->count > 0 &&
           (ring->count == ring->capacity || ring->bytes + fresh.size > RING_BYTES))
        drop_oldest(ring);
    ring->events[(ring->start + ring->count++) % ring->capacity] = fresh;
    ring->bytes += fresh.size;
    return 0;
}

static const Event *nth(const Ring *ring, size_t index)
{
    return &ring->events[(ring->start + index) % ring->capacity];
}

uint64_t ring_first(const Ring *ring)
{
    return ring->count > 0 ? nth(ring, 0)->seq : 0;
}

uint64_t ring_last(const Ring *ring)
{
    return ring->count > 0 ? nth(ring, ring->count - 1)->seq : 0;
}

const Event *ring_at(const Ring *ring, uint64_t seq)
{
    size_t low = 0, high = ring->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (nth(ring, middle)->seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ring->count ? nth(ring, low) : NULL;
}
