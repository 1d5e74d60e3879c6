/*
 * The stream of events (cli/sse.h): beyond not crashing, what is heard does not depend on the
 * pieces in which the bytes come, and ids have no NUL.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cli/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Heard {
    Buffer all;
    size_t count;
} Heard;

static void on_event(const SseEvent *event, void *userdata)
{
    Heard *heard = userdata;
    assert(event->data[event->size] == '\0');
    assert(strlen(event->id) < SSE_ID_MAX && event->name[0] != '\0');
    buffer_put_blob(&heard->all, event->data, event->size);
    buffer_put_string(&heard->all, event->name);
    buffer_put_string(&heard->all, event->id);
    heard->count++;
}

static void hear(const char *bytes, size_t size, size_t step, Heard *ret)
{
    Sse sse;

    *ret = (Heard){.all = BUFFER_EMPTY((size_t)64 << 20)};
    sse_init(&sse, on_event, ret);
    for (size_t at = 0; at < size; at += step)
        sse_feed(&sse, bytes + at, size - at < step ? size - at : step);
    sse_done(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Heard whole, pieces;

    hear((const char *)data, size, size ? size : 1, &whole);
    for (size_t step = 1; step <= 3; step += 2) {
        hear((const char *)data, size, step, &pieces);
        assert(pieces.count == whole.count);
        assert(buffer_size(&pieces.all) == buffer_size(&whole.all));
        assert(memcmp(buffer_head(&pieces.all), buffer_head(&whole.all), buffer_size(&whole.all)) ==
               0);
        buffer_done(&pieces.all);
    }
    buffer_done(&whole.all);
    return 0;
}
