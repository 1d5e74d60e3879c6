/*
 * See refusal.h.
 */
#include "exec/refusal.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(Refusal *refusal, ExecFailure failure, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(refusal->text, sizeof refusal->text, format, arguments);
    va_end(arguments);
    return (int)failure;
}
