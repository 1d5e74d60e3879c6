/*
 * watch: the live view. One loop: keys, the stream of events, calls, a tick every second. The queue
 * itself is always fetched whole, never put together from events: what is on the screen is what the
 * warden has said it is.
 */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli watch [--bell] [--no-color]\n"
    "\n"
    "A live view in the terminal: what waits, with the time left, and what happens. ? lists the\n"
    "keys: a approves the selected request, d denies it, g approves it and remembers that, Enter\n"
    "shows all about it. A key decides only about what was on the screen in full for a moment;\n"
    "what is typed ahead is ignored, and nothing is selected but by you.\n"
    "\n"
    "  --bell      ring when a request comes that is not a quiet one\n"
    "  --no-color  no colours (also NO_COLOR in the environment)\n";

#define PAGE "200"
#define FETCH_LEAST_MS 100u /* between two fetches */
#define FETCH_LIVE_MS 10000u
#define FETCH_BLIND_MS 2000u /* while no events come */
#define TICK_MS 1000u

enum { TAG_QUEUE = 1, TAG_HISTORY, TAG_STATUS, TAG_APPROVE, TAG_DENY };

void watch_say(Watch *watch, ScreenStyle style, const char *format, ...)
{
    char words[WATCH_MESSAGE_MAX];
    Buffer text = BUFFER_EMPTY(8 * WATCH_MESSAGE_MAX);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    text_display_again(&text, words, strlen(words), 0);
    _cleanup_free_ char *shown = buffer_take_string(&text);
    (void)snprintf(watch->message, sizeof watch->message, "%s", shown ? shown : "");
    watch->message_style = style;
}

void watch_set_subject(Watch *watch, WatchMode mode, const WatchEntry *entry)
{
    json_decref(watch->subject_entry);
    watch->subject_entry = entry ? json_incref(entry->entry) : NULL;
    watch->subject[0] = '\0';
    if (entry)
        memcpy(watch->subject, entry->id, sizeof entry->id);
    watch->mode = mode;
    watch->gone = watch->chosen = watch->widened = watch->unfolded = watch->complete = false;
    watch->scroll = 0;
    watch->input[0] = '\0';
    watch_model_hide(&watch->model); /* it is to be read first */
}

/* Fetching. */

static void fetch_queue(Watch *watch)
{
    watch->fetching = true;
    watch->stale = false;
    watch->fetched_at_ms = clock_monotonic_ms();
    feed_call(watch->feed, TAG_QUEUE, "GET", "/api/queue?limit=" PAGE, NULL);
}

void watch_refresh(Watch *watch)
{
    watch->stale = true;
    watch->fetched_at_ms = 0;
}

/* When the next fetch is due. */
static uint64_t fetch_due_ms(const Watch *watch)
{
    unsigned pause = watch->stale        ? FETCH_LEAST_MS
                     : watch->trouble[0] ? FETCH_BLIND_MS
                                         : FETCH_LIVE_MS;
    return watch->fetched_at_ms + pause;
}

static void take_queue(Watch *watch, const ClientAnswer *answer, const char *failure)
{
    int n_new = -EPROTO;

    watch->fetching = false;
    if (answer && client_succeeded(answer))
        n_new = watch_model_take(&watch->model, answer->json, clock_monotonic_ms());
    if (n_new < 0) {
        _cleanup_free_ char *words = answer ? client_words(answer) : NULL;
        watch_say(watch, SCREEN_BAD, "the queue is not known: %s",
                  failure ? failure : (words ? words : "out of memory"));
        return;
    }
    if (n_new > 0 && watch->beep)
        screen_beep();
    if (watch->subject[0] && !watch_model_find(&watch->model, watch->subject) && !watch->gone) {
        watch->gone = true;
        watch_model_hide(&watch->model);
    }
}

static void add_history(Watch *watch, const json_t *record)
{
    char **slot = &watch->history[watch->n_history++ % WATCH_HISTORY];
    free(*slot);
    *slot = watch_text_record(record);
}

/* What was before; the stream goes on from there, so that nothing is missing between the two. */
static void take_history(Watch *watch, const ClientAnswer *answer)
{
    const json_t *records = answer ? json_object_get(answer->json, "records") : NULL;
    size_t count = json_array_size(records);

    for (size_t i = count < WATCH_HISTORY ? count : WATCH_HISTORY; i-- > 0;)
        add_history(watch, json_array_get(records, i));
    feed_follow(watch->feed, show_number(json_array_get(records, 0), "seq"));
}

/* What is stopped: the title says so. */

