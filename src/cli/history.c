/*
 * history: what happened, asked of the running warden; --follow goes on with what happens.
 *
 * The api gives records newest first and page by page; they are printed oldest first, so that the
 * last thing that happened stands last. While it follows, the last event's id is what a lost
 * connection goes on from: no record is shown twice or left out.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/feed.h"
#include "cli/numbers.h"
#include "cli/record-filter.h"
#include "cli/record.h"
#include "cli/show.h"
#include "cli/times.h"

static const char usage[] =
    "usage: clawrden-cli history [filters] [--limit N] [--follow] [--csv|--jsonl|--json]\n"
    "\n"
    "Shows what happened, one line per record of the journal, the newest last.\n"
    "\n"
    "  --jail NAME --event NAME --command NAME\n"
    "                 only these\n"
    "  --since TIME --until TIME\n"
    "                 " CLI_TIME_FORMS "\n"
    "  --grep TEXT    only records that hold this text\n"
    "  --limit N      the last N of them (50)\n"
    "  --follow       go on with what happens, until it is interrupted\n"
    "  --csv          a table, which a spreadsheet cannot take for formulas\n"
    "  --jsonl        one JSON document per record and line\n"
    "\n"
    "For whole logs, and lines that can be verified again, see `audit export`.\n";

#define PAGE 1000u
#define LIMIT_DEFAULT 50u
#define LIMIT_MAX 100000u

typedef struct History {
    const Cli *cli;
    RecordFilter filter;
    const char *grep;
    bool csv, jsonl, follow;
    unsigned limit;

    json_t *records; /* owned; newest first */
    unsigned long long last_seq;
    bool failed; /* stdout takes no more */
} History;

/* The path of one page: the records before `before` (0: the newest). Owned by the caller. */
static char *page_path(const History *history, unsigned limit, unsigned long long before)
{
    char number[24], time[CLOCK_TEXT_MAX];
    Buffer path = BUFFER_EMPTY(1 << 16);

    buffer_puts(&path, "/api/history");
    (void)snprintf(number, sizeof number, "%u", limit);
    client_put_parameter(&path, "limit", number);
    (void)snprintf(number, sizeof number, "%llu", before);
    client_put_parameter(&path, "before", before > 0 ? number : NULL);
    client_put_parameter(&path, "jail", history->filter.values[FILTER_JAIL]);
    client_put_parameter(&path, "event", history->filter.values[FILTER_EVENT]);
    client_put_parameter(&path, "command", history->filter.values[FILTER_COMMAND]);
    client_put_parameter(&path, "q", history->grep);
    if (history->filter.since_text)
        client_put_parameter(&path, "since", clock_format_time(history->filter.since_us, time));
    if (history->filter.until_text)
        client_put_parameter(&path, "until", clock_format_time(history->filter.until_us, time));
    return buffer_take_string(&path);
}

static int fetch(History *history)
{
    unsigned long long before = 0;
    size_t wanted = history->limit;

    while (json_array_size(history->records) < wanted) {
        _cleanup_(client_answer_done)
        ClientAnswer answer = {0};
        size_t left = wanted - json_array_size(history->records);
        _cleanup_free_ char *path = page_path(history, left < PAGE ? (unsigned)left : PAGE, before);
        if (!path) {
            cli_error("out of memory");
            return CLI_REFUSED;
        }
        int result = client_call(history->cli, "GET", path, NULL, &answer);
        if (result != CLI_DONE)
            return result;
        const json_t *page = json_object_get(answer.json, "records");
        if (!json_is_array(page)) {
            cli_error("the warden's answer has no list of records");
            return CLI_UNREACHABLE;
        }
        (void)json_array_extend(history->records, (json_t *)page);
        unsigned long long next = show_number(answer.json, "next");
        if (next == 0 || (before > 0 && next >= before))
            break;
        before = next;
    }
    return CLI_DONE;
}

static void print_record(History *history, const json_t *record)
{
    Buffer out = BUFFER_EMPTY(256 << 20);
    unsigned long long seq = show_number(record, "seq");

    if (seq > history->last_seq)
        history->last_seq = seq;
    if (history->csv) {
        record_put_csv(&out, record);
    } else if (history->jsonl) {
        char *text = show_dump(record, JSON_COMPACT);
        buffer_puts(&out, text ? text : "");
        buffer_puts(&out, "\n");
        free(text);
    } else {
        record_put_line(&out, record);
    }
    show_print(&out);
    history->failed = ferror(stdout) != 0;
}

static void print_all(History *history)
{
    size_t count = json_array_size(history->records);

    if (history->csv) {
        Buffer out = BUFFER_EMPTY(1 << 16);
        record_put_csv_header(&out);
        show_print(&out);
    }
    for (size_t i = count; i-- > 0 && !history->failed;)
        print_record(history, json_array_get(history->records, i));
}

