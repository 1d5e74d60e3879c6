/*
 * See ancestry.h. A number in /proc can change its owner between two reads. So a parent is believed
 * only if its child, read again afterwards, is the same process and still names that parent: while
 * it does, the parent has not been reaped. Whoever moves the tree on purpose gets no answer, which
 * costs it the grants that hang on one.
 *
 * Facts (proc(5)): NSpid in status has one number for each pid namespace from the reader's down to
 * the process's own; a child lives in its parent's namespace or below; init has the number 1.
 */
#include "exec/ancestry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec/identity.h"

#define DEPTH_MAX 128u
#define TRIES 3u

typedef struct Node {
    pid_t pid, parent;
    uint64_t start_time;
    uid_t uid;         /* real */
    unsigned n_levels; /* of pid namespaces, from ours down */
    bool is_init;      /* of its own */
} Node;

static bool read_text(pid_t pid, const char *name, char *text, size_t room)
{
    char path[48];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, room - 1);
    (void)close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    return true;
}

static bool read_stat(pid_t pid, pid_t *ret_parent, uint64_t *ret_start_time)
{
    char text[1024];
    Identity identity = {.pid = pid};

    if (!read_text(pid, "stat", text, sizeof text) ||
        identity_parse_stat(text, &identity, ret_parent) < 0)
        return false;
    *ret_start_time = identity.start_time;
    return true;
}

static bool parse_status(const char *text, Node *node)
{
    const char *uid = strstr(text, "\nUid:\t"), *levels = strstr(text, "\nNSpid:\t");
    char *end = NULL;

    if (!uid || !levels)
        return false;
    node->uid = (uid_t)strtoul(uid + 6, &end, 10);
    if (end == uid + 6)
        return false;
    const char *next = levels + 8;
    for (node->n_levels = 0; *next && *next != '\n'; node->n_levels++) {
        long number = strtol(next, &end, 10);
        if (end == next)
            return false;
        node->is_init = number == 1;
        next = end;
    }
    return node->n_levels > 0;
}

static bool read_node(pid_t pid, Node *ret)
{
    char text[16 * 1024];

    *ret = (Node){.pid = pid};
    return read_stat(pid, &ret->parent, &ret->start_time) &&
           read_text(pid, "status", text, sizeof text) && parse_status(text, ret);
}

/* It is the process that was read, and has the parent that it had. */
static bool holds_still(const Node *node)
{
    pid_t parent = 0;
    uint64_t start_time = 0;

    return read_stat(node->pid, &parent, &start_time) && parent == node->parent &&
           start_time == node->start_time;
}

static bool belongs(const Node *parent, const Node *child, uid_t uid)
{
    if (parent->n_levels != child->n_levels)
        return false; /* outside of the child's namespace */
    return parent->uid == uid || (parent->is_init && parent->n_levels > 1);
}

/* False: the tree moved, or has no end. */
static bool climb(Node *node, uid_t uid)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        Node parent;

        if (node->parent == 0 || (node->is_init && node->n_levels > 1))
            return true;
        if (!read_node(node->parent, &parent) || !holds_still(node))
            return false;
        if (!belongs(&parent, node, uid))
            return true;
        *node = parent;
    }
    return false;
}

Ancestor ancestry_root(pid_t pid, uint64_t start_time, uid_t uid)
{
    for (unsigned i = 0; i < TRIES; i++) {
        Node node;

        if (!read_node(pid, &node) || node.start_time != start_time)
            break;
        if (climb(&node, uid))
            return (Ancestor){.pid = node.pid, .start_time = node.start_time};
    }
    return (Ancestor){.pid = 0};
}
