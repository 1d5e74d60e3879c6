/*
 * The journal's view of a request and of a question: who, what, where, and what was decided.
 *
 * Only the record of an admission has the whole argv: what did not run is cut, or a prisoner could
 * fill the disk with refusals of 6 MiB each. The digest of all arguments stands for the rest.
 */
#include "warden/state.h"

static void put_argv(JournalRecord *record, Request *request)
{
    const ShimRequest *words = &request->words;

    record->argv = redacted_argv(request, RECORD_ARGV_MAX, &record->argc);
    if (record->argc == words->argc)
        return;
    if (digest_is_zero(&request->arguments))
        request->arguments = digest_command(words->argv, words->argc, NULL, 0);
    record->argv_more = words->argc - record->argc;
    record->command_digest = &request->arguments;
}

static const char *text_or_null(const char *text)
{
    return text[0] ? text : NULL;
}

JournalRecord request_record(Request *request, JournalEvent event)
{
    JournalRecord record = {
        .event = event,
        .request = request->id,
        .jail = request->jail->name,
        .has_caller = true,
        .uid = request->uid,
        .gid = request->gid,
        .pid = request->pid,
        .command = request->name,
    };

    put_argv(&record, request);
    if (request->facts) {
        const Prepared *prepared = &request->facts->prepared;
        record.uid = prepared->uid;
        record.gid = prepared->gid;
        record.pid = prepared->pid;
        record.container = text_or_null(prepared->container);
        record.cwd = prepared->cwd;
        record.exe = text_or_null(prepared->exe);
    } else if (request->message) {
        record.cwd = request->words.cwd;
    }
    if (request->policy) {
        record.verdict = policy_action_name(request->verdict.action);
        record.rule = request->verdict.rule;
    }
    if (!digest_is_zero(&request->coverage.exact))
        record.binding = &request->coverage.exact;
    else if (!digest_is_zero(&request->command))
        record.binding = &request->command;
    if (request->asked && !digest_is_zero(&request->hashed.exe))
        record.exe_digest = &request->hashed.exe;
    record.approval = text_or_null(request->approval_id);
    record.grant = text_or_null(request->grant_id);
    record.waiters = request->question ? request->question->n_waiters : request->n_answered;
    record.approver = request->approver;
    record.via = request->via;
    return record;
}

JournalRecord question_record(const Question *question, JournalEvent event)
{
    const Subject *subject = &question->subject;
    JournalRecord record = {
        .event = event,
        .request = subject->request,
        .jail = question->jail_name,
        .container = subject->container,
        .has_caller = true,
        .uid = subject->uid,
        .gid = subject->gid,
        .pid = subject->pid,
        .command = subject->command,
        .argv = (const char *const *)subject->argv,
        .argc = subject->n_argv,
        .argv_more = subject->n_argv_more,
        .cwd = subject->cwd,
        .exe = subject->exe,
        .exe_digest = &subject->exe_digest,
        .verdict = "ask",
        .rule = question->rule,
        .approval = question->id,
        .waiters = question->n_waiters,
        .approver = question->approver,
        .via = question->via,
    };

    if (subject->n_argv_more > 0)
        record.command_digest = &subject->command_digest;
    if (!digest_is_zero(&question->coverage.exact))
        record.binding = &question->coverage.exact;
    return record;
}
