/*
 * The options that every verb shares: where the api is, who we are to it, how answers are printed.
 *
 * A token is a secret. On a command line other users of the machine can see it in the list of
 * processes; it is wiped from there at once, but a moment is enough. CLAWRDEN_TOKEN and
 * --token-file do not have that moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"

#define TOKEN_MAX 4096u

const struct option cli_globals[CLI_GLOBALS] = {
    {"api", required_argument, NULL, 0},
    {"token", required_argument, NULL, 0},
    {"token-file", required_argument, NULL, 0},
    {"ca-file", required_argument, NULL, 0},
    {"json", no_argument, NULL, 0},
};

static void forget_token(Cli *cli)
{
    if (cli->token)
        explicit_bzero(cli->token, strlen(cli->token));
    free(cli->token);
    cli->token = NULL;
}

void cli_done(Cli *cli)
{
    forget_token(cli);
}

static int set_token(Cli *cli, const char *token)
{
    forget_token(cli);
    if (token[0] == '\0')
        return CLI_DONE;
    cli->token = strdup(token);
    if (cli->token)
        return CLI_DONE;
    cli_error("out of memory");
    return CLI_REFUSED;
}

/* The file's first line. */
static int read_token(Cli *cli, const char *path)
{
    char text[TOKEN_MAX + 1];
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, TOKEN_MAX);

    if (size < 0) {
        cli_error("cannot read the token in %s: %m", path);
        return CLI_USAGE;
    }
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    int result = set_token(cli, text);
    if (result == CLI_DONE && !cli->token) {
        cli_error("there is no token in the first line of %s", path);
        result = CLI_USAGE;
    }
    explicit_bzero(text, sizeof text);
    return result;
}

int cli_set_global(Cli *cli, const char *name, char *value)
{
    int result = CLI_DONE;

    if (strcmp(name, "json") == 0) {
        cli->json = true;
    } else if (strcmp(name, "api") == 0) {
        cli->api = value;
    } else if (strcmp(name, "ca-file") == 0) {
        cli->ca_file = value;
    } else if (strcmp(name, "token-file") == 0) {
        result = read_token(cli, value);
    } else {
        result = set_token(cli, value);
        memset(value, 'x', strlen(value));
    }
    return result;
}
