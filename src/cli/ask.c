/*
 * See ask.h. The terminal's echo comes back whatever ends the question: a signal that would end us
 * is let in only while we wait for a key; it is noticed, echo restored, and the signal raised again
 * (termios(3), ppoll(2)).
 */
#include "cli/ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"

#define LINE_SIZE 1026u

bool ask_is_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool ask_yes(const char *question)
{
    char answer[16];

    (void)fprintf(stderr, "%s [y/N] ", question);
    if (!fgets(answer, sizeof answer, stdin)) {
        (void)fputc('\n', stderr);
        return false;
    }
    answer[strcspn(answer, "\n")] = '\0';
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

static volatile sig_atomic_t pending_signal;

static void on_signal(int number)
{
    pending_signal = number;
}

/* One line into `line`, by single bytes: nothing is left behind in a stdio buffer. Waits with
 * `signals` blocked. The size without the line's end; -ENODATA: there is none, -EINTR, -E2BIG,
 * -errno. */
static ssize_t read_line(char *line, size_t room, const sigset_t *signals)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    size_t size = 0;

    for (;;) {
        char byte;
        if (signals && ppoll(&in, 1, NULL, signals) < 0)
            return -errno;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0)
            return -errno;
        if (got == 0 && size == 0)
            return -ENODATA;
        if (got == 0 || byte == '\n')
            break;
        if (size + 1 >= room)
            return -E2BIG;
        line[size++] = byte;
    }
    if (size > 0 && line[size - 1] == '\r')
        size--;
    line[size] = '\0';
    return (ssize_t)size;
}

static ssize_t read_silently(const char *prompt, char *line, size_t room)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    struct sigaction action = {.sa_handler = on_signal}, before[ARRAY_SIZE(numbers)];
    struct termios shown, hidden;
    sigset_t blocked, usual;

    if (tcgetattr(STDIN_FILENO, &shown) < 0)
        return -errno;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    hidden.c_lflag |= ECHONL;
    pending_signal = 0;
    (void)sigemptyset(&blocked);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaddset(&blocked, numbers[i]);
    (void)sigprocmask(SIG_BLOCK, &blocked, &usual);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaction(numbers[i], &action, &before[i]);
    ssize_t size = -EIO;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0) {
        (void)fputs(prompt, stderr);
        size = read_line(line, room, &usual);
    }
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaction(numbers[i], &before[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &usual, NULL);
    if (pending_signal != 0)
        (void)raise(pending_signal);
    return size;
}

static char *refuse(ssize_t result)
{
    if (result == -ENODATA || result == 0)
        cli_error("no password was given");
    else if (result == -E2BIG)
        cli_error("the password is longer than %u bytes", LINE_SIZE - 2);
    else
        cli_error("cannot read the password: %s", strerror((int)-result));
    return NULL;
}

char *ask_password(const char *prompt, bool confirm)
{
    char first[LINE_SIZE], second[LINE_SIZE];
    bool terminal = ask_is_possible(), same = true;
    char *password = NULL;

    ssize_t size = terminal ? read_silently(prompt, first, sizeof first)
                            : read_line(first, sizeof first, NULL);
    if (size <= 0)
        return refuse(size);
    if (terminal && confirm) {
        ssize_t again = read_silently("once more: ", second, sizeof second);
        same = again == size && memcmp(first, second, (size_t)size) == 0;
        explicit_bzero(second, sizeof second);
    }
    if (same)
        password = strdup(first);
    else
        cli_error("these are two different passwords; nothing was changed");
    explicit_bzero(first, sizeof first);
    return password;
}
