/*
 * The jails as the parent tells of them: made, changed, gone. A jail's entry here outlives the jail
 * for as long as something of it is still ending.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "warden/state.h"

/* A stop outlives the jail, and is shown with it until it is taken back. */
bool jail_is_over(const Jail *jail)
{
    return jail->gone && !jail->door && jail->n_requests == 0 && jail->n_pending == 0 &&
           !switches_find(&jail->warden->switches, SWITCH_SCOPE_JAIL, jail->name);
}

/* Frees what is over. */
static void sweep(Warden *warden)
{
    for (Jail **link = &warden->jails; *link;) {
        Jail *jail = *link;
        if (!jail_is_over(jail)) {
            link = &jail->next;
            continue;
        }
        *link = jail->next;
        jail_free(jail);
    }
}

void jail_free(Jail *jail)
{
    jail_settings_done(&jail->settings);
    rates_done(&jail->rates);
    free(jail);
}

Jail *jail_get(Warden *warden, const char *name)
{
    Jail *jail = jail_by_name(warden, name);
    if (jail)
        return jail;
    sweep(warden);
    jail = calloc(1, sizeof *jail);
    if (!jail)
        return NULL;
    (void)snprintf(jail->name, sizeof jail->name, "%s", name);
    jail->warden = warden;
    jail->pending_max = policy_jail_defaults(name).limits.pending;
    jail->next = warden->jails;
    warden->jails = jail;
    return jail;
}

int jails_take(Warden *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    _cleanup_(jail_settings_done)
    JailSettings settings = JAIL_SETTINGS_EMPTY;

    int result = jail_settings_decode(&reader, &settings);
    if (result < 0 || !reader_done(&reader))
        return result < 0 ? result : -EPROTO;
    Jail *jail = jail_get(warden, settings.jail.name);
    if (!jail)
        return -ENOMEM;
    jail->gone = false;
    jail->pending_max = settings.jail.limits.pending;
    jail_settings_done(&jail->settings);
    jail->settings = settings;
    settings = JAIL_SETTINGS_EMPTY;
    return 0;
}

/* What runs is ended, what waits is cancelled, and nothing that was allowed is left. */
int jails_take_gone(Warden *warden, const LinkFrame *frame)
{
    static const char why[] = "its jail is no longer there";
    Reader reader = reader_of(frame->payload, frame->size);
    const char *name = reader_string(&reader);

    if (!reader_done(&reader))
        return -EPROTO;
    Jail *jail = jail_by_name(warden, name);
    if (!jail)
        return 0;
    jail->gone = true;
    jail_settings_done(&jail->settings);
    for (Request *request = jail->requests, *next; request; request = next) {
        next = request->next;
        request_on_jail_gone(request, why);
    }
    (void)questions_cancel(warden, jail, NULL, why);
    for (Grant *grant = warden->grants.first, *next; grant; grant = next) {
        next = grant->next;
        if (strcmp(grant->jail, jail->name) == 0)
            grant_end(warden, grant, why, NULL);
    }
    rates_done(&jail->rates);
    return 0;
}

const PolicyJail *jail_settings_under(const Jail *jail, const Policy *policy)
{
    const PolicyJail *said = policy_jail(policy, jail->name);

    if (said)
        return said;
    return jail->settings.memory && jail->settings.source != JAIL_OF_POLICY ? &jail->settings.jail
                                                                            : NULL;
}
