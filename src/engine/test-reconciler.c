/*
 * The reconciler against an engine that the test plays: a table of containers, and answers made
 * from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "engine/reconciler.h"

#define LOOP_MAX_MS 10000u
#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define GOOD "\"clawrden.enabled\":\"true\",\"clawrden.cmds\":\"git\""

typedef struct Stage {
    struct event_base *loop;
    Engine *engine;
    Reconciler *reconciler;
    /* The engine. */
    int ends[16], events; /* connections that are being read; the stream */
    bool away, mad;
    unsigned pids[2]; /* of A and B; 0: it does not run */
    const char *labels[2];
    unsigned n_inspected;
    /* What has been told. */
    unsigned n_connected, n_lost, n_known, n_seen;
    char told[8192], last[512];
} Stage;

static void note(Stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(Stage *stage, const char *format, ...)
{
    size_t used = strlen(stage->told);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(stage->told + used, sizeof stage->told - used, format, arguments);
    va_end(arguments);
}

static void on_state(bool connected, const char *words, void *userdata)
{
    Stage *stage = userdata;
    (void)snprintf(stage->last, sizeof stage->last, "%s", words);
    if (connected)
        stage->n_connected++;
    else
        stage->n_lost++;
}

static void on_seen(const ContainerSeen *seen, void *userdata)
{
    Stage *stage = userdata;
    stage->n_seen++;
    note(stage, "+%c %d %s %s;", seen->id[0], seen->pid, seen->jail,
         seen->problem[0] ? "problem" : seen->commands);
}

static void on_gone(const char *id, void *userdata)
{
    note(userdata, "-%c;", id[0]);
}

static void on_known(void *userdata)
{
    ((Stage *)userdata)->n_known++;
}

static const ReconcilerHandlers handlers = {on_state, on_seen, on_gone, on_known};

static void on_want(void *userdata)
{
    Stage *stage = userdata;
    int pair[2];

    if (stage->away) {
        engine_not_connected(stage->engine, -ECONNREFUSED);
        return;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < ARRAY_SIZE(stage->ends); i++) {
        if (stage->ends[i] < 0) {
            stage->ends[i] = pair[1];
            engine_connected_take(stage->engine, pair[0]);
            return;
        }
    }
    fail_msg("too many connections at once");
}

static void say(int fd, unsigned status, const char *body)
{
    char *text;
    assert_true(asprintf(&text, "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n%s", status,
                         strlen(body), body) > 0);
    (void)fd_write_all(fd, text, strlen(text));
    free(text);
}

static void say_container(Stage *stage, int fd, size_t which)
{
    char *text;

    stage->n_inspected++;
    if (stage->pids[which] == 0) {
        say(fd, 404, "{\"message\":\"no\"}");
        return;
    }
    assert_true(asprintf(&text,
                         "{\"Id\":\"%s\",\"Name\":\"/%s\",\"State\":{\"Running\":true,\"Pid\":%u},"
                         "\"Config\":{\"Labels\":{%s}}}",
                         which ? B : A, which ? "b" : "a", stage->pids[which],
                         stage->labels[which]) > 0);
    say(fd, 200, text);
    free(text);
}

/* Answers what one connection asks; the stream of events stays open. */
static void serve(Stage *stage, int *end)
{
    char heard[8192], text[512];
    ssize_t got = recv(*end, heard, sizeof heard - 1, MSG_DONTWAIT);

    if (got < 0)
        return;
    heard[got > 0 ? got : 0] = '\0';
    if (stage->mad) {
        say(*end, 200, "{}");
    } else if (strncmp(heard, "GET /version ", 13) == 0) {
        say(*end, 200, "{\"ApiVersion\":\"1.41\"}");
    } else if (strstr(heard, "/events?")) {
        static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
        (void)fd_write_all(*end, head, sizeof head - 1);
        stage->events = fd_close(stage->events);
        stage->events = TAKE_FD(*end);
    } else if (strstr(heard, "/containers/json?")) {
        (void)snprintf(text, sizeof text, "[%s%s%s]",
                       stage->pids[0] ? "{\"Id\":\"" A "\",\"State\":\"running\"}" : "",
                       stage->pids[0] && stage->pids[1] ? "," : "",
                       stage->pids[1] ? "{\"Id\":\"" B "\",\"State\":\"running\"}" : "");
        say(*end, 200, text);
    } else if (strstr(heard, A)) {
        say_container(stage, *end, 0);
    } else if (strstr(heard, B)) {
        say_container(stage, *end, 1);
    }
    *end = fd_close(*end);
}

static void turn(Stage *stage)
{
    (void)event_base_loop(stage->loop, EVLOOP_NONBLOCK);
    for (size_t i = 0; i < ARRAY_SIZE(stage->ends); i++)
        if (stage->ends[i] >= 0)
            serve(stage, &stage->ends[i]);
    (void)usleep(200);
}

#define TURN_UNTIL(stage, condition)                                                               \
    do {                                                                                           \
        uint64_t until_ = clock_monotonic_ms() + LOOP_MAX_MS;                                      \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ms() > until_)                                                     \
                fail_msg("not within time: %s; told: %s", #condition, (stage)->told);              \
            turn(stage);                                                                           \
        }                                                                                          \
    } while (0)

static void emit(Stage *stage, size_t which, const char *action)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "{\"Type\":\"container\",\"Action\":\"%s\",\"Actor\":{\"ID\":\"%s\"}}\n", action,
                   which ? B : A);
    assert_true(stage->events >= 0);
    assert_int_equal(fd_write_all(stage->events, text, strlen(text)), 0);
}

static void go_away(Stage *stage)
{
    stage->away = true;
    stage->events = fd_close(stage->events);
    for (size_t i = 0; i < ARRAY_SIZE(stage->ends); i++)
        stage->ends[i] = fd_close(stage->ends[i]);
}

