/*
 * What an engine's documents and framed streams say (decode.h, demux.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "docker/decode.h"
#include "docker/demux.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void count_one(const char *id, void *userdata)
{
    assert_string_equal(id, ID);
    ++*(unsigned *)userdata;
}

static json_t *parse(const char *text)
{
    json_t *json = engine_decode_json(text, strlen(text));
    assert_non_null(json);
    return json;
}

static void test_containers(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"Id\":\"" ID "\"}",
        "{\"Id\":\"../x\",\"State\":{},\"Config\":{}}",
        "{\"Id\":\"" ID "\",\"State\":{\"Pid\":-1},\"Config\":{}}",
        "{\"Id\":\"" ID "\",\"State\":{\"Pid\":4294967297},\"Config\":{}}",
        "{\"Id\":\"" ID "\",\"State\":{\"Pid\":\"1\"},\"Config\":{}}",
        "{\"Id\":\"" ID "\",\"State\":{\"Running\":1},\"Config\":{}}",
        "{\"Id\":\"" ID "\",\"State\":{},\"Config\":{\"Labels\":{\"a\":1}}}",
        "{\"Id\":\"" ID "\",\"State\":{},\"Config\":{\"Labels\":[]}}",
        "{\"Id\":\"" ID "\",\"State\":{},\"Config\":{\"Env\":{\"a\":\"b\"}}}",
    };
    EngineContainer container;
    unsigned count = 0;
    (void)state;

    json_t *json =
        parse("{\"Id\":\"" ID "\",\"Name\":\"/web\",\"State\":{\"Running\":true,\"Pid\":77,"
              "\"StartedAt\":\"2026-11-24T12:00:00.123456789Z\"},\"Config\":{\"User\":"
              "\"node\",\"Labels\":{\"a\":\"b\"},\"Env\":[\"PATH=/bin\"]}}");
    assert_int_equal(engine_decode_container(json, &container), 0);
    assert_string_equal(container.name, "web");
    assert_true(container.running);
    assert_int_equal(container.pid, 77);
    assert_int_equal(container.started_us % 1000000, 123456);
    assert_int_equal(json_object_size(container.labels), 1);
    json_decref(json);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json = parse(bad[i]);
        assert_int_equal(engine_decode_container(json, &container), -EPROTO);
        json_decref(json);
    }
    json =
        parse("[{\"Id\":\"" ID "\",\"State\":\"running\"},{\"Id\":\"" ID "\",\"State\":\"exited\"},"
              "{\"Id\":\"" ID "\",\"State\":\"paused\"}]");
    assert_int_equal(engine_decode_list(json, count_one, &count), 0);
    assert_int_equal(count, 2);
    json_decref(json);
    json = parse("[{\"Id\":\"" ID "\",\"State\":\"running\"},{\"Id\":\"x\"}]");
    assert_int_equal(engine_decode_list(json, count_one, &count), -EPROTO);
    assert_int_equal(count, 2);
    json_decref(json);
}

static void test_events_and_ends(void **state)
{
    EngineEvent event;
    int64_t code;
    (void)state;

    json_t *json =
        parse("{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"" ID "\"}}");
    assert_int_equal(engine_decode_event(json, &event), 0);
    assert_string_equal(event.action, "start");
    json_decref(json);
    json = parse("{\"Type\":\"network\",\"Action\":\"connect\"}");
    assert_int_equal(engine_decode_event(json, &event), 1);
    json_decref(json);
    json = parse("{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"..\"}}");
    assert_int_equal(engine_decode_event(json, &event), -EPROTO);
    json_decref(json);
    json = parse("{\"StatusCode\":137}");
    assert_int_equal(engine_decode_exit(json, &code), 0);
    assert_int_equal(code, 137);
    json_decref(json);
    json = parse("{\"ExitCode\":null,\"Running\":true}");
    assert_int_equal(engine_decode_exit(json, &code), -EBUSY);
    json_decref(json);
    json = parse("{\"error\":\"no such image\"}");
    assert_string_equal(engine_decode_progress(json), "no such image");
    json_decref(json);
}

static void test_execs(void **state)
{
    static const char *const others[] = {
        "[]",
        "{\"Pid\":7}",
        "{\"Running\":1,\"Pid\":7}",
        "{\"Running\":true,\"Pid\":-1}",
        "{\"Running\":true,\"Pid\":\"7\"}",
        "{\"Running\":true,\"Pid\":4294967303}",
        "{\"Running\":false,\"Pid\":7,\"ExitCode\":256}",
    };
    EngineExecState found;
    (void)state;

    json_t *json = parse("{\"Running\":true,\"Pid\":7,\"ExitCode\":null}");
    assert_int_equal(engine_decode_exec(json, &found), 0);
    assert_true(found.running && found.pid == 7 && !found.has_code);
    json_decref(json);
    json = parse("{\"Running\":false,\"Pid\":7,\"ExitCode\":143}");
    assert_int_equal(engine_decode_exec(json, &found), 0);
    assert_true(!found.running && found.has_code && found.exit_code == 143);
    json_decref(json);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        json = parse(others[i]);
        assert_int_equal(engine_decode_exec(json, &found), -EPROTO);
        json_decref(json);
    }
}

static void put_bytes(unsigned stream, const char *bytes, size_t size, void *userdata)
{
    char *text = userdata;
    (void)snprintf(text + strlen(text), 64, "%u:%.*s;", stream, (int)size, bytes);
}

static void test_demultiplexing(void **state)
{
    static const char bytes[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\3err";
    char text[256] = "", pieces[1024] = "";
    EngineDemux demux = {.n_head = 0};
    (void)state;

    assert_int_equal(engine_demux_feed(&demux, bytes, sizeof bytes - 1, put_bytes, text), 0);
    assert_string_equal(text, "1:hello;2:err;");
    for (size_t i = 0; i < sizeof bytes - 1; i++)
        assert_int_equal(engine_demux_feed(&demux, bytes + i, 1, put_bytes, pieces), 0);
    assert_string_equal(pieces, "1:h;1:e;1:l;1:l;1:o;2:e;2:r;2:r;");
    assert_int_equal(engine_demux_feed(&demux, "\3\0\0\0\0\0\0\1x", 9, put_bytes, text), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_events_and_ends),
        cmocka_unit_test(test_execs),
        cmocka_unit_test(test_demultiplexing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
