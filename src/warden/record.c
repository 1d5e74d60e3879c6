/*
 * The journal's view of a request: who, what, where, and what was decided about it.
 */
#include "warden/state.h"

JournalRecord request_record(const Request *request, JournalEvent event, RedactedArgv *argv)
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

    words_argv(request, argv);
    record.argv = argv->argv;
    record.argc = argv->argc;
    if (request->facts) {
        const Prepared *prepared = &request->facts->prepared;
        record.uid = prepared->uid;
        record.gid = prepared->gid;
        record.pid = prepared->pid;
        record.container = prepared->container[0] ? prepared->container : NULL;
        record.cwd = prepared->cwd;
        record.exe = prepared->exe[0] ? prepared->exe : NULL;
    } else if (request->message) {
        record.cwd = request->words.cwd;
    }
    if (request->policy) {
        record.verdict = policy_action_name(request->verdict.action);
        record.rule = request->verdict.rule;
    }
    if (!digest_is_zero(&request->command))
        record.binding = &request->command;
    if (request->asked && !digest_is_zero(&request->hashed.exe))
        record.exe_digest = &request->hashed.exe;
    record.approver = request->approver;
    record.via = request->via;
    return record;
}
