/*
 * See judging.h.
 */
#include "policy/judging.h"

#include <stdlib.h>
#include <string.h>

void judging_begin(Judging *judging, const PolicyQuery *query)
{
    /* Not by a compound literal: that would clear `cwd`'s four KiB each time. */
    judging->query = query;
    judging->trusted = NULL;
    judging->args = query->argc > 0 ? query->argv + 1 : query->argv;
    judging->n_args = query->argc > 0 ? query->argc - 1 : 0;
    const char *slash = query->exe ? strrchr(query->exe, '/') : NULL;
    judging->exe_name = slash ? slash + 1 : NULL;
    judging->example = false;
    judging->tool_looked_up = false;
    judging->tool = NULL;
    judging->joined_made = false;
    judging->joined = NULL;
    judging->joined_size = 0;
    judging->steps = 0;
    judging->regex = (Effort){.most_ns = JUDGING_REGEX_NS_MAX};
    judging->spent = judging->gave_up = false;
    judging->cwd_known = 0;
}

void judging_done(Judging *judging)
{
    free(judging->joined);
    judging->joined = NULL;
}

const Tool *judging_tool(Judging *judging)
{
    if (!judging->tool_looked_up) {
        judging->tool_looked_up = true;
        judging->tool = tool_find(judging->query->name);
        if (!judging->tool && judging->exe_name)
            judging->tool = tool_find(judging->exe_name);
    }
    return judging->tool;
}

const char *judging_cwd(Judging *judging)
{
    if (judging->cwd_known == 0) {
        const char *cwd = judging->query->cwd;
        judging->cwd_known = cwd && path_normalise(cwd, judging->cwd) ? 1 : -1;
    }
    return judging->cwd_known > 0 ? judging->cwd : NULL;
}

const char *judging_joined(Judging *judging, size_t *ret_size)
{
    if (!judging->joined_made) {
        judging->joined_made = true;
        size_t size = 1;
        for (size_t i = 0; i < judging->n_args; i++)
            size += strlen(judging->args[i]) + 1;
        judging->joined = malloc(size);
        size_t at = 0;
        for (size_t i = 0; judging->joined && i < judging->n_args; i++) {
            size_t length = strlen(judging->args[i]);
            if (i > 0)
                judging->joined[at++] = ' ';
            memcpy(judging->joined + at, judging->args[i], length);
            at += length;
        }
        if (!judging->joined)
            judging->spent = true; /* no memory to judge with: refuse */
        judging->joined_size = at;
    }
    *ret_size = judging->joined ? judging->joined_size : 0;
    return judging->joined ? judging->joined : "";
}

bool judging_match(Judging *judging, const Pattern *pattern, const char *text)
{
    size_t size = strlen(text);

    if (!judging_charge(judging, 1 + size / 16))
        return false;
    if (pattern->kind == PATTERN_EXACT)
        return size == pattern->size && memcmp(text, pattern->text, size) == 0;
    if (pattern->kind == PATTERN_REGEX) {
        if (clock_is_spent(&judging->regex)) {
            judging->spent = true;
            return false;
        }
    } else if (!judging_charge(judging, pattern->kind == PATTERN_GLOB ? size : size / 8)) {
        return false;
    }
    PatternOutcome outcome = pattern_match(pattern, text, size);
    if (outcome == PATTERN_GAVE_UP)
        judging->gave_up = true;
    return outcome == PATTERN_YES;
}
