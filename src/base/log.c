/*
 * See log.h. The identity of the process is the one file-scope state: set once at its start.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"

#define LOG_LINE_MAX 8192

static struct {
    char program[32];
    char role[64];
    bool json;
} identity = {.program = "clawrden"};

void log_open(const char *program, const char *role, bool json)
{
    (void)snprintf(identity.program, sizeof identity.program, "%s", program);
    identity.json = json;
    log_set_role(role);
}

void log_set_role(const char *role)
{
    (void)snprintf(identity.role, sizeof identity.role, "%s", role ? role : "");
}

void log_write(LogLevel level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info"};
    char message[LOG_LINE_MAX / 2], stamp[CLOCK_TEXT_MAX];
    Buffer line = BUFFER_EMPTY(8 * LOG_LINE_MAX);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    if (identity.json) {
        buffer_put_u8(&line, '{');
        json_put_member(&line, "ts", clock_format_time(clock_realtime_us(), stamp));
        json_put_member(&line, "level", names[level]);
        json_put_member(&line, "process", identity.role[0] ? identity.role : identity.program);
        json_put_member(&line, "message", message);
        buffer_puts(&line, "}\n");
    } else {
        buffer_puts(&line, identity.program);
        if (identity.role[0])
            buffer_printf(&line, "[%s]", identity.role);
        buffer_puts(&line, ": ");
        if (level != LOG_LEVEL_INFO)
            buffer_printf(&line, "%s: ", names[level]);
        text_display_again(&line, message, strlen(message), 0);
        buffer_put_u8(&line, '\n');
    }
    if (line.error == 0 && write(STDERR_FILENO, line.bytes, line.size) < 0) {
        /* nowhere left to say it */
    }
    buffer_done(&line);
}
