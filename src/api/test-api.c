/*
 * Calls: who may make them, what they become for the warden, and what happens when nobody answers.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/test-stage.h"

static void test_status_is_asked_and_sent_on(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    vet(stage, true, 0, false);
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_STATUS);
    Reader reader = reader_of(frame.payload, frame.size);
    Actor actor;
    assert_int_equal(actor_decode(&reader, &actor), 0);
    assert_true(reader_done(&reader));
    warden_answers(stage, frame.key, 200, "{\"version\":\"x\"}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n") + 4, "{\"version\":\"x\"}");

    /* The standing lasts as long as the connection; HEAD is GET without the body. */
    uint64_t first_key = frame.key;
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: localhost\r\n\r\n");
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_QUEUE);
    assert_int_not_equal(frame.key, first_key);
    warden_answers(stage, frame.key, 200, "{\"pending\":[]}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_true(is_quiet(stage->executor, 0));
    fd_close(fd);
}

static void test_health_needs_nobody(void **state)
{
    Stage *stage = *state;
    char text[4096];
    int fd = client(stage);

    say(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    say(fd, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_true(is_quiet(stage->executor, 0));

    stage->warden = fd_close(stage->warden);
    settle(stage);
    say(fd, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 503);
    assert_non_null(strstr(text, "\"code\":\"not_ready\""));
    say(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    fd_close(fd);
}

static void test_strangers_learn_nothing(void **state)
{
    Stage *stage = *state;
    char text[4096];
    static const char *const questions[] = {
        "GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /nothing/here HTTP/1.1\r\nHost: x\r\n\r\n",
        "DELETE /api/status HTTP/1.1\r\nHost: x\r\n\r\n",
    };

    int fd = client(stage);
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
        say(fd, questions[i]);
        if (i == 0)
            vet(stage, false, 0, true); /* uid 0 of a prisoner */
        assert_int_equal(hear(fd, text, sizeof text), 403);
        assert_non_null(strstr(text, "{\"error\":\"this process may not use the api\""));
    }
    assert_true(is_quiet(stage->executor, 0));
    fd_close(fd);

    fd = client(stage);
    say(fd, questions[0]);
    vet(stage, true, getuid() + 1000, false);
    assert_int_equal(hear(fd, text, sizeof text), 403);
    assert_non_null(strstr(text, "neither root nor in the operators' group"));
    fd_close(fd);
    assert_true(is_quiet(stage->warden, 50));
}

static void test_the_operators_group_decides(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "POST /api/queue/7K3M2Q/deny HTTP/1.1\r\nHost: localhost\r\nUser-Agent: "
            "clawrden-cli/0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
            "Content-Length: 22\r\n\r\n{\"reason\":\"not today\"}");
    vet(stage, true, 4242, true);
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_DECIDE);
    Reader reader = reader_of(frame.payload, frame.size);
    Actor actor;
    assert_int_equal(actor_decode(&reader, &actor), 0);
    assert_string_equal(actor.name, "uid 4242");
    assert_string_equal(actor.via, "cli");
    assert_string_equal(reader_string(&reader), "7K3M2Q");
    assert_int_equal(reader_u8(&reader), 0);
    assert_int_equal(reader_u8(&reader), REMEMBER_NOT);
    assert_int_equal(reader_u64(&reader), 0);
    assert_int_equal(reader_u8(&reader), 0);
    assert_string_equal(reader_string(&reader), "not today");
    assert_true(reader_done(&reader));
    warden_answers(stage, frame.key, 409, "{\"error\":\"already decided\"}");
    assert_int_equal(hear(fd, text, sizeof text), 409);

    say(fd, "POST /api/queue/7K3M2Q/approve HTTP/1.1\r\nHost: localhost\r\n\r\n");
    receive_frame(stage->warden, &frame);
    reader = reader_of(frame.payload, frame.size);
    assert_int_equal(actor_decode(&reader, &actor), 0);
    assert_string_equal(actor.via, "api");
    assert_string_equal(reader_string(&reader), "7K3M2Q");
    assert_int_equal(reader_u8(&reader), 1);
    warden_answers(stage, frame.key, 200, "{}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    fd_close(fd);
}

static void test_kill_resume_reload(void **state)
{
    Stage *stage = *state;
    char text[4096], request[512];
    Frame frame;
    int fd = operator_client(stage);
    static const struct {
        const char *path, *body;
        uint16_t type;
        SwitchScope scope;
        const char *name;
        uint64_t for_ms;
        const char *reason;
    } calls[] = {
        {"/api/kill", "{\"jail\":\"my-agent\",\"reason\":null}", API_KILL, SWITCH_SCOPE_JAIL,
         "my-agent", 0, ""},
        {"/api/kill", "{\"all\":true,\"reason\":\"fire\"}", API_KILL, SWITCH_SCOPE_ALL, "", 0,
         "fire"},
        {"/api/pause", "{\"all\":true,\"for_ms\":60000}", API_PAUSE, SWITCH_SCOPE_ALL, "", 60000,
         ""},
        {"/api/pause", "{\"container\":\"0123456789ab\"}", API_PAUSE, SWITCH_SCOPE_CONTAINER,
         "0123456789ab", 0, ""},
        {"/api/resume", "{\"jail\":\"default\"}", API_RESUME, SWITCH_SCOPE_JAIL, "default", 0, ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        (void)snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       calls[i].path, strlen(calls[i].body), calls[i].body);
        say(fd, request);
        receive_frame(stage->warden, &frame);
        assert_int_equal(frame.type, calls[i].type);
        Reader reader = reader_of(frame.payload, frame.size);
        Actor actor;
        assert_int_equal(actor_decode(&reader, &actor), 0);
        assert_string_equal(actor.name, "root (uid 0)");
        assert_string_equal(actor.via, "api");
        assert_int_equal(reader_u8(&reader), calls[i].scope);
        assert_string_equal(reader_string(&reader), calls[i].name);
        assert_true(reader_u64(&reader) == calls[i].for_ms);
        assert_string_equal(reader_string(&reader), calls[i].reason);
        assert_true(reader_done(&reader));
        warden_answers(stage, frame.key, 200, "{}");
        assert_int_equal(hear(fd, text, sizeof text), 200);
    }
    say(fd, "POST /api/policy/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    receive_frame(stage->warden, &frame);
    assert_int_equal(frame.type, API_RELOAD);
    Reader reader = reader_of(frame.payload, frame.size);
    Actor actor;
    assert_int_equal(actor_decode(&reader, &actor), 0);
    assert_string_equal(actor.name, "root (uid 0)");
    assert_true(reader_done(&reader));
    warden_answers(stage, frame.key, 422, "{\"error\":\"bad policy\"}");
    assert_int_equal(hear(fd, text, sizeof text), 422);
    fd_close(fd);
}

static void test_mistakes_have_names(void **state)
{
    Stage *stage = *state;
    char text[4096], request[1024];
    int fd = operator_client(stage);
    static const struct {
        const char *line, *type, *body;
        unsigned status;
        const char *code;
    } mistakes[] = {
        {"GET /api/nothing", NULL, "", 404, "not_found"},
        {"GET /api/queue/", NULL, "", 404, "not_found"},
        {"POST /api/queue/a/b/approve", NULL, "", 404, "not_found"},
        {"POST /api/queue/a%2fb/approve", NULL, "", 404, "not_found"},
        {"POST /api/queue//approve", NULL, "", 404, "not_found"},
        {"GET /api/queue?x=1", NULL, "", 400, "bad_query"},
        {"GET /api/queue?limit=0", NULL, "", 400, "bad_query"},
        {"GET /api/queue?limit=1&limit=2", NULL, "", 400, "bad_query"},
        {"GET /api/kill", NULL, "", 405, "method_not_allowed"},
        {"POST /api/status", NULL, "", 405, "method_not_allowed"},
        {"OPTIONS /api/queue", NULL, "", 405, "method_not_allowed"},
        {"POST /healthz", NULL, "", 405, "method_not_allowed"},
        {"POST /api/kill", "text/plain", "{\"all\":true}", 415, "not_json"},
        {"POST /api/kill", NULL, "{\"all\":true}", 415, "not_json"},
        {"POST /api/kill", "application/jsonp", "{\"all\":true}", 415, "not_json"},
        {"POST /api/kill", "application/json", "{\"all\":true,}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"all\":true} x", 400, "bad_json"},
        {"POST /api/kill", "application/json", "[\"all\"]", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"jail\":\"a\",\"jail\":\"b\"}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"jail\":\"a\\u0000b\"}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{\"jail\":\"a\xff\"}", 400, "bad_json"},
        {"POST /api/kill", "application/json", "{}", 400, "bad_target"},
        {"POST /api/kill", NULL, "", 400, "bad_target"},
        {"POST /api/kill", "application/json", "{\"all\":false}", 400, "bad_target"},
        {"POST /api/kill", "application/json", "{\"jail\":\"\"}", 404, "no_such_jail"},
        {"POST /api/kill", "application/json", "{\"jail\":\"../x\"}", 404, "no_such_jail"},
        {"POST /api/kill", "application/json", "{\"all\":true,\"jail\":\"a\"}", 400, "bad_target"},
        {"POST /api/kill", "application/json", "{\"al\":true}", 400, "unknown_member"},
        {"POST /api/kill", "application/json", "{\"all\":true,\"for_ms\":999}", 400, "bad_time"},
        {"POST /api/pause", "application/json", "{\"all\":true,\"for_ms\":\"1m\"}", 400,
         "bad_time"},
        {"POST /api/pause", "application/json", "{\"all\":true,\"reason\":7}", 400, "bad_reason"},
        {"POST /api/pause", "application/json", "{\"jail\":\"a\",\"container\":\"b\"}", 400,
         "bad_target"},
        {"POST /api/pause", "application/json", "{\"container\":\"../b\"}", 404, "not_found"},
        {"POST /api/pause", "application/json", "{\"container\":7}", 400, "bad_target"},
        {"POST /api/resume", "application/json", "{\"all\":true,\"for_ms\":5000}", 400,
         "unknown_member"},
        {"POST /api/queue/X/deny", "application/json", "{\"reason\":1}", 400, "bad_reason"},
        {"POST /api/queue/X/deny", "application/json", "{\"why\":\"x\"}", 400, "unknown_member"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        (void)snprintf(request, sizeof request,
                       "%s HTTP/1.1\r\nHost: x\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                       mistakes[i].line, mistakes[i].type ? "Content-Type: " : "",
                       mistakes[i].type ? mistakes[i].type : "", mistakes[i].type ? "\r\n" : "",
                       strlen(mistakes[i].body), mistakes[i].body);
        say(fd, request);
        unsigned status = hear(fd, text, sizeof text);
        const char *code = strstr(text, "\"code\":\"");
        if (status != mistakes[i].status || !code ||
            strncmp(code + 8, mistakes[i].code, strlen(mistakes[i].code)) != 0)
            fail_msg("%s %s: %s", mistakes[i].line, mistakes[i].body, text);
    }
    say(fd, "GET /api/kill HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 405);
    assert_non_null(strstr(text, "\r\nAllow: POST\r\n"));
    assert_true(is_quiet(stage->warden, 0));
    fd_close(fd);
}

static void test_silent_peers_are_not_waited_for(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = client(stage);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 503); /* the executor said nothing */
    assert_non_null(strstr(text, "\"code\":\"not_vetted\""));
    receive_frame(stage->executor, &frame);
    fd_close(frame.fd);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    vet(stage, true, 0, false);
    assert_int_equal(hear(fd, text, sizeof text), 504);
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{\"late\":true}"); /* dropped */

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{\"late\":false}");
    assert_int_equal(hear(fd, text, sizeof text), 200);
    assert_non_null(strstr(text, "{\"late\":false}"));
    fd_close(fd);
}

static void test_lost_links_answer_503_and_are_renewed(void **state)
{
    Stage *stage = *state;
    char text[4096];
    Frame frame;
    int fd = operator_client(stage);

    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    fd_close(stage->warden);
    assert_int_equal(hear(fd, text, sizeof text), 503);
    assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(hear(fd, text, sizeof text), 503);

    give_link(stage, LINK_ROLE_WARDEN, &stage->warden);
    settle(stage);
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    warden_answers(stage, frame.key, 200, "{}");
    assert_int_equal(hear(fd, text, sizeof text), 200);

    /* A message that is no answer ends the link. */
    say(fd, "GET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n");
    receive_frame(stage->warden, &frame);
    send_frame(stage->warden, API_DECIDE, frame.key, NULL, -1);
    assert_int_equal(hear(fd, text, sizeof text), 503);
    expect_end(stage->warden);

    fd_close(stage->executor);
    give_link(stage, LINK_ROLE_EXECUTOR, &stage->executor);
    settle(stage);
    int other = client(stage);
    say(other, "GET /api/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    vet(stage, true, 0, false);
    assert_int_equal(hear(other, text, sizeof text), 404);
    fd_close(other);
    fd_close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STAGED(test_status_is_asked_and_sent_on),
        STAGED(test_health_needs_nobody),
        STAGED(test_strangers_learn_nothing),
        STAGED(test_the_operators_group_decides),
        STAGED(test_kill_resume_reload),
        STAGED(test_mistakes_have_names),
        STAGED(test_silent_peers_are_not_waited_for),
        STAGED(test_lost_links_answer_503_and_are_renewed),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
