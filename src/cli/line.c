/*
 * See line.h. A bearer token never travels in the clear off this machine.
 */
#include "cli/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "cli/access.h"

#define ANSWER_MAX (64u << 20)
#define CONNECT_TIMEOUT_MS 5000L
#define CALL_TIMEOUT_MS 30000L

Line *line_free(Line *line)
{
    if (!line)
        return NULL;
    if (line->curl)
        curl_easy_cleanup(line->curl);
    curl_slist_free_all(line->headers);
    if (line->body) /* it may hold a password */
        explicit_bzero(line->body, strlen(line->body));
    free(line->body);
    buffer_done(&line->answer);
    free(line);
    return NULL;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *userdata)
{
    Buffer *body = userdata;
    buffer_put(body, bytes, size * count);
    return body->error ? 0 : size * count;
}

static bool is_loopback(const char *url)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        size_t size = strlen(hosts[i]);
        /* "http://localhost:x@elsewhere/" is elsewhere. */
        if (strncasecmp(url, hosts[i], size) == 0 && strchr(":/", url[size]) && !strchr(url, '@'))
            return true;
    }
    return false;
}

/* NULL, or why this api and token cannot be used. */
static const char *check_place(const Cli *cli)
{
    if (!cli->api)
        return "out of memory";
    if (cli->token && strpbrk(cli->token, "\r\n"))
        return "the token has a line break in it";
    if (client_socket_path(cli->api) || strncasecmp(cli->api, "https://", 8) == 0)
        return NULL;
    if (strncasecmp(cli->api, "http://", 7) != 0)
        return "--api wants unix:PATH or an http:// or https:// URL";
    if (cli->token && !is_loopback(cli->api))
        return "a token is not sent in the clear to another machine: use https://";
    return NULL;
}

int line_add_header(Line *line, const char *text)
{
    struct curl_slist *grown = curl_slist_append(line->headers, text);
    if (!grown)
        return -ENOMEM;
    line->headers = grown;
    return 0;
}

static int add_headers(Line *line, const Cli *cli)
{
    char *bearer = NULL;
    int result = line_add_header(line, "Accept: application/json");

    if (result == 0)
        result = line_add_header(line, "Expect:");
    if (result == 0 && line->body)
        result = line_add_header(line, "Content-Type: application/json");
    if (result < 0 || !cli->token)
        return result;
    if (asprintf(&bearer, "Authorization: Bearer %s", cli->token) < 0)
        return -ENOMEM;
    result = line_add_header(line, bearer);
    explicit_bzero(bearer, strlen(bearer));
    free(bearer);
    return result;
}

static int set_url(Line *line, const Cli *cli, const char *path)
{
    const char *base = client_socket_path(cli->api) ? "http://localhost" : cli->api;
    size_t size = strlen(base);
    _cleanup_free_ char *url = NULL;

    while (size > 0 && base[size - 1] == '/')
        size--;
    if (asprintf(&url, "%.*s%s", (int)size, base, path) < 0)
        return -ENOMEM;
    return curl_easy_setopt(line->curl, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

static void set_options(Line *line, const Cli *cli, const char *method)
{
    CURL *curl = line->curl;
    const char *socket_path = client_socket_path(cli->api);

    if (socket_path)
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    if (cli->ca_file)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, cli->ca_file);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CALL_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "clawrden-cli/" CLAWRDEN_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &line->answer);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, line->detail);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, line->headers);
    if (line->body || strcmp(method, "POST") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE,
                               line->body ? (long)strlen(line->body) : 0L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, line->body ? line->body : "");
    }
}

Line *line_new(const Cli *cli, const char *method, const char *path, const json_t *body,
               char **ret_words, int *ret_exit)
{
    const char *mistake = check_place(cli);

    *ret_words = NULL;
    if (mistake) {
        *ret_words = strdup(mistake);
        *ret_exit = CLI_USAGE;
        return NULL;
    }
    Line *line = calloc(1, sizeof *line);
    if (line) {
        line->answer = BUFFER_EMPTY(ANSWER_MAX);
        line->curl = curl_easy_init();
        line->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
    }
    if (!line || !line->curl || (body && !line->body) || add_headers(line, cli) < 0 ||
        set_url(line, cli, path) < 0) {
        *ret_words = strdup("out of memory");
        *ret_exit = CLI_UNREACHABLE;
        return line_free(line);
    }
    set_options(line, cli, method);
    return line;
}

void line_take_answer(Line *line, ClientAnswer *ret)
{
    *ret = (ClientAnswer){0};
    (void)curl_easy_getinfo(line->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    ret->json = json_loadb(buffer_head(&line->answer), buffer_size(&line->answer),
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    ret->text = buffer_take_string(&line->answer);
}

char *line_failure(const Line *line, const Cli *cli, CURLcode code)
{
    const char *why = line->detail[0] ? line->detail : curl_easy_strerror(code);
    _cleanup_free_ char *hint = NULL;
    long os_error = 0;
    char *words = NULL;

    (void)curl_easy_getinfo(line->curl, CURLINFO_OS_ERRNO, &os_error);
    if (os_error != 0 && code == CURLE_COULDNT_CONNECT)
        why = strerror((int)os_error);
    if (code == CURLE_WRITE_ERROR)
        why = "the answer is too large";
    else if (os_error == EACCES || os_error == EPERM)
        hint = access_hint(cli);
    else if (os_error == ENOENT || os_error == ECONNREFUSED)
        hint = strdup("is clawrden-warden running? --api says where it listens");
    if (asprintf(&words, "cannot reach the warden at %s: %s%s%s", cli->api, why, hint ? "\n" : "",
                 hint ? hint : "") < 0)
        return NULL;
    return words;
}
