/*
 * What the labels of a container ask for. They may come from whoever made its image, so they are
 * read as hostile text: what is not plainly right is a problem, in words. So is a label of ours
 * that there is not, or another value of the first: a slip must not leave somebody ungoverned
 * unseen.
 *
 *     clawrden.enabled=true      nothing happens without it
 *     clawrden.cmds=npm,git      the commands that are governed
 *     clawrden.mode=hardened     or "plain": shims also over every absolute path and alias
 *     clawrden.jail=NAME         the jail's name; by default the container's
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "policy/policy.h"

#define LABEL_ENABLED "clawrden.enabled"
/* What ghosts carry; on another container they mean nothing. */
#define GHOST_LABEL "clawrden.ghost"
#define GHOST_LABEL_LIFE "clawrden.ghost.life"
#define GHOST_LABEL_REQUEST "clawrden.request"
#define LABELS_PROBLEM_MAX 256u
#define LABELS_COMMANDS_SIZE 16384u

typedef struct Labels {
    bool enabled; /* it asks, though perhaps wrongly */
    bool hardened;
    char jail[POLICY_JAIL_NAME_SIZE];
    char commands[LABELS_COMMANDS_SIZE]; /* each followed by a line feed */
    char problem[LABELS_PROBLEM_MAX];    /* "": none. Safe to show */
} Labels;

/* Reads the labels (an object of strings, or NULL) of a container by this name and id. */
void labels_read(const json_t *labels, const char *name, const char *id, Labels *ret);
