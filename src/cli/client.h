/*
 * The HTTP client of the operator's verbs: one call, one JSON answer, over a unix socket or TCP.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "cli/cli.h"

/* Where the warden's api is when nobody says: "unix:PATH" that the caller frees, or NULL. */
char *client_default_api(void);
/* The path in "unix:PATH" or "/PATH", or NULL when the api is a URL. */
const char *client_socket_path(const char *api);

typedef struct ClientAnswer {
    long status;  /* HTTP */
    json_t *json; /* owned; NULL when the body is no JSON */
    char *text;   /* owned; the body */
} ClientAnswer;

void client_answer_done(ClientAnswer *answer);

/* Calls the api. CLI_DONE when an answer came, whatever its status; otherwise what went wrong is
 * in `ret_words` (owned by the caller) and CLI_UNREACHABLE or CLI_USAGE is returned. */
int client_try(const Cli *cli, const char *method, const char *path, const json_t *body,
               ClientAnswer *ret, char **ret_words);

/* The same for verbs: what went wrong, and answers that are refusals, have been printed, and the
 * exit code is returned. CLI_DONE: `ret` holds a 2xx answer with JSON. */
int client_call(const Cli *cli, const char *method, const char *path, const json_t *body,
                ClientAnswer *ret);
/* Whether the answer is a 2xx with a JSON object. */
bool client_succeeded(const ClientAnswer *answer);
/* Prints the refusal that an answer is (with --json also as a document), after which `more` (may be
 * NULL) says what helps. Returns the exit code. */
int client_refused(const Cli *cli, const ClientAnswer *answer, const char *more);
/* The answer's words for humans, in display form, never empty; owned by the caller. */
char *client_words(const ClientAnswer *answer);

/* "path?name=value…": appends one parameter, percent-encoded (RFC 3986); nothing when the value
 * is NULL. */
void client_put_parameter(Buffer *path, const char *name, const char *value);