static void print_json(const History *history)
{
    json_t *ordered = json_array();
    for (size_t i = json_array_size(history->records); i-- > 0;)
        (void)json_array_append(ordered, json_array_get(history->records, i));
    json_t *document = json_pack("{s:o}", "records", ordered);
    show_json(document);
    json_decref(document);
}

/* Following. */

static volatile sig_atomic_t interrupted;

static void on_signal(int number UNUSED)
{
    interrupted = 1;
}

static void on_record(const json_t *record, const char *line, size_t size, void *userdata)
{
    History *history = userdata;

    if (show_number(record, "seq") <= history->last_seq ||
        !record_filter_matches(&history->filter, record) ||
        (history->grep && !strcasestr(line, history->grep)))
        return;
    (void)size;
    print_record(history, record);
    history->failed |= fflush(stdout) != 0;
}

static void on_stream(const char *trouble, void *userdata UNUSED)
{
    if (trouble)
        cli_error("%s; trying again", trouble);
}

static void on_answer(unsigned tag UNUSED, const ClientAnswer *answer UNUSED,
                      const char *failure UNUSED, void *userdata UNUSED)
{
}

/* A reader that goes away ends us even when nothing happens. */
static bool is_reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLNVAL));
}

static int follow(History *history, unsigned long long head)
{
    static const FeedHandlers handlers = {
        .record = on_record, .stream = on_stream, .answer = on_answer};
    struct sigaction action = {.sa_handler = on_signal};
    Feed *feed = feed_new(history->cli, &handlers, history);
    int result = 0;

    if (!feed) {
        cli_error("out of memory");
        return CLI_REFUSED;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)fflush(stdout);
    if (history->last_seq < head)
        history->last_seq = head;
    feed_follow(feed, head);
    while (!interrupted && !history->failed && result == 0) {
        result = feed_wait(feed, NULL, 0, 1000);
        history->failed |= is_reader_gone();
    }
    (void)feed_free(feed);
    return result == 0 ? CLI_DONE : CLI_UNREACHABLE;
}

/* The journal's last record: what is followed begins after it. */
static int find_head(const Cli *cli, unsigned long long *ret)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    int result = client_call(cli, "GET", "/api/status", NULL, &answer);

    if (result == CLI_DONE)
        *ret = show_number(json_object_get(answer.json, "journal"), "seq");
    return result;
}

static int run(History *history)
{
    unsigned long long head = 0;
    int result = history->follow ? find_head(history->cli, &head) : CLI_DONE;

    if (result == CLI_DONE)
        result = fetch(history);
    if (result != CLI_DONE)
        return result;
    if (history->cli->json) {
        print_json(history);
        return CLI_DONE;
    }
    print_all(history);
    if (history->follow)
        return follow(history, head);
    if (json_array_size(history->records) == 0 && !history->csv && !history->jsonl)
        cli_error("no such records");
    return json_array_size(history->records) > 0 ? CLI_DONE : CLI_REFUSED;
}

int history_main(Cli *cli, int argc, char **argv)
{
    const char *limit = NULL;
    History history = {.cli = cli, .limit = LIMIT_DEFAULT};
    const CliOption options[] = {
        {.name = "jail", .value = &history.filter.values[FILTER_JAIL]},
        {.name = "event", .value = &history.filter.values[FILTER_EVENT]},
        {.name = "command", .value = &history.filter.values[FILTER_COMMAND]},
        {.name = "since", .value = &history.filter.since_text},
        {.name = "until", .value = &history.filter.until_text},
        {.name = "grep", .value = &history.grep},
        {.name = "limit", .value = &limit},
        {.name = "follow", .flag = &history.follow},
        {.name = "csv", .flag = &history.csv},
        {.name = "jsonl", .flag = &history.jsonl},
        {0}};
    const CliSyntax syntax = {.usage = usage, .options = options};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (cli->json + history.csv + history.jsonl > 1)
        return cli_usage_error(&syntax, "one of --csv, --jsonl and --json");
    if (cli->json && history.follow)
        return cli_usage_error(&syntax, "--follow has no end, so no one document: use --jsonl");
    if (limit && cli_parse_count(limit, LIMIT_MAX, &history.limit) < 0)
        return cli_usage_error(&syntax, "--limit wants a number from 1 to %u: %s", LIMIT_MAX,
                               limit);
    result = record_filter_prepare(&history.filter, &syntax);
    if (result != 0)
        return result;
    history.records = json_array();
    result = run(&history);
    json_decref(history.records);
    return result;
}