static Stage *set_stage(uint32_t list_ms)
{
    Stage *stage = calloc(1, sizeof *stage);
    ReconcilerTimes times = {.retry_min = 1, .retry_max = 10, .list = list_ms};

    for (size_t i = 0; i < ARRAY_SIZE(stage->ends); i++)
        stage->ends[i] = -EBADF;
    stage->events = -EBADF;
    stage->labels[0] = stage->labels[1] = GOOD;
    stage->loop = event_base_new();
    assert_int_equal(engine_new(&stage->engine, stage->loop, on_want, stage), 0);
    assert_int_equal(
        reconciler_new(&stage->reconciler, stage->loop, stage->engine, &times, &handlers, stage),
        0);
    return stage;
}

static void strike(Stage *stage)
{
    reconciler_free(stage->reconciler);
    engine_free(stage->engine);
    go_away(stage);
    event_base_free(stage->loop);
    free(stage);
}

#define NEVER_MS 3600000u

static void test_what_runs_is_taken_up_and_followed(void **state)
{
    Stage *stage = set_stage(NEVER_MS);
    (void)state;

    stage->pids[0] = 10;
    TURN_UNTIL(stage, stage->n_known == 1);
    assert_string_equal(stage->told, "+a 10 a git\n;");
    assert_string_equal(stage->last, "API 1.41");
    stage->pids[1] = 20;
    emit(stage, 1, "start");
    TURN_UNTIL(stage, stage->n_seen == 2);
    assert_string_equal(stage->told, "+a 10 a git\n;+b 20 b git\n;");
    /* Nothing new: nothing is told. */
    unsigned before = stage->n_inspected;
    emit(stage, 1, "rename");
    TURN_UNTIL(stage, stage->n_inspected > before);
    emit(stage, 0, "exec_create: sh");
    stage->pids[0] = 0;
    emit(stage, 0, "die");
    TURN_UNTIL(stage, strstr(stage->told, "-a;"));
    assert_string_equal(stage->told, "+a 10 a git\n;+b 20 b git\n;-a;");
    /* Started again: another process. */
    stage->pids[1] = 21;
    emit(stage, 1, "restart");
    TURN_UNTIL(stage, stage->n_seen == 3);
    assert_int_equal(stage->n_known, 1);
    strike(stage);
}

static void test_an_engine_that_comes_back(void **state)
{
    Stage *stage = set_stage(NEVER_MS);
    (void)state;

    stage->pids[0] = 10;
    stage->pids[1] = 20;
    TURN_UNTIL(stage, stage->n_known == 1);
    go_away(stage);
    TURN_UNTIL(stage, stage->n_lost == 1);
    for (int i = 0; i < 100; i++)
        turn(stage);
    assert_int_equal(stage->n_lost, 1); /* told once */
    assert_null(strchr(stage->told, '-'));
    stage->told[0] = '\0';
    stage->pids[0] = 0;
    stage->pids[1] = 22;
    stage->away = false;
    TURN_UNTIL(stage, stage->n_known == 2);
    assert_int_equal(stage->n_connected, 2);
    assert_non_null(strstr(stage->told, "-a;"));
    assert_non_null(strstr(stage->told, "+b 22 b git\n;"));
    strike(stage);
}

static void test_an_engine_that_is_not_there_at_first(void **state)
{
    Stage *stage = set_stage(NEVER_MS);
    (void)state;

    stage->away = true;
    TURN_UNTIL(stage, stage->n_lost == 1);
    assert_string_equal(stage->last, strerror(ECONNREFUSED));
    stage->away = false;
    TURN_UNTIL(stage, stage->n_known == 1);
    strike(stage);
}

static void test_an_engine_without_events(void **state)
{
    Stage *stage = set_stage(5);
    (void)state;

    TURN_UNTIL(stage, stage->n_known == 1);
    stage->pids[1] = 20;
    TURN_UNTIL(stage, stage->n_seen == 1);
    stage->pids[1] = 21;
    TURN_UNTIL(stage, stage->n_seen == 2);
    stage->labels[1] = "\"clawrden.enabled\":\"true\",\"clawrden.cmds\":\"../x\"";
    TURN_UNTIL(stage, stage->n_seen == 3);
    stage->pids[1] = 0;
    TURN_UNTIL(stage, strstr(stage->told, "-b;"));
    assert_string_equal(stage->told, "+b 20 b git\n;+b 21 b git\n;+b 21 b problem;-b;");
    strike(stage);
}

static void test_an_engine_that_makes_no_sense(void **state)
{
    Stage *stage = set_stage(NEVER_MS);
    (void)state;

    stage->pids[0] = 10;
    stage->mad = true;
    TURN_UNTIL(stage, stage->n_lost == 1);
    stage->mad = false;
    TURN_UNTIL(stage, stage->n_known == 1);
    /* In the middle. */
    assert_int_equal(fd_write_all(stage->events, "nonsense\n", 9), 0);
    TURN_UNTIL(stage, stage->n_lost == 2);
    TURN_UNTIL(stage, stage->n_known == 2);
    /* An event of something that is no container's id is looked into by a list. */
    static const char odd[] =
        "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"..\"}}\n";
    stage->pids[1] = 20;
    assert_int_equal(fd_write_all(stage->events, odd, sizeof odd - 1), 0);
    TURN_UNTIL(stage, strstr(stage->told, "+b 20"));
    strike(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_runs_is_taken_up_and_followed),
        cmocka_unit_test(test_an_engine_that_comes_back),
        cmocka_unit_test(test_an_engine_that_is_not_there_at_first),
        cmocka_unit_test(test_an_engine_without_events),
        cmocka_unit_test(test_an_engine_that_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
