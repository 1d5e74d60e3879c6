/*
 * audit verify: is the chain whole, through all segments and up to the expected head?
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/audit.h"
#include "cli/show.h"
#include "journal/journal-file.h"
#include "journal/line.h"

/* What the log is compared with: where it came from, NULL when there is nothing. */
typedef struct Expected {
    JournalHead head;
    const char *source;
} Expected;

/* `given` by the operator, or the warden's `own`; either may be NULL. 0, or an exit code. */
static int find_expected(const char *given, const char *own, Expected *ret)
{
    *ret = (Expected){.source = given ? given : own};
    if (!ret->source)
        return 0;
    if (given && journal_head_parse(given, strlen(given), &ret->head) == 0) {
        ret->source = "--head";
        return 0;
    }
    int result = journal_head_load(ret->source, &ret->head);
    if (result == 0)
        return 0;
    if (result == 1 && !given) {
        ret->source = NULL;
        return 0;
    }
    if (result == 1)
        cli_error("--head %s: neither SEQ:HEX nor a file", given);
    else
        cli_error("the head %s: %s", ret->source,
                  result == -EBADMSG ? "is not a head" : strerror(-result));
    return CLI_REFUSED;
}

static json_t *head_json(const JournalHead *head)
{
    char hex[DIGEST_HEX_SIZE];
    return json_pack("{s:I, s:s}", "seq", (json_int_t)head->seq, "hash",
                     digest_format(&head->hash, hex));
}

static void print_check_json(const char *path, const JournalCheck *check, const Expected *expected)
{
    json_t *document =
        json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:b, s:I, s:s?, s:b, s:s?}", "ok",
                  check->ok, "file", path, "records", (json_int_t)check->records, "segments",
                  (json_int_t)check->segments, "bytes", (json_int_t)check->bytes, "first_seq",
                  (json_int_t)check->first_seq, "head", head_json(&check->head), "expected_head",
                  expected->source ? head_json(&expected->head) : json_null(), "torn_tail",
                  check->torn_tail, "problems", (json_int_t)check->problems, "problem",
                  check->problem, "pruned", check->pruned, "note", check->note);
    show_json(document);
    json_decref(document);
}

static void print_check(const char *path, const JournalCheck *check, const Expected *expected)
{
    char text[JOURNAL_HEAD_TEXT_MAX];
    Buffer out = BUFFER_EMPTY((size_t)1 << 20);

    buffer_puts(&out, "file     ");
    text_display(&out, path, strlen(path), 0);
    buffer_printf(&out, "\nrecords  %llu (seq %llu to %llu), ", (unsigned long long)check->records,
                  (unsigned long long)check->first_seq, (unsigned long long)check->head.seq);
    show_count(&out, check->segments, "segment");
    buffer_puts(&out, ", ");
    show_count(&out, check->bytes, "byte");
    buffer_printf(&out, "\nhead     %s", journal_head_format(&check->head, text));
    if (expected->source) {
        buffer_printf(&out, "\nagainst  %s from ", journal_head_format(&expected->head, text));
        text_display(&out, expected->source, strlen(expected->source), 0);
    } else {
        buffer_puts(&out, "\nagainst  no head: a tail that was removed would not be seen (--head)");
    }
    if (check->note)
        buffer_printf(&out, "\nnote     %s", check->note);
    buffer_printf(&out, "\nresult   %s%s",
                  check->ok ? "verified" : "NOT INTACT: ", check->ok ? "" : check->problem);
    if (check->problems > 1)
        buffer_printf(&out, " (and %llu more)", (unsigned long long)check->problems - 1);
    buffer_puts(&out, "\n");
    show_print(&out);
}

int audit_verify_main(Cli *cli, int argc, char **argv)
{
    const char *file = NULL, *head = NULL;
    const CliOption options[] = {{"file", &file, NULL, NULL}, {"head", &head, NULL, NULL}, {0}};
    const CliSyntax syntax = {.usage = audit_syntax.usage, .options = options, .most = 1};
    AuditPlaces places;
    Expected expected;
    JournalCheck check;
    int first, result = cli_parse(cli, &syntax, argc, argv, &first);

    if (result != 0)
        return cli_parse_exit(result);
    audit_default_places(&places);
    if ((result = audit_choose_file(&file, argv[first])) != 0)
        return result;
    /* The head first: what is appended meanwhile comes after it. */
    if ((result = find_expected(head, file ? NULL : places.head, &expected)) != 0)
        return result;
    const char *path = file ? file : places.file;
    result = journal_verify(path, expected.source ? &expected.head : NULL, &check);
    if (result < 0)
        return audit_read_failed(path, result);
    if (cli->json)
        print_check_json(path, &check, &expected);
    else
        print_check(path, &check, &expected);
    result = check.ok ? CLI_DONE : CLI_REFUSED;
    journal_check_done(&check);
    return result;
}
