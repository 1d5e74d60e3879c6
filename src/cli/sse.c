/*
 * See sse.h.
 */
#include "cli/sse.h"

#include <string.h>

#include "base/cleanup.h"

void sse_init(Sse *sse, SseHandler handle, void *userdata)
{
    *sse = (Sse){
        .handle = handle,
        .userdata = userdata,
        .line = BUFFER_EMPTY(SSE_EVENT_MAX),
        .data = BUFFER_EMPTY(SSE_EVENT_MAX),
        .name = BUFFER_EMPTY(256),
    };
}

static void begin_event(Sse *sse)
{
    buffer_clear(&sse->data);
    buffer_clear(&sse->name);
    sse->data.error = sse->name.error = 0;
    sse->has_data = sse->too_large = false;
}

void sse_restart(Sse *sse)
{
    begin_event(sse);
    buffer_clear(&sse->line);
    sse->line.error = 0;
    sse->after_cr = false;
}

void sse_done(Sse *sse)
{
    buffer_done(&sse->line);
    buffer_done(&sse->data);
    buffer_done(&sse->name);
}

static void dispatch(Sse *sse)
{
    size_t size = buffer_size(&sse->data);

    buffer_put_u8(&sse->data, 0);
    buffer_put_u8(&sse->name, 0);
    if (sse->too_large || sse->data.error < 0 || sse->name.error < 0) {
        sse->n_dropped++;
    } else if (sse->has_data) {
        bool named = buffer_size(&sse->name) > 1;
        SseEvent event = {.name = named ? buffer_head(&sse->name) : "message",
                          .id = sse->id,
                          .data = buffer_head(&sse->data),
                          .size = size};
        sse->handle(&event, sse->userdata);
    }
    begin_event(sse);
}

static bool is_field(const char *name, const char *line, size_t size)
{
    return strlen(name) == size && memcmp(name, line, size) == 0;
}

static void take_field(Sse *sse, const char *line, size_t name_size, const char *value, size_t size)
{
    if (is_field("data", line, name_size)) {
        if (sse->has_data)
            buffer_put_u8(&sse->data, '\n');
        buffer_put(&sse->data, value, size);
        sse->has_data = true;
    } else if (is_field("event", line, name_size)) {
        buffer_clear(&sse->name);
        buffer_put(&sse->name, value, size);
    } else if (is_field("id", line, name_size) && size < SSE_ID_MAX && !memchr(value, 0, size)) {
        memcpy(sse->id, value, size);
        sse->id[size] = '\0';
    }
}

static void end_line(Sse *sse)
{
    const char *line = buffer_head(&sse->line);
    size_t size = buffer_size(&sse->line);

    if (sse->line.error < 0) {
        sse->too_large = true;
    } else if (size == 0) {
        dispatch(sse);
    } else if (line[0] != ':') { /* else a comment */
        const char *colon = memchr(line, ':', size);
        size_t name_size = colon ? (size_t)(colon - line) : size;
        const char *value = colon ? colon + 1 : line + size;
        size_t value_size = (size_t)(line + size - value);
        if (value_size > 0 && value[0] == ' ') {
            value++;
            value_size--;
        }
        take_field(sse, line, name_size, value, value_size);
    }
    buffer_clear(&sse->line);
    sse->line.error = 0;
}

void sse_feed(Sse *sse, const char *bytes, size_t size)
{
    while (size > 0) {
        if (sse->after_cr && bytes[0] == '\n') {
            bytes++;
            size--;
            sse->after_cr = false;
            continue;
        }
        sse->after_cr = false;
        size_t plain = 0;
        while (plain < size && bytes[plain] != '\n' && bytes[plain] != '\r')
            plain++;
        buffer_put(&sse->line, bytes, plain);
        if (plain == size)
            return;
        sse->after_cr = bytes[plain] == '\r';
        end_line(sse);
        bytes += plain + 1;
        size -= plain + 1;
    }
}
