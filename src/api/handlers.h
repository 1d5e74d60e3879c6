/*
 * What each route does. A handler answers its call, puts a question to the warden, or begins a
 * stream, once.
 */
#pragma once

#include "api/caller.h"

/* handlers.c */
void handle_health(Caller *caller);
void handle_ready(Caller *caller);
void handle_status(Caller *caller);
void handle_queue(Caller *caller);
void handle_approve(Caller *caller);
void handle_deny(Caller *caller);
void handle_containers(Caller *caller);
void handle_grants(Caller *caller);
void handle_revoke(Caller *caller);
void handle_jails(Caller *caller);
void handle_jail(Caller *caller);
void handle_policy(Caller *caller);
void handle_policy_test(Caller *caller);
void handle_reload(Caller *caller);
/* False when the body holds a member that is not among `names` (NULL-terminated); answered. */
bool handler_only_members(Caller *caller, const char *const *names);
/* A question that is its actor alone. */
void handler_ask_plain(Caller *caller, uint16_t type);

/* handle-control.c */
void handle_kill(Caller *caller);
void handle_pause(Caller *caller);
void handle_resume(Caller *caller);

/* handle-jails.c */
void handle_jail_create(Caller *caller);
void handle_jail_change(Caller *caller);
void handle_jail_delete(Caller *caller);

/* handle-login.c */
void handle_login(Caller *caller);
void handle_logout(Caller *caller);
void handle_session(Caller *caller);
void handle_password(Caller *caller);

/* handle-tokens.c */
void handle_tokens(Caller *caller);
void handle_token_create(Caller *caller);
void handle_token_revoke(Caller *caller);
/* What a token or user is to be called (NULL: nothing was given). False: answered. */
bool handler_name_is_well_formed(Caller *caller, const char *name);
bool handler_name_is_free(Caller *caller, const char *name);
/* The members "role" and "jails". False: answered. `ret_jails` is the caller's. */
bool handler_read_standing(Caller *caller, ActorRole *ret_role, char **ret_jails);

/* The file of identities can be used. False: answered. */
bool handler_store_usable(Caller *caller);

/* handle-users.c */
void handle_users(Caller *caller);
void handle_user_create(Caller *caller);
void handle_user_change(Caller *caller);
void handle_user_delete(Caller *caller);

/* handle-asset.c: a file of the dashboard. False: there is none of that path, nothing answered. */
bool handle_asset(Caller *caller);

/* metrics.c, events.c, history.c */
void handle_metrics(Caller *caller);
void handle_events(Caller *caller);
void handle_history(Caller *caller);
