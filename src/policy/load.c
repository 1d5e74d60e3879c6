/*
 * From text to a policy: checks of the bytes, the YAML parser, the schema, the index, lint.
 *
 * libfyaml 0.7.12 takes some broken input for granted (bytes that are not UTF-8 become null, a
 * second document is ignored), so those are refused here first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/text.h"
#include "policy/index.h"
#include "policy/loader.h"

static void policy_freep(Policy **policy)
{
    (void)policy_free(*policy);
}

static void parser_freep(struct fy_parser **parser)
{
    if (*parser)
        fy_parser_destroy(*parser);
}

static void diag_freep(struct fy_diag **diag)
{
    if (*diag)
        fy_diag_destroy(*diag);
}

/* Control characters, and line breaks that editors and YAML count differently. */
static bool is_forbidden(uint32_t c, char next)
{
    if (c == '\r')
        return next != '\n';
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
           c == 0x2029 || c == 0xfeff;
}

/* Complains about the first character that no policy may hold. */
static bool bytes_are_clean(Loader *loader)
{
    size_t line_begin = 0;
    unsigned line = 1;

    for (size_t at = 0; at < loader->size;) {
        uint32_t c = 0;
        size_t step = text_utf8_size(loader->text + at, loader->size - at, &c);
        char next = at + 1 < loader->size ? loader->text[at + 1] : '\0';
        if (step == 0 || is_forbidden(c, next)) {
            problem_add(loader->problems, loader->name, line, (unsigned)(at - line_begin) + 1,
                        false, loader->text + at, step > 0 ? step : 1,
                        step > 0 ? "a control character; remove it"
                                 : "this byte is not UTF-8; save the file as UTF-8");
            return false;
        }
        at += step;
        if (c == '\n') {
            line++;
            line_begin = at;
        }
    }
    return true;
}

/* The line of the file that a syntax error is on. */
static void add_syntax_error(Loader *loader, const struct fy_diag_error *error)
{
    const char *at = loader->text, *end = loader->text + loader->size;
    int line = error->line > 0 ? error->line : 1;

    for (int i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    char message[256];
    (void)snprintf(message, sizeof message, "this is no YAML: %s",
                   error->msg ? error->msg : "syntax error");
    problem_add(loader->problems, loader->name, (unsigned)line,
                error->column > 0 ? (unsigned)error->column : 1, false, at,
                (size_t)((newline ? newline : end) - at), message);
}

static void add_syntax_errors(Loader *loader, struct fy_diag *diag)
{
    struct fy_diag_error *error;
    void *at = NULL;
    size_t before = loader->problems->n_errors;

    while ((error = fy_diag_errors_iterate(diag, &at)) != NULL)
        add_syntax_error(loader, error);
    if (loader->problems->n_errors == before)
        problem_add(loader->problems, loader->name, 1, 1, false, NULL, 0,
                    "this is no YAML that can be read");
}

static void read_document(Loader *loader, struct fy_document *document)
{
    struct fy_node *root = fy_document_root(document);

    loader->document = document;
    loader->place = root;
    struct fy_node *meant = root ? loader_follow(loader, root) : NULL;
    if (!meant || fy_node_is_null(meant))
        problem_add(loader->problems, loader->name, 1, 1, false, NULL, 0,
                    "the policy is empty; begin with default_action and rules");
    else
        schema_read(loader, meant);
}

static int read_yaml(Loader *loader)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.level = FYET_ERROR;
    _cleanup_(diag_freep)
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (!diag)
        return -ENOMEM;
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg config = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_ALLOW_DUPLICATE_KEYS,
        .diag = diag,
    };
    _cleanup_(parser_freep)
    struct fy_parser *parser = fy_parser_create(&config);
    if (!parser)
        return -ENOMEM;
    if (fy_parser_set_string(parser, loader->text, loader->size) < 0)
        return -ENOMEM;
    struct fy_document *document = fy_parse_load_document(parser);
    if (!document && fy_diag_got_error(diag)) {
        add_syntax_errors(loader, diag);
        return 0;
    }
    if (!document) {
        problem_add(loader->problems, loader->name, 1, 1, false, NULL, 0,
                    "the policy is empty; begin with default_action and rules");
        return 0;
    }
    read_document(loader, document);
    fy_parse_document_destroy(parser, document);
    document = fy_parse_load_document(parser);
    if (document) {
        problem_add(loader->problems, loader->name, 0, 0, false, "---", 3,
                    "the file holds a second document; a policy is one document");
        fy_parse_document_destroy(parser, document);
    } else if (fy_diag_got_error(diag)) {
        add_syntax_errors(loader, diag);
    }
    return 0;
}

static int load(Loader *loader)
{
    Policy *policy = loader->policy;
    DigestState state;
    Digest digest;

    if (loader->size > POLICY_FILE_SIZE_MAX) {
        problem_add(loader->problems, loader->name, 0, 0, false, NULL, 0,
                    "the file is larger than 8 MiB");
        return 0;
    }
    if (!bytes_are_clean(loader))
        return 0;
    digest_begin(&state);
    digest_add(&state, loader->text, loader->size);
    digest = digest_end(&state);
    (void)digest_format(&digest, policy->digest);
    int rc = read_yaml(loader);
    if (rc < 0)
        return rc;
    if (loader->error < 0)
        return loader->error;
    if (policy->arena.failed)
        return -ENOMEM;
    if (loader->problems->n_errors > loader->errors_before)
        return 0;
    lint_check(loader);
    return index_build(policy);
}

int policy_load_text(const char *name, const char *text, size_t size, Policy **ret,
                     PolicyProblems *problems)
{
    _cleanup_(policy_freep)
    Policy *policy = calloc(1, sizeof *policy);
    Loader loader = {.name = name, .text = text, .size = size, .policy = policy};

    *ret = NULL;
    if (!policy)
        return -ENOMEM;
    loader.problems = problems;
    loader.errors_before = problems->n_errors;
    int rc = load(&loader);
    problems_sort(problems);
    if (rc < 0)
        return rc;
    if (problems->n_errors > loader.errors_before)
        return 1;
    *ret = TAKE_PTR(policy);
    return 0;
}

/* Opens a regular file; what is none (a FIFO would make the reader wait, a device may do anything)
 * is not even opened. 0, -errno, or 1: it is none. */
static int open_regular(const char *path, int *ret_fd)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return 1;
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return 1;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int policy_load_file(const char *path, Policy **ret, PolicyProblems *problems)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_fd_ int fd = -EBADF;
    size_t size = 0;

    *ret = NULL;
    int rc = open_regular(path, &fd);
    if (rc > 0) {
        problem_add(problems, path, 0, 0, false, NULL, 0, "this is no regular file");
        return 1;
    }
    if (rc == 0)
        rc = fd_read_all(fd, POLICY_FILE_SIZE_MAX, &text, &size);
    if (rc == -EFBIG) {
        problem_add(problems, path, 0, 0, false, NULL, 0, "the file is larger than 8 MiB");
        return 1;
    }
    if (rc < 0)
        return rc;
    return policy_load_text(path, text, size, ret, problems);
}
