/*
 * See numbers.h.
 */
#include "cli/numbers.h"

#include <errno.h>
#include <stdlib.h>

int cli_parse_count(const char *text, unsigned most, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || errno != 0 || value == 0 || value > most)
        return -EINVAL;
    *ret = (unsigned)value;
    return 0;
}
