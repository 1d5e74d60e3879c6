/*
 * See query.h.
 */
#include "api/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* In place. False: malformed. */
static bool decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (*from == '%') {
            int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || high * 16 + low == 0)
                return false;
            *to++ = (char)(high * 16 + low);
            from += 2;
        } else {
            *to++ = *from == '+' ? ' ' : *from;
        }
    }
    *to = '\0';
    return text_is_utf8(text, (size_t)(to - text));
}

static int take_pair(char *pair, const char *const *names, Query *ret)
{
    char *value = strchr(pair, '=');

    if (!value) {
        (void)snprintf(ret->problem, sizeof ret->problem, "a parameter without a value");
        return -EINVAL;
    }
    *value++ = '\0';
    if (!decode(pair) || !decode(value)) {
        (void)snprintf(ret->problem, sizeof ret->problem, "a parameter is not well-formed");
        return -EINVAL;
    }
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(names[i], pair) != 0)
            continue;
        if (ret->values[i]) {
            (void)snprintf(ret->problem, sizeof ret->problem, "\"%.40s\" stands there twice", pair);
            return -EINVAL;
        }
        ret->values[i] = value;
        return 0;
    }
    (void)snprintf(ret->problem, sizeof ret->problem,
                   "this path knows no parameter of that name; see docs/openapi.yaml");
    return -EINVAL;
}

int query_parse(const char *text, const char *const *names, Query *ret)
{
    *ret = (Query){.text = NULL};
    if (!text || !*text)
        return 0;
    ret->text = strdup(text);
    if (!ret->text)
        return -ENOMEM;
    for (char *pair = ret->text, *next; pair; pair = next) {
        next = strchr(pair, '&');
        if (next)
            *next++ = '\0';
        int result = take_pair(pair, names, ret);
        if (result < 0)
            return result;
    }
    return 0;
}

void query_done(Query *query)
{
    free(query->text);
    *query = (Query){.text = NULL};
}

bool query_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    size_t size = strlen(text);

    if (size == 0 || size > 19 || strspn(text, "0123456789") != size ||
        (text[0] == '0' && size > 1))
        return false;
    *ret = strtoull(text, NULL, 10);
    return *ret >= least && *ret <= most;
}
