/*
 * See client.h.
 */
#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/access.h"
#include "cli/line.h"
#include "cli/show.h"

#define SYSTEM_API "/run/clawrden/api/api.sock"

void client_answer_done(ClientAnswer *answer)
{
    json_decref(answer->json);
    free(answer->text);
    *answer = (ClientAnswer){0};
}

char *client_default_api(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
    char *place = NULL;
    int result;

    if (geteuid() == 0 || access(SYSTEM_API, R_OK | W_OK) == 0)
        result = asprintf(&place, "unix:" SYSTEM_API);
    else if (runtime && runtime[0] == '/')
        result = asprintf(&place, "unix:%s/clawrden/api/api.sock", runtime);
    else
        result =
            asprintf(&place, "unix:%s/.local/state/clawrden/run/api/api.sock", home ? home : "");
    return result < 0 ? NULL : place;
}

const char *client_socket_path(const char *api)
{
    if (strncmp(api, "unix:", 5) == 0)
        return api + 5;
    return api[0] == '/' ? api : NULL;
}

static void line_freep(Line **line)
{
    (void)line_free(*line);
}

int client_try(const Cli *cli, const char *method, const char *path, const json_t *body,
               ClientAnswer *ret, char **ret_words)
{
    int result = CLI_UNREACHABLE;

    *ret = (ClientAnswer){0};
    _cleanup_(line_freep)
    Line *line = line_new(cli, method, path, body, ret_words, &result);
    if (!line)
        return result;
    CURLcode code = curl_easy_perform(line->curl);
    if (code != CURLE_OK) {
        *ret_words = line_failure(line, cli, code);
        return CLI_UNREACHABLE;
    }
    line_take_answer(line, ret);
    return CLI_DONE;
}

/* With --json every end is a document. */
static void print_failure(const Cli *cli, const char *words, const char *code, const char *more)
{
    words = words ? words : "out of memory";
    cli_error("%s%s%s", words, more ? "\n" : "", more ? more : "");
    if (!cli->json)
        return;
    json_t *document = json_pack("{s:s, s:s}", "error", words, "code", code);
    _cleanup_free_ char *text = show_dump(document, JSON_COMPACT);
    (void)puts(text ? text : "");
    json_decref(document);
}

bool client_succeeded(const ClientAnswer *answer)
{
    return answer->status >= 200 && answer->status <= 299 && json_is_object(answer->json);
}

char *client_words(const ClientAnswer *answer)
{
    const json_t *said = json_object_get(answer->json, "error");
    Buffer out = BUFFER_EMPTY(1 << 16);

    if (json_is_string(said))
        text_display_again(&out, json_string_value(said), json_string_length(said), 4000);
    else
        buffer_printf(&out, "the api answered with status %ld", answer->status);
    return buffer_take_string(&out);
}

int client_refused(const Cli *cli, const ClientAnswer *answer, const char *more)
{
    const char *said = json_string_value(json_object_get(answer->json, "error"));
    const char *code = json_string_value(json_object_get(answer->json, "code"));
    bool outsider = answer->status == 403 && code && strcmp(code, "forbidden") == 0 && !cli->token;
    _cleanup_free_ char *hint = outsider && !more ? access_hint(cli) : NULL;
    char other[64];

    (void)snprintf(other, sizeof other, "the api answered with status %ld", answer->status);
    print_failure(cli, said ? said : other, code ? code : "refused", hint ? hint : more);
    return answer->status >= 502 && answer->status <= 504 ? CLI_UNREACHABLE : CLI_REFUSED;
}

int client_call(const Cli *cli, const char *method, const char *path, const json_t *body,
                ClientAnswer *ret)
{
    _cleanup_free_ char *words = NULL;
    int result = client_try(cli, method, path, body, ret, &words);

    if (result != CLI_DONE) {
        print_failure(cli, words, result == CLI_USAGE ? "usage" : "unreachable", NULL);
        return result;
    }
    if (client_succeeded(ret))
        return CLI_DONE;
    result = client_refused(cli, ret, NULL);
    client_answer_done(ret);
    return result;
}

void client_put_parameter(Buffer *path, const char *name, const char *value)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

    if (!value)
        return;
    bool first = !memchr(buffer_head(path), '?', buffer_size(path));
    buffer_printf(path, "%s%s=", first ? "?" : "&", name);
    for (const char *c = value; *c; c++) {
        if (strchr(plain, *c))
            buffer_put_u8(path, (uint8_t)*c);
        else
            buffer_printf(path, "%%%02X", (unsigned char)*c);
    }
}