static void fetch_status(Watch *watch)
{
    feed_call(watch->feed, TAG_STATUS, "GET", "/api/status", NULL);
}

static void take_status(Watch *watch, const ClientAnswer *answer)
{
    if (answer && client_succeeded(answer)) {
        json_decref(watch->switches);
        watch->switches = json_incref(json_object_get(answer->json, "switches"));
    }
}

static bool concerns_switches(const json_t *record)
{
    static const char *const events[] = {"killed", "paused", "resumed", "start"};
    const char *event = json_string_value(json_object_get(record, "event"));

    for (size_t i = 0; event && i < ARRAY_SIZE(events); i++) {
        if (strcmp(event, events[i]) == 0)
            return !json_object_get(record, "request"); /* else it is about one command */
    }
    return false;
}

/* Decisions. */

void watch_decide(Watch *watch, bool approve, json_t *body)
{
    WatchEntry *entry = watch_model_find(&watch->model, watch->subject);
    char path[WATCH_ID_MAX + 32];

    if (entry) {
        (void)snprintf(path, sizeof path, "/api/queue/%s/%s", watch->subject,
                       approve ? "approve" : "deny");
        entry->deciding = true;
        watch_say(watch, SCREEN_PLAIN, "%s %s …", approve ? "approving" : "denying",
                  watch->subject);
        feed_call(watch->feed, approve ? TAG_APPROVE : TAG_DENY, "POST", path, body);
    }
    json_decref(body);
}

static void say_decision(Watch *watch, const json_t *answer)
{
    const char *id = json_string_value(json_object_get(answer, "id"));
    const char *decision = json_string_value(json_object_get(answer, "decision"));
    const json_t *grant = json_object_get(answer, "grant");
    const char *covers = json_string_value(json_object_get(grant, "covers"));
    const char *grant_id = json_string_value(json_object_get(grant, "id"));

    if (json_is_object(grant) && (!covers || strcmp(covers, watch->announced) != 0))
        watch_say(watch, SCREEN_BAD,
                  "THE GRANT %s COVERS SOMETHING ELSE THAN ANNOUNCED (clawrden-cli grants): %s",
                  grant_id ? grant_id : "", covers ? covers : "");
    else if (json_is_object(grant))
        watch_say(watch, SCREEN_GOOD, "approved %s and remembered as %s (%llu let run)", id,
                  grant_id ? grant_id : "", show_number(answer, "ran"));
    else if (decision && strcmp(decision, "counted") == 0)
        watch_say(watch, SCREEN_GOOD, "%s: %zu of %llu approvals", id,
                  json_array_size(json_object_get(answer, "approved_by")),
                  show_number(answer, "needed"));
    else
        watch_say(watch, SCREEN_GOOD, "%s %s (%llu %s)", decision ? decision : "decided", id,
                  show_number(answer, json_object_get(answer, "ran") ? "ran" : "refused"),
                  json_object_get(answer, "ran") ? "let run" : "refused");
}

static void take_decision(Watch *watch, const ClientAnswer *answer, const char *failure)
{
    for (size_t i = 0; i < watch->model.n_entries; i++)
        watch->model.entries[i].deciding = false;
    if (answer && client_succeeded(answer)) {
        say_decision(watch, answer->json);
    } else {
        _cleanup_free_ char *words = answer ? client_words(answer) : NULL;
        watch_say(watch, SCREEN_BAD, "NOT DECIDED: %s", failure ? failure : (words ? words : "?"));
    }
    watch_refresh(watch);
}

/* What the feed tells. */

static void on_answer(unsigned tag, const ClientAnswer *answer, const char *failure, void *userdata)
{
    Watch *watch = userdata;

    if (tag == TAG_QUEUE)
        take_queue(watch, answer, failure);
    else if (tag == TAG_HISTORY)
        take_history(watch, answer);
    else if (tag == TAG_STATUS)
        take_status(watch, answer);
    else
        take_decision(watch, answer, failure);
}

/* Whether the queue may have changed. */
static bool concerns_queue(const json_t *record)
{
    static const char *const events[] = {"judged",   "started", "ended",
                                         "received", "login",   "recovery"};
    const char *event = json_string_value(json_object_get(record, "event"));

    for (size_t i = 0; event && i < ARRAY_SIZE(events); i++) {
        if (strcmp(event, events[i]) == 0)
            return false;
    }
    return true;
}

static void on_record(const json_t *record, const char *line UNUSED, size_t size UNUSED,
                      void *userdata)
{
    Watch *watch = userdata;
    add_history(watch, record);
    watch->stale |= concerns_queue(record);
    if (concerns_switches(record))
        fetch_status(watch);
}

