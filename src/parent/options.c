/*
 * See options.h. The configuration file is a flat YAML mapping of the long options' names; what
 * stands on the command line wins.
 */
#include "parent/options.h"

#include <errno.h>
#include <getopt.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "parent/places.h"

#define CONFIG_MAX (64u << 10)

typedef enum OptionId {
    OPTION_POLICY = 1,
    OPTION_SOCKET,
    OPTION_STATE_DIR,
    OPTION_RUN_DIR,
    OPTION_AUDIT,
    OPTION_API,
    OPTION_API_SOCKET,
    OPTION_API_HOST,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_SHIM,
    OPTION_ENGINE,
    OPTION_USER,
    OPTION_CONFIG,
    OPTION_CHECK,
    OPTION_DRY_RUN,
    OPTION_LOG,
    OPTION_VERSION,
    OPTION_HELP,
} OptionId;

static const struct option long_options[] = {
    {"policy", required_argument, NULL, OPTION_POLICY},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"run-dir", required_argument, NULL, OPTION_RUN_DIR},
    {"audit", required_argument, NULL, OPTION_AUDIT},
    {"api", required_argument, NULL, OPTION_API},
    {"api-socket", required_argument, NULL, OPTION_API_SOCKET},
    {"api-host", required_argument, NULL, OPTION_API_HOST},
    {"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
    {"tls-key", required_argument, NULL, OPTION_TLS_KEY},
    {"shim", required_argument, NULL, OPTION_SHIM},
    {"engine", required_argument, NULL, OPTION_ENGINE},
    {"user", required_argument, NULL, OPTION_USER},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"log", required_argument, NULL, OPTION_LOG},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "Usage: clawrden-warden --policy FILE [OPTIONS]\n"
    "Judges, asks about, runs and records the commands that agents start.\n"
    "\n"
    "  --policy FILE      the policy (required; see clawrden-policy(5))\n"
    "  --run-dir DIR      sockets (default /run/clawrden)\n"
    "  --socket PATH      another name for the default jail's socket\n"
    "                     (default RUN-DIR/warden.sock, where shims look for it)\n"
    "  --api-socket PATH  the operators' socket (default RUN-DIR/api/api.sock)\n"
    "  --state-dir DIR    what must survive (default /var/lib/clawrden)\n"
    "  --audit FILE       the journal (default /var/log/clawrden/audit.log)\n"
    "  --user NAME        run as NAME, NAME-door and NAME-api (default clawrden)\n"
    "  --api ADDR:PORT    the dashboard and the api by TCP, with logins and tokens (default\n"
    "                     127.0.0.1:8080; port 0: any, said when ready), or none\n"
    "  --api-host NAME    a name besides its address that clients may call it by (may be\n"
    "                     given again, or a list with commas)\n"
    "  --tls-cert FILE    the certificate and its chain, PEM; needed off loopback\n"
    "  --tls-key FILE     its key, PEM, without a pass phrase\n"
    "  --shim FILE        the clawrden-shim for the jails' directories (default: the one beside\n"
    "                     this program, or in ../bin)\n"
    "  --engine PLACE     follow the labels of a container engine's containers:\n"
    "                     unix:///PATH, or none (default)\n"
    "  --config FILE      these options as a YAML mapping; the command line wins\n"
    "  --check            check the policy and exit: 0 good, 1 not\n"
    "  --dry-run          judge and record, run nothing\n"
    "  --log json|text    the program's own log on stderr (default text)\n"
    "  --version, --help\n"
    "\n"
    "As an ordinary user the directories are those of the XDG specification, everything runs\n"
    "as that user, and there is no boundary between the agent and the warden.\n";

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
    va_list arguments;

    (void)fprintf(stderr, "clawrden-warden: ");
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\nTry 'clawrden-warden --help'.\n");
    return 2;
}

/* Sets a string option unless the command line has set it before. */
static void set_text(char **option, const char *value, bool only_if_unset)
{
    if (*option && only_if_unset)
        return;
    free(*option);
    *option = strdup(value);
}

static int set_flag(bool *option, const char *name, const char *value)
{
    if (!value || strcmp(value, "true") == 0)
        *option = true;
    else if (strcmp(value, "false") != 0)
        return complain("%s is true or false", name);
    return 0;
}

