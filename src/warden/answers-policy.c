/*
 * The policy as the api shows it: text, a dry judgement, reloads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "warden/answers.h"
#include "warden/control.h"

#define TEST_ARGUMENTS_MAX 4096u
#define EXPLANATION_MAX (256u * 1024)

void answer_put_policy(Warden *warden, Buffer *json, const Actor *actor, bool with_text)
{
    char stamp[CLOCK_TEXT_MAX];
    const PolicyRef *reference = warden->policy;

    buffer_put_u8(json, '{');
    json_put_member(json, "path", warden->policy_path ? warden->policy_path : "");
    if (reference) {
        json_put_member(json, "digest", policy_digest(reference->policy));
        json_put_member_u64(json, "rules", policy_n_rules(reference->policy));
        json_put_member(json, "loaded_at", clock_format_time(warden->policy_loaded_us, stamp));
    }
    const char *error = warden->policy_error;
    if (error && actor && *actor->jails) /* the mistakes may name other jails */
        error = "the file has mistakes and is not in force";
    answer_put_text(json, "error", error);
    if (with_text)
        answer_put_text(json, "text", reference ? reference->text : NULL);
    buffer_put_u8(json, '}');
}

/* It names every jail, so it is for those who may see them all. */
void answer_policy(Warden *warden, uint64_t key, const Actor *actor)
{
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    if (*actor->jails) {
        answer_error(warden, key, 403, "forbidden",
                     "the policy is about all jails, and you may see only some");
        return;
    }
    answer_put_policy(warden, &json, actor, true);
    answer(warden, key, 200, &json);
}

/* A dry judgement. */

/* Why it is so tells of the rules of all jails: only who may see those is told. */
static void judge_dry(Warden *warden, const Actor *actor, const PolicyQuery *query, Buffer *json)
{
    const Policy *policy = warden->policy->policy;
    Buffer explanation = BUFFER_EMPTY(EXPLANATION_MAX);
    PolicyVerdict verdict;

    policy_judge(policy, query, &verdict);
    if (*actor->jails)
        buffer_puts(&explanation, "the rules are about all jails, and you may see only some\n");
    else
        policy_explain(policy, query, &explanation);
    char *words = buffer_take_string(&explanation);
    buffer_put_u8(json, '{');
    json_put_member(json, "action", policy_action_name(verdict.action));
    json_put_member(json, "rule", verdict.rule);
    json_put_member_u64(json, "line", verdict.line);
    json_put_member(json, "reason", verdict.reason ? verdict.reason : "");
    json_put_member(json, "explanation", words ? words : "too long to be shown here");
    buffer_put_u8(json, '}');
    free(words);
}

void answer_policy_test(Warden *warden, uint64_t key, const Actor *actor, Reader *reader)
{
    PolicyQuery query = {.jail = reader_string(reader)};
    Buffer json = BUFFER_EMPTY(ANSWER_MAX);

    query.uid = reader_u32(reader);
    query.gid = reader_u32(reader);
    query.cwd = reader_string(reader);
    query.argc = reader_u32(reader);
    const char **argv = query.argc > 0 && query.argc <= TEST_ARGUMENTS_MAX
                            ? calloc(query.argc + 1, sizeof *argv)
                            : NULL;
    for (size_t i = 0; argv && i < query.argc; i++)
        argv[i] = reader_string(reader);
    query.argv = argv;
    if (!argv || !reader_done(reader) || !warden->policy) {
        answer_error(warden, key, 500, "internal", "malformed call");
    } else if (!answers_find_jail(warden, actor, query.jail)) {
        answer_error(warden, key, 404, "not_found", "there is no jail of this name");
    } else {
        const char *slash = strrchr(argv[0], '/');
        query.name = slash ? slash + 1 : argv[0];
        query.exe = slash ? argv[0] : NULL; /* nobody has looked where it leads */
        judge_dry(warden, actor, &query, &json);
        answer(warden, key, 200, &json);
    }
    free(argv);
}

/* Reload: the parent reads the file, so the answer comes when it has. */

void answer_reload(Warden *warden, uint64_t key, const Actor *actor)
{
    if (*actor->jails) {
        answer_error(warden, key, 403, "forbidden",
                     "the policy is about all jails, and you may see only some");
        return;
    }
    Reload reload = {.key = key, .name = strdup(actor->name), .via = strdup(actor->via)};
    if (!reload.name || !reload.via || warden->n_reloads == RELOADS_MAX ||
        link_send(warden->control, MESSAGE_RELOAD, 0, NULL, 0) < 0) {
        free(reload.name);
        free(reload.via);
        answer_error(warden, key, 503, "busy", "too many reloads are on their way");
        return;
    }
    warden->reloads[warden->n_reloads++] = reload;
}

void answers_reloads_forget(Warden *warden)
{
    for (size_t i = 0; i < warden->n_reloads; i++) {
        free(warden->reloads[i].name);
        free(warden->reloads[i].via);
    }
    warden->n_reloads = 0;
}

void answers_reload_done(Warden *warden, bool ok, const char *problems)
{
    for (size_t i = 0; i < warden->n_reloads; i++) {
        Buffer json = BUFFER_EMPTY(ANSWER_MAX);
        if (ok) {
            buffer_puts(&json, "{\"policy\":");
            answer_put_policy(warden, &json, NULL, false);
            buffer_put_u8(&json, '}');
            answer(warden, warden->reloads[i].key, 200, &json);
        } else {
            answer_error(warden, warden->reloads[i].key, 422, "policy_refused", problems);
        }
    }
    answers_reloads_forget(warden);
}