static void on_stream(const char *trouble, void *userdata)
{
    Watch *watch = userdata;

    (void)snprintf(watch->trouble, sizeof watch->trouble, "%s", trouble ? trouble : "");
    watch->stream_was_live |= !trouble;
    watch->stale = true;
}

/* The loop. */

static void take_keys(Watch *watch)
{
    int key;

    while (!watch->quit && (key = screen_key()) != SCREEN_KEY_NONE) {
        watch_key(watch, key);
        /* Each key is judged by what was drawn before it. */
        watch_draw(watch, clock_monotonic_ms());
    }
}

static bool is_something_shown(const Watch *watch)
{
    return watch->mode != WATCH_LIST || watch_model_selected(&watch->model);
}

static int next_wait_ms(const Watch *watch, uint64_t now)
{
    uint64_t wait = TICK_MS, due = fetch_due_ms(watch);

    if (!watch->fetching)
        wait = due <= now ? 0 : due - now < wait ? due - now : wait;
    if (watch->model.shown && !watch->model.armed && wait > WATCH_READ_MS / 4)
        wait = WATCH_READ_MS / 4;
    return (int)wait;
}

static int step(Watch *watch)
{
    uint64_t now = clock_monotonic_ms();
    struct curl_waitfd keys = {.fd = STDIN_FILENO, .events = CURL_WAIT_POLLIN};
    struct pollfd gone = {.fd = STDIN_FILENO};

    if (!watch->fetching && fetch_due_ms(watch) <= now)
        fetch_queue(watch);
    watch_draw(watch, now);
    if (is_something_shown(watch))
        watch_model_show(&watch->model, clock_monotonic_ms());
    int result = feed_wait(watch->feed, &keys, 1, next_wait_ms(watch, clock_monotonic_ms()));
    if (screen_was_disturbed()) {
        watch_model_hide(&watch->model);
        screen_redraw();
    }
    take_keys(watch);
    (void)watch_model_arm(&watch->model, clock_monotonic_ms());
    if (poll(&gone, 1, 0) == 1 && (gone.revents & (POLLHUP | POLLERR | POLLNVAL)))
        watch->quit = true;
    return result;
}

static void watch_done(Watch *watch)
{
    watch->feed = feed_free(watch->feed);
    watch_model_done(&watch->model);
    json_decref(watch->subject_entry);
    json_decref(watch->switches);
    for (size_t i = 0; i < WATCH_HISTORY; i++)
        free(watch->history[i]);
}

static int run(Watch *watch, bool color)
{
    const char *mistake = screen_open(color);
    int result = 0;

    if (mistake) {
        cli_error("%s: use `clawrden-cli queue` instead", mistake);
        return CLI_USAGE;
    }
    feed_call(watch->feed, TAG_HISTORY, "GET", "/api/history?limit=50", NULL);
    fetch_status(watch);
    while (!watch->quit && screen_signal() == 0 && result == 0)
        result = step(watch);
    screen_close();
    if (result < 0)
        cli_error("cannot wait for the network: %s", strerror(-result));
    return result < 0 ? CLI_UNREACHABLE : CLI_DONE;
}

/* Whether the warden answers us, said in plain words before the screen is taken. */
static int try_warden(const Cli *cli)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    return client_call(cli, "GET", "/api/queue?limit=1", NULL, &answer);
}

int watch_main(Cli *cli, int argc, char **argv)
{
    static const FeedHandlers handlers = {
        .record = on_record, .stream = on_stream, .answer = on_answer};
    const char *no_color = getenv("NO_COLOR");
    bool plain = no_color && no_color[0], bell = false;
    const CliOption options[] = {
        {.name = "bell", .flag = &bell}, {.name = "no-color", .flag = &plain}, {0}};
    const CliSyntax syntax = {.usage = usage, .options = options};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (cli->json)
        return cli_usage_error(&syntax, "a live view is no document: try `queue` or `history "
                                        "--follow --jsonl`");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return cli_usage_error(&syntax,
                               "watch wants a terminal; try `queue` or `history --follow`");
    result = try_warden(cli);
    if (result != CLI_DONE)
        return result;
    Watch *watch = calloc(1, sizeof *watch);
    if (watch) {
        watch->cli = cli;
        watch->beep = bell;
        watch->feed = feed_new(cli, &handlers, watch);
    }
    if (watch && watch->feed)
        result = run(watch, !plain);
    else
        cli_error("out of memory");
    if (watch)
        watch_done(watch);
    free(watch);
    return result;
}
