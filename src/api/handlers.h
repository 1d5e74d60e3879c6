/*
 * What each route does. A handler answers its call or puts a question to the warden, once.
 */
#pragma once

#include "api/caller.h"

void handle_health(Caller *caller);
void handle_ready(Caller *caller);
void handle_status(Caller *caller);
void handle_queue(Caller *caller);
void handle_approve(Caller *caller);
void handle_deny(Caller *caller);
void handle_kill(Caller *caller);
void handle_resume(Caller *caller);
void handle_reload(Caller *caller);
