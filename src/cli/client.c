/*
 * See client.h. libcurl, held short: http and https only, no proxies, no redirects, bounded time
 * and size. A bearer token never travels in the clear off this machine.
 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define ANSWER_MAX (16u << 20)
#define CONNECT_TIMEOUT_MS 5000L
#define CALL_TIMEOUT_MS 30000L
#define SYSTEM_API "/run/clawrden/api/api.sock"

static void slist_freep(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static void easy_cleanupp(CURL **curl)
{
    if (*curl)
        curl_easy_cleanup(*curl);
}

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

static int add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *grown = curl_slist_append(*list, text);
    if (!grown)
        return -1;
    *list = grown;
    return 0;
}

static struct curl_slist *make_headers(const Cli *cli, bool body)
{
    struct curl_slist *list = NULL;
    char *bearer = NULL;
    int result = add_header(&list, "Accept: application/json");

    if (result == 0)
        result = add_header(&list, "Expect:");
    if (result == 0 && body)
        result = add_header(&list, "Content-Type: application/json");
    if (result == 0 && cli->token) {
        result = asprintf(&bearer, "Authorization: Bearer %s", cli->token);
        if (result >= 0)
            result = add_header(&list, bearer);
        free(bearer);
    }
    if (result < 0) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static char *make_url(const Cli *cli, const char *path)
{
    char *url = NULL;
    const char *base = client_socket_path(cli->api) ? "http://localhost" : cli->api;
    size_t size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    return asprintf(&url, "%.*s%s", (int)size, base, path) < 0 ? NULL : url;
}

static void set_options(CURL *curl, const Cli *cli, const char *method, const char *body,
                        Buffer *answer)
{
    const char *socket_path = client_socket_path(cli->api);

    if (socket_path)
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CALL_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "clawrden-cli/" CLAWRDEN_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (body || strcmp(method, "GET") != 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, body ? (long)strlen(body) : 0L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
    }
}

/* In words that say what to do. */
static char *explain_failure(CURL *curl, const Cli *cli, CURLcode code, const char *detail)
{
    long os_error = 0;
    char *words = NULL;
    const char *why = detail[0] ? detail : curl_easy_strerror(code), *hint = "";

    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
    if (os_error != 0)
        why = strerror((int)os_error);
    if (os_error == EACCES || os_error == EPERM)
        hint = " (operators are root and the members of the clawrden group)";
    else if (os_error == ENOENT || os_error == ECONNREFUSED)
        hint = " (is clawrden-warden running? --api says where it listens)";
    else if (code == CURLE_WRITE_ERROR)
        why = "the answer is too large";
    if (asprintf(&words, "cannot reach the warden at %s: %s%s", cli->api, why, hint) < 0)
        return NULL;
    return words;
}

int client_try(const Cli *cli, const char *method, const char *path, const json_t *body,
               ClientAnswer *ret, char **ret_words)
{
    Buffer bytes = BUFFER_EMPTY(ANSWER_MAX);
    char detail[CURL_ERROR_SIZE] = "";

    *ret = (ClientAnswer){0};
    *ret_words = NULL;
    const char *mistake = check_place(cli);
    if (mistake) {
        *ret_words = strdup(mistake);
        return CLI_USAGE;
    }
    _cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    _cleanup_free_ char *url = make_url(cli, path);
    _cleanup_(slist_freep)
    struct curl_slist *headers = make_headers(cli, body != NULL);
    _cleanup_(easy_cleanupp)
    CURL *curl = curl_easy_init();
    if ((body && !text) || !url || !headers || !curl) {
        *ret_words = strdup("out of memory");
        return CLI_UNREACHABLE;
    }
    set_options(curl, cli, method, text, &bytes);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);

    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        *ret_words = explain_failure(curl, cli, code, detail);
        buffer_done(&bytes);
        return CLI_UNREACHABLE;
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    ret->json = json_loadb(buffer_head(&bytes), buffer_size(&bytes),
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    ret->text = buffer_take_string(&bytes);
    return CLI_DONE;
}

/* With --json every end is a document. */
static void print_failure(const Cli *cli, const char *words, const char *code)
{
    cli_error("%s", words ? words : "out of memory");
    if (!cli->json)
        return;
    json_t *document = json_pack("{s:s, s:s}", "error", words ? words : "", "code", code);
    (void)json_dumpf(document, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
    json_decref(document);
}

int client_call(const Cli *cli, const char *method, const char *path, const json_t *body,
                ClientAnswer *ret)
{
    _cleanup_free_ char *words = NULL;
    int result = client_try(cli, method, path, body, ret, &words);

    if (result != CLI_DONE) {
        print_failure(cli, words, result == CLI_USAGE ? "usage" : "unreachable");
        return result;
    }
    if (ret->status >= 200 && ret->status <= 299 && json_is_object(ret->json))
        return CLI_DONE;

    const char *said = json_string_value(json_object_get(ret->json, "error"));
    const char *code = json_string_value(json_object_get(ret->json, "code"));
    char other[64];
    (void)snprintf(other, sizeof other, "the api answered with status %ld", ret->status);
    print_failure(cli, said ? said : other, code ? code : "refused");
    bool away = ret->status >= 502 && ret->status <= 504;
    client_answer_done(ret);
    return away ? CLI_UNREACHABLE : CLI_REFUSED;
}
