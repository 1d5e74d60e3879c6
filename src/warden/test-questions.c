/*
 * See test-questions.h.
 */
#include "warden/test-questions.h"

const char patient[] = "version: 1\n"
                       "default_action: deny\n"
                       "approval_timeout: 1m\n"
                       "approval_grace: 1m\n"
                       "rules:\n"
                       "  - command: asked\n"
                       "    action: ask\n"
                       "    reason: why not\n"
                       "  - command: impatient\n"
                       "    action: ask\n"
                       "    wait: 0\n"
                       "  - command: rare\n"
                       "    action: allow\n"
                       "    rate: {most: 2, per: 1h, then: ask}\n"
                       "  - command: scarce\n"
                       "    action: ask\n"
                       "    rate: {most: 1, per: 1h, then: deny}\n";

const char hasty[] = "version: 1\n"
                     "default_action: deny\n"
                     "approval_timeout: 1s\n"
                     "approval_grace: 1s\n"
                     "rules: [{command: asked, action: ask}]\n";

void ask_and_wait(World *world, uint32_t counter, const Caller *caller, char id[static ID_SIZE])
{
    ask_as(world, key_of(counter), caller);
    expect_pending(world, key_of(counter), id);
}

void ask_and_go(World *world, uint32_t counter, const Caller *caller, char id[static ID_SIZE])
{
    ask_and_wait(world, counter, caller, id);
    say_gone(world, key_of(counter));
    for (int i = 0; i < 1000; i++)
        if (strstr(queue_as(world, &tester, 0, "").json, "\"waiters\":0"))
            return;
    fail_msg("its caller was never missed");
}
