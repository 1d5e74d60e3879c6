/*
 * approve, deny: a human's answer to a waiting request. What an approval is remembered for is said
 * in full before it is given, in the warden's own words, and compared with what was given.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/queue.h"
#include "cli/show.h"

static const char usage_approve[] =
    "usage: clawrden-cli approve ID [--for 15m|--session] [--widened] [--yes] [--reason TEXT]\n"
    "\n"
    "Lets the waiting request run, once: exactly the command, file, directory and environment "
    "that\n"
    "`queue` shows; anything that changes until it starts is a refusal. Everybody who waits for "
    "the\n"
    "same answer gets it.\n"
    "\n"
    "  --for TIME     remember the approval for so long: the same command runs again without "
    "asking\n"
    "  --session      remember it until the prisoner's container or root process ends\n"
    "  --widened      remember it for what the rule's own `grant:` allows, not for this one alone\n"
    "  --yes          give the grant without asking (a terminal is asked)\n"
    "  --reason TEXT  recorded in the audit log\n"
    "\n"
    "What a grant covers is printed before it is given; `grants` lists them, `revoke` ends one.\n";

static const char usage_deny[] = "usage: clawrden-cli deny ID [--reason TEXT] [--json]\n"
                                 "\n"
                                 "Refuses the waiting request.\n"
                                 "\n"
                                 "  --reason TEXT  told to the agent, and recorded in the audit "
                                 "log\n";

typedef struct Decision {
    bool approve, session, widened, yes;
    const char *id, *reason, *for_text;
    uint64_t for_ms;
    json_t *entry; /* owned: what a grant is about; NULL without one */
} Decision;

static bool is_remembered(const Decision *decision)
{
    return decision->session || decision->for_text;
}

/* The options' values. 0 or CLI_USAGE. */
static int check(Decision *decision, const CliSyntax *syntax)
{
    if (!cli_is_id(decision->id))
        return cli_usage_error(syntax, "this is no id: %s", decision->id);
    if (decision->session && decision->for_text)
        return cli_usage_error(syntax, "--for or --session, not both");
    if (decision->widened && !is_remembered(decision))
        return cli_usage_error(syntax, "--widened wants --for TIME or --session with it");
    if (decision->for_text &&
        (clock_parse_duration(decision->for_text, &decision->for_ms) < 0 || decision->for_ms == 0))
        return cli_usage_error(syntax, "not a duration: %s (write 90s, 15m, 2h, 1d)",
                               decision->for_text);
    return 0;
}

/* The warden's words for what would be covered; NULL when it cannot be, with the reason printed. */
static const char *find_words(const Decision *decision)
{
    const json_t *grant = json_object_get(decision->entry, "grant");
    const char *why = json_string_value(json_object_get(grant, "why_not"));
    const char *words =
        json_string_value(json_object_get(grant, decision->widened ? "widened" : "exact"));

    if (!words && decision->widened && json_is_string(json_object_get(grant, "exact")))
        cli_error("the rule does not say how an approval of it may be widened (`grant:` in the "
                  "policy); without --widened exactly this command would be remembered");
    else if (!words)
        cli_error("this approval cannot be remembered: %s", why ? why : "the warden says no more");
    else if (decision->session && json_is_false(json_object_get(grant, "session")))
        cli_error("it cannot be remembered for the session: %s; --for TIME is possible",
                  why ? why : "the prisoner's root process is not known");
    else
        return words;
    return NULL;
}

/* Says what would be covered, and asks whoever can be asked. */
static int agree(const Cli *cli, const Decision *decision, const char *words)
{
    Buffer out = BUFFER_EMPTY(1 << 20);

    if (!cli->json)
        queue_put_entry(&out, decision->entry, 600);
    buffer_puts(&out, "this approval is remembered ");
    if (decision->session)
        buffer_puts(&out, "until the prisoner's container or root process ends");
    else
        buffer_puts(&out, "for ");
    if (!decision->session)
        show_duration(&out, decision->for_ms);
    buffer_puts(&out, " and covers:\n  ");
    text_display_again(&out, words, strlen(words), 0);
    buffer_puts(&out, "\n");
    _cleanup_free_ char *text = buffer_take_string(&out);
    (void)fputs(text ? text : "out of memory\n", cli->json ? stderr : stdout);
    (void)fflush(stdout);
    if (!text)
        return CLI_REFUSED;
    if (decision->yes || !ask_is_possible() || ask_yes("Give this grant?"))
        return CLI_DONE;
    cli_error("nothing was decided");
    return CLI_REFUSED;
}

static json_t *make_body(const Decision *decision)
{
    json_t *body = json_object();

    if (decision->reason &&
        json_object_set_new(body, "reason", json_string(decision->reason)) < 0) {
        json_decref(body);
        return NULL; /* no UTF-8 */
    }
    if (decision->for_text)
        (void)json_object_set_new(body, "for_ms", json_integer((json_int_t)decision->for_ms));
    if (decision->session)
        (void)json_object_set_new(body, "session", json_true());
    if (decision->widened)
        (void)json_object_set_new(body, "widened", json_true());
    return body;
}

