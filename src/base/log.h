/*
 * The program's own log on stderr. Programs log; libraries return errors.
 *
 * Text form: "clawrden-warden[door/default]: message"; JSON form: one object per line with ts,
 * level, process and message. One write(2) per line, so lines of several processes do not mix.
 */
#pragma once

#include <stdbool.h>

typedef enum LogLevel { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO } LogLevel;

/* `program` and `role` are copied (cut to 31 and 63 bytes); role may be NULL. */
void log_open(const char *program, const char *role, bool json);
void log_set_role(const char *role);
void log_write(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
