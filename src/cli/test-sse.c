/*
 * The stream of events, in whatever pieces it comes: what is dispatched, what is dropped, what the
 * next connection goes on from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/sse.h"

typedef struct Heard {
    char text[4096];
    size_t count, size;
} Heard;

static void on_event(const SseEvent *event, void *userdata)
{
    Heard *heard = userdata;
    size_t used = strlen(heard->text);

    heard->count++;
    heard->size = event->size;
    assert_int_equal(event->data[event->size], '\0');
    if (event->size < 1000)
        (void)snprintf(heard->text + used, sizeof heard->text - used, "[%s|%s|%s]", event->name,
                       event->id, event->data);
}

/* The same whether it comes at once or byte by byte. */
static void expect(const char *stream, const char *heard_text)
{
    for (size_t step = 1; step <= strlen(stream); step++) {
        Heard heard = {0};
        Sse sse;
        sse_init(&sse, on_event, &heard);
        for (size_t at = 0; at < strlen(stream); at += step) {
            size_t left = strlen(stream) - at;
            sse_feed(&sse, stream + at, left < step ? left : step);
        }
        assert_string_equal(heard.text, heard_text);
        sse_done(&sse);
    }
}

static void test_events(void **state UNUSED)
{
    expect("data: a\n\n", "[message||a]");
    expect("id: 7\nevent: asked\ndata: {\"x\":1}\n\n", "[asked|7|{\"x\":1}]");
    expect("data: a\r\ndata:b\rdata\n\n", "[message||a\nb\n]");
    expect("id: 1\ndata: a\n\ndata: b\n\n", "[message|1|a][message|1|b]"); /* the id stays */
    expect("event: x\ndata: a\n\ndata: b\n\n", "[x||a][message||b]");      /* the name does not */
    expect(": a comment\n\n:\n\ndata: a\n\n", "[message||a]");
    expect("event: x\n\nid: 3\n\ndata: a\n\n", "[message|3|a]"); /* nothing without data */
    expect("data:  two spaces\n\n", "[message|| two spaces]");
    expect("unknown: x\nretry: 1\nDATA: x\ndatax: y\n\ndata: a\n\n", "[message||a]");
    expect("data: cut off\n", "");
    expect("data: a\r\r", "[message||a]");
    expect("data: a\r\n\r\n", "[message||a]");
}

static void test_ids(void **state UNUSED)
{
    char line[128] = "id: ";
    Heard heard = {0};
    Sse sse;

    sse_init(&sse, on_event, &heard);
    sse_feed(&sse, "id: 5\n\nid: 9\0x\n\n", 16);
    assert_string_equal(sse.id, "5");
    memset(line + 4, '9', SSE_ID_MAX);
    line[4 + SSE_ID_MAX] = '\n';
    sse_feed(&sse, line, 5 + SSE_ID_MAX);
    assert_string_equal(sse.id, "5");
    sse_feed(&sse, "id\n\n", 4);
    assert_string_equal(sse.id, "");
    sse_done(&sse);
}

/* A lost connection leaves half an event behind, which is no part of the next one's. */
static void test_restart(void **state UNUSED)
{
    Heard heard = {0};
    Sse sse;

    sse_init(&sse, on_event, &heard);
    sse_feed(&sse, "id: 5\nevent: x\ndata: lost\nda", 28);
    sse_restart(&sse);
    sse_feed(&sse, "data: b\n\n", 9);
    assert_string_equal(heard.text, "[message|5|b]");
    sse_done(&sse);
}

/* An event without end is dropped and costs a bounded amount of memory; the next one comes. */
static void test_too_large(void **state UNUSED)
{
    static char piece[1 << 16];
    Heard heard = {0};
    Sse sse;

    memset(piece, 'x', sizeof piece);
    sse_init(&sse, on_event, &heard);
    sse_feed(&sse, "data: ", 6);
    for (size_t i = 0; i < 2 * SSE_EVENT_MAX / sizeof piece; i++)
        sse_feed(&sse, piece, sizeof piece);
    assert_true(sse.line.capacity <= 2 * SSE_EVENT_MAX);
    sse_feed(&sse, "\n\ndata: a\n\n", 11);
    assert_string_equal(heard.text, "[message||a]");
    assert_int_equal(sse.n_dropped, 1);

    for (size_t i = 0; i < 2 * SSE_EVENT_MAX / sizeof piece; i++) {
        sse_feed(&sse, "data: ", 6);
        sse_feed(&sse, piece, sizeof piece);
        sse_feed(&sse, "\n", 1);
    }
    assert_true(sse.data.capacity <= 2 * SSE_EVENT_MAX);
    sse_feed(&sse, "\ndata: b\n\n", 10);
    assert_int_equal(sse.n_dropped, 2);
    assert_int_equal(heard.count, 2);
    sse_done(&sse);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