/* The grant that was given, and whether it is the one that was spoken of. */
static int put_grant(Buffer *out, const json_t *grant, const char *words)
{
    const char *covers = json_string_value(json_object_get(grant, "covers"));

    if (!json_is_object(grant)) {
        if (words)
            cli_error("the warden has decided, but given no grant (see `grants`)");
        return words ? CLI_REFUSED : CLI_DONE;
    }
    buffer_puts(out, "grant ");
    show_member(out, grant, "id", 80);
    if (json_is_string(json_object_get(grant, "expires_at"))) {
        buffer_puts(out, " until ");
        show_member(out, grant, "expires_at", 80);
    } else {
        buffer_puts(out, " for the session");
    }
    buffer_puts(out, " (`revoke` ends it)\n");
    if (covers && words && strcmp(covers, words) == 0)
        return CLI_DONE;
    cli_error("this grant covers something else than was announced, look at it: %s",
              covers ? covers : "nothing");
    return CLI_REFUSED;
}

static int print_result(const json_t *answer, const char *words)
{
    const char *decision = json_string_value(json_object_get(answer, "decision"));
    bool counted = decision && strcmp(decision, "counted") == 0;
    const json_t *approved_by = json_object_get(answer, "approved_by");
    Buffer out = BUFFER_EMPTY(1 << 20);
    int result = CLI_DONE;

    show_member(&out, answer, "decision", 80);
    buffer_puts(&out, " ");
    show_member(&out, answer, "id", 80);
    if (counted) {
        buffer_printf(&out, ": %zu of %llu approvals (", json_array_size(approved_by),
                      show_number(answer, "needed"));
        show_list(&out, approved_by, 200);
        buffer_puts(&out, "); it still waits");
    } else if (json_is_integer(json_object_get(answer, "ran"))) {
        buffer_puts(&out, ": ");
        show_count(&out, show_number(answer, "ran"), "command");
        buffer_puts(&out, show_number(answer, "ran") == 0
                              ? " waiting; kept for the same command's next attempt"
                              : " let run");
    } else if (show_number(answer, "refused") > 1) {
        buffer_printf(&out, ": %llu refused", show_number(answer, "refused"));
    }
    buffer_puts(&out, "\n");
    if (!counted)
        result = put_grant(&out, json_object_get(answer, "grant"), words);
    show_print(&out);
    return result;
}

static int send_decision(const Cli *cli, const Decision *decision, const char *id,
                         const char *words)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    _cleanup_free_ char *failure = NULL;
    char path[128];
    json_t *body = make_body(decision);

    if (!body) {
        cli_error("the reason must be UTF-8 text");
        return CLI_USAGE;
    }
    (void)snprintf(path, sizeof path, "/api/queue/%s/%s", id,
                   decision->approve ? "approve" : "deny");
    int result = client_try(cli, "POST", path, body, &answer, &failure);
    json_decref(body);
    if (result != CLI_DONE) {
        cli_error("%s", failure ? failure : "out of memory");
        return result;
    }
    if (!client_succeeded(&answer)) {
        bool unknown = answer.status == 404;
        _cleanup_free_ char *hint = unknown ? queue_hint(cli) : NULL;
        return client_refused(cli, &answer, hint);
    }
    if (!cli->json)
        return print_result(answer.json, words);
    show_json(answer.json);
    return CLI_DONE;
}

static int decide(const Cli *cli, Decision *decision)
{
    const char *words = NULL, *id = decision->id;

    if (is_remembered(decision)) {
        int result = queue_find(cli, decision->id, &decision->entry);
        if (result != CLI_DONE)
            return result;
        id = json_string_value(json_object_get(decision->entry, "id"));
        words = find_words(decision);
        if (!words || !id || !cli_is_id(id))
            return CLI_REFUSED;
        result = agree(cli, decision, words);
        if (result != CLI_DONE)
            return result;
    }
    return send_decision(cli, decision, id, words);
}

int decide_main(Cli *cli, int argc, char **argv)
{
    Decision decision = {.approve = strcmp(argv[0], "approve") == 0};
    const CliOption deny_options[] = {{.name = "reason", .value = &decision.reason}, {0}};
    const CliOption approve_options[] = {{.name = "reason", .value = &decision.reason},
                                         {.name = "for", .value = &decision.for_text},
                                         {.name = "session", .flag = &decision.session},
                                         {.name = "widened", .flag = &decision.widened},
                                         {.name = "yes", .flag = &decision.yes},
                                         {0}};
    const CliSyntax syntax = {.usage = decision.approve ? usage_approve : usage_deny,
                              .options = decision.approve ? approve_options : deny_options,
                              .most = 1};
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    if (first == argc) {
        _cleanup_free_ char *hint = queue_hint(cli);
        return cli_usage_error(&syntax, "%s which request?%s%s", argv[0], hint ? "\n" : "",
                               hint ? hint : "");
    }
    decision.id = argv[first];
    result = check(&decision, &syntax);
    if (result == 0)
        result = decide(cli, &decision);
    json_decref(decision.entry);
    return result;
}
