/*
 * What an engine says: HTTP answers (docker/http.h), documents (decode.h), framed streams
 * (demux.h). Beyond not crashing: what an answer is does not depend on the pieces in which it
 * comes, and every id that is let through is one.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "docker/decode.h"
#include "docker/demux.h"
#include "docker/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 65536u

typedef struct Heard {
    int result, end;
    unsigned status;
    size_t used;
    Buffer body;
} Heard;

static void hear(const char *bytes, size_t size, size_t step, bool head_only, Heard *ret)
{
    HttpReader reader = HTTP_READER_EMPTY;

    *ret = (Heard){.body = BUFFER_EMPTY(BODY_MAX)};
    for (size_t at = 0; at < size && ret->result == 0; at += step) {
        size_t used = 0, part = size - at < step ? size - at : step;
        ret->result = http_reader_feed(&reader, bytes + at, part, head_only, &ret->body, &used);
        assert(used <= part);
        ret->used += used;
        if (used < part)
            break;
    }
    ret->status = reader.status;
    ret->end = http_reader_end(&reader);
    http_reader_done(&reader);
}

static void check_id(const char *id, void *userdata)
{
    (void)userdata;
    assert(engine_is_id(id));
}

static void check_documents(const char *text, size_t size)
{
    json_t *json = engine_decode_json(text, size);
    EngineContainer container;
    EngineExecState exec;
    EngineEvent event;
    Buffer words = BUFFER_EMPTY(4096);
    char version[8];
    int64_t code;

    if (!json)
        return;
    if (engine_decode_container(json, &container) == 0)
        assert(engine_is_id(container.id) && container.pid >= 0 && strlen(container.name) < 256);
    (void)engine_decode_list(json, check_id, NULL);
    if (engine_decode_event(json, &event) == 0)
        assert(engine_is_id(event.id));
    if (engine_decode_version(json, version) == 0)
        assert(strncmp(version, "1.", 2) == 0 && strspn(version + 2, "0123456789") >= 2);
    (void)engine_decode_exit(json, &code);
    if (engine_decode_exec(json, &exec) == 0)
        assert(exec.pid >= 0 && exec.exit_code >= 0 && exec.exit_code <= 255);
    (void)engine_decode_progress(json);
    engine_decode_message(json, &words);
    for (size_t i = 0; i < buffer_size(&words); i++)
        assert((unsigned char)buffer_head(&words)[i] >= ' ');
    buffer_done(&words);
    json_decref(json);
}

static void count_bytes(unsigned stream, const char *bytes, size_t size, void *userdata)
{
    assert((stream == 1 || stream == 2) && bytes && size > 0);
    *(size_t *)userdata += size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    EngineDemux whole = {.n_head = 0}, pieces = {.n_head = 0};
    size_t n_whole = 0, n_pieces = 0;
    Heard at_once, by_byte;

    for (int head_only = 0; head_only <= 1; head_only++) {
        hear(text, size, size ? size : 1, head_only, &at_once);
        hear(text, size, 1, head_only, &by_byte);
        assert(at_once.result == by_byte.result && at_once.status == by_byte.status);
        if (at_once.result == 0) {
            assert(at_once.end == by_byte.end && at_once.used == by_byte.used);
            assert(buffer_size(&at_once.body) == buffer_size(&by_byte.body));
            assert(memcmp(buffer_head(&at_once.body), buffer_head(&by_byte.body),
                          buffer_size(&at_once.body)) == 0);
            check_documents(buffer_head(&at_once.body), buffer_size(&at_once.body));
        }
        buffer_done(&at_once.body);
        buffer_done(&by_byte.body);
    }
    check_documents(text, size);
    int result = engine_demux_feed(&whole, text, size, count_bytes, &n_whole);
    for (size_t i = 0; i < size; i++)
        if (engine_demux_feed(&pieces, text + i, 1, count_bytes, &n_pieces) < 0)
            break;
    assert(result < 0 || n_whole == n_pieces);
    return 0;
}