/* Names as a client writes them into Host, without a port. */
static int add_hosts(Options *options, const char *value)
{
    _cleanup_free_ char *copy = strdup(value);
    char *rest = NULL;

    for (char *name = copy ? strtok_r(copy, ",", &rest) : NULL; name;
         name = strtok_r(NULL, ",", &rest)) {
        char *longer = NULL;
        if (strlen(name) > 253 ||
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789.-_") != strlen(name))
            return complain("--api-host %s: give names without scheme and port", value);
        if (asprintf(&longer, "%s%s\n", options->api_hosts ? options->api_hosts : "", name) < 0)
            return complain("out of memory");
        free(options->api_hosts);
        options->api_hosts = longer;
    }
    return 0;
}

/* "none" is kept as it is until all has been read, so that the command line wins with it too. */
static int set_engine(Options *options, const char *value, bool only_if_unset)
{
    static const char scheme[] = "unix://";

    if (strcmp(value, "none") != 0 &&
        (strncmp(value, scheme, sizeof scheme - 1) != 0 || value[sizeof scheme - 1] != '/'))
        return complain("--engine %s: give unix:///PATH of the engine's socket, or none", value);
    set_text(&options->engine, value, only_if_unset);
    return 0;
}

static int apply(Options *options, OptionId id, const char *value, bool from_file)
{
    switch (id) {
    case OPTION_POLICY:
        set_text(&options->policy, value, from_file);
        return 0;
    case OPTION_SOCKET:
        set_text(&options->socket, value, from_file);
        return 0;
    case OPTION_STATE_DIR:
        set_text(&options->state_dir, value, from_file);
        return 0;
    case OPTION_RUN_DIR:
        set_text(&options->run_dir, value, from_file);
        return 0;
    case OPTION_AUDIT:
        set_text(&options->audit, value, from_file);
        return 0;
    case OPTION_API_SOCKET:
        set_text(&options->api_socket, value, from_file);
        return 0;
    case OPTION_USER:
        set_text(&options->user, value, from_file);
        return 0;
    case OPTION_API:
        set_text(&options->api, value, from_file);
        return 0;
    case OPTION_API_HOST:
        return add_hosts(options, value);
    case OPTION_TLS_CERT:
        set_text(&options->tls_cert, value, from_file);
        return 0;
    case OPTION_TLS_KEY:
        set_text(&options->tls_key, value, from_file);
        return 0;
    case OPTION_SHIM:
        set_text(&options->shim, value, from_file);
        return 0;
    case OPTION_ENGINE:
        return set_engine(options, value, from_file);
    case OPTION_CHECK:
        return set_flag(&options->check, "check", value);
    case OPTION_DRY_RUN:
        return set_flag(&options->dry_run, "dry-run", value);
    case OPTION_LOG:
        if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
            return complain("--log is json or text, not %s", value);
        options->log_json = strcmp(value, "json") == 0;
        return 0;
    case OPTION_CONFIG:
    case OPTION_VERSION:
    case OPTION_HELP:
    default:
        return complain("%s does not belong into a configuration file", long_options[id - 1].name);
    }
}

static const struct option *find_option(const char *name)
{
    for (const struct option *option = long_options; option->name; option++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

static int apply_pair(Options *options, const char *path, struct fy_node_pair *pair)
{
    const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
    const char *value = fy_node_get_scalar0(fy_node_pair_value(pair));
    const struct option *option = key ? find_option(key) : NULL;

    if (!option) {
        (void)fprintf(stderr,
                      "clawrden-warden: %s: unknown key '%s' (keys are the names of the "
                      "long options)\n",
                      path, key ? key : "?");
        return 2;
    }
    if (!value) {
        (void)fprintf(stderr, "clawrden-warden: %s: %s needs a plain value\n", path, key);
        return 2;
    }
    return apply(options, (OptionId)option->val, value, true);
}

/* The file's text; it is obeyed like the command line, so nobody else may be able to change it. */
static char *read_file(const char *path)
{
    _cleanup_fd_ int fd = place_trusted_file(path, geteuid());
    Buffer text = BUFFER_EMPTY(CONFIG_MAX);
    ssize_t got = 0;

    if (fd < 0) {
        (void)complain("%s: %s", path, place_problem(fd));
        return NULL;
    }
    for (char *room; (room = buffer_reserve(&text, 4096)) && (got = read(fd, room, 4096)) > 0;)
        buffer_grow(&text, (size_t)got);
    char *result = got == 0 ? buffer_take_string(&text) : NULL;
    buffer_done(&text);
    if (!result)
        (void)complain("%s: cannot be read, or is larger than %u bytes", path, CONFIG_MAX);
    return result;
}

/* What the parser says about the place, instead of its own lines on stderr. */
static int complain_about_syntax(const char *path, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);

    if (error && error->msg)
        return complain("%s:%d:%d: %s", path, error->line, error->column, error->msg);
    return complain("%s: not a YAML mapping of options", path);
}

static int apply_text(Options *options, const char *path, const char *text, struct fy_diag *diag)
{
    struct fy_parse_cfg configuration = {.flags = FYPCF_DEFAULT_PARSE, .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&configuration, text, FY_NT);
    struct fy_node *root = document ? fy_document_root(document) : NULL;
    int result = 0;

    if (!root || !fy_node_is_mapping(root)) {
        fy_document_destroy(document);
        return complain_about_syntax(path, diag);
    }
    void *iterator = NULL;
    for (struct fy_node_pair *pair;
         result == 0 && (pair = fy_node_mapping_iterate(root, &iterator)) != NULL;)
        result = apply_pair(options, path, pair);
    fy_document_destroy(document);
    return result;
}

static int apply_file(Options *options, const char *path)
{
    struct fy_diag_cfg quiet;
    _cleanup_free_ char *text = read_file(path);

    if (!text)
        return 2;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    quiet.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&quiet);
    if (!diag)
        return complain("out of memory");
    fy_diag_set_collect_errors(diag, true);
    int result = apply_text(options, path, text, diag);
    fy_diag_destroy(diag);
    return result;
}

static char *join(const char *directory, const char *rest)
{
    char *path = NULL;
    return asprintf(&path, "%s%s", directory, rest) < 0 ? NULL : path;
}

/* A directory of the XDG base directory specification, or its fallback below $HOME. NULL, said,
 * when there is neither: a place that others could take must not be made up. */
static char *xdg(const char *option, const char *variable, const char *fallback)
{
    const char *value = getenv(variable), *home = getenv("HOME");

    if (value && value[0] == '/')
        return join(value, "/clawrden");
    if (home && home[0] == '/')
        return join(home, fallback);
    (void)complain("neither %s nor HOME names a directory: give %s DIR", variable, option);
    return NULL;
}

static int fill_defaults(Options *options)
{
    bool root = geteuid() == 0;

    if (!options->run_dir)
        options->run_dir = root ? strdup("/run/clawrden")
                                : xdg("--run-dir", "XDG_RUNTIME_DIR", "/.local/state/clawrden/run");
    if (!options->run_dir)
        return 2;
    if (!options->state_dir)
        options->state_dir = root ? strdup("/var/lib/clawrden")
                                  : xdg("--state-dir", "XDG_STATE_HOME", "/.local/state/clawrden");
    if (!options->state_dir)
        return 2;
    if (!options->audit)
        options->audit = root ? strdup("/var/log/clawrden/audit.log")
                              : join(options->state_dir, "/log/audit.log");
    if (!options->socket) /* where shims look by default */
        options->socket = join(options->run_dir, "/warden.sock");
    if (!options->api_socket)
        options->api_socket = join(options->run_dir, "/api/api.sock");
    if (!options->user)
        options->user = strdup("clawrden");
    if (!options->api)
        options->api = strdup("127.0.0.1:8080");
    return 0;
}

/* Options that belong together. */
static int check_sense(const Options *options)
{
    bool none = strcmp(options->api, "none") == 0;

    if (!options->tls_cert != !options->tls_key)
        return complain("--tls-cert and --tls-key belong together");
    if (none && (options->tls_cert || options->api_hosts))
        return complain("with --api none there is nothing that --tls-cert, --tls-key or --api-host "
                        "could be about");
    return 0;
}

static int make_absolute(char **path)
{
    if (!*path || (*path)[0] == '/')
        return 0;
    _cleanup_free_ char *here = getcwd(NULL, 0);
    char *absolute = NULL;
    if (!here || asprintf(&absolute, "%s/%s", here, *path) < 0)
        return complain("%s: cannot find the current directory", *path);
    free(*path);
    *path = absolute;
    return 0;
}

/* From "unix:///PATH" or "none" to a path or NULL. */
static int settle_engine(Options *options)
{
    char *path = NULL;

    if (options->engine && strcmp(options->engine, "none") != 0) {
        path = strdup(options->engine + strlen("unix://"));
        if (!path)
            return complain("out of memory");
    }
    free(options->engine);
    options->engine = path;
    return 0;
}

static int make_all_absolute(Options *options)
{
    char **paths[] = {&options->policy,   &options->socket,  &options->state_dir,
                      &options->run_dir,  &options->audit,   &options->api_socket,
                      &options->tls_cert, &options->tls_key, &options->shim};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (make_absolute(paths[i]) != 0)
            return 2;
    return 0;
}

int options_parse(int argc, char **argv, Options *ret)
{
    _cleanup_free_ char *config = NULL;
    int id, result = 0;

    *ret = (Options){.policy = NULL};
    while (result == 0 && (id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (id == OPTION_VERSION) {
            (void)puts("clawrden-warden " CLAWRDEN_VERSION);
            return 1;
        }
        if (id == OPTION_HELP) {
            (void)fputs(usage, stdout);
            return 1;
        }
        if (id == '?')
            return 2;
        if (id == OPTION_CONFIG)
            set_text(&config, optarg, false);
        else
            result = apply(ret, (OptionId)id, optarg, false);
    }
    if (result == 0 && optind < argc)
        result = complain("unexpected word '%s'", argv[optind]);
    if (result == 0 && config)
        result = apply_file(ret, config);
    if (result == 0 && !ret->policy)
        result = complain("%s is required", "--policy FILE");
    if (result != 0)
        return result;
    result = fill_defaults(ret);
    if (result == 0)
        result = check_sense(ret);
    if (result == 0)
        result = settle_engine(ret);
    return result != 0 ? result : make_all_absolute(ret);
}

void options_done(Options *options)
{
    free(options->policy);
    free(options->socket);
    free(options->state_dir);
    free(options->run_dir);
    free(options->audit);
    free(options->api_socket);
    free(options->user);
    free(options->api);
    free(options->tls_cert);
    free(options->tls_key);
    free(options->api_hosts);
    free(options->engine);
    free(options->shim);
}
