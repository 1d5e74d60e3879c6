/*
 * See descendants.h. A pid that was listed can have a new owner when the signal goes out only if
 * its process was reaped meanwhile, by a parent that is itself one of the listed; the new owner
 * would have to be forked in that very moment, in a pid space of millions: that risk is taken here,
 * where there is no cgroup to ask.
 */
#include "exec/descendants.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/pidref.h"

/* Against a crowd, which forks on while the table is read, more rounds within one call. */
#define KILL_ROUNDS 8
#define KILL_CROWD 64

typedef struct ProcessEntry {
    pid_t pid, parent, group;
    bool is_zombie;
    bool is_member;
} ProcessEntry;

typedef struct ProcessTable {
    ProcessEntry *entries; /* owned */
    size_t n_entries, capacity;
} ProcessTable;

static void table_done(ProcessTable *table)
{
    free(table->entries);
}

/* State and parent from /proc/PID/stat. 0 or -errno. */
static int read_entry(pid_t pid, ProcessEntry *ret)
{
    char path[32], text[512];

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t size = read(fd, text, sizeof text - 1);
    if (size < 0)
        return -errno;
    text[size] = '\0';
    const char *after = strrchr(text, ')');
    if (!after || strnlen(after, 5) < 5)
        return -EPROTO;
    char *next = NULL;
    pid_t parent = (pid_t)strtol(after + 4, &next, 10);
    *ret = (ProcessEntry){.pid = pid,
                          .parent = parent,
                          .group = (pid_t)strtol(next, NULL, 10),
                          .is_zombie = after[2] == 'Z' || after[2] == 'X'};
    return 0;
}

static int table_read(ProcessTable *table)
{
    _cleanup_(closedirp)
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(proc));) {
        ProcessEntry process;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            read_entry((pid_t)strtol(entry->d_name, NULL, 10), &process) < 0)
            continue;
        if (table->n_entries == table->capacity) {
            size_t capacity = table->capacity ? table->capacity * 2 : 512;
            ProcessEntry *larger = realloc(table->entries, capacity * sizeof *larger);
            if (!larger)
                return -ENOMEM;
            table->entries = larger;
            table->capacity = capacity;
        }
        table->entries[table->n_entries++] = process;
    }
    return 0;
}

static bool is_excepted(pid_t pid, const pid_t *except, size_t n_except)
{
    for (size_t i = 0; i < n_except; i++) {
        if (except[i] == pid)
            return true;
    }
    return false;
}

/* /proc is sorted by pid, so a child with a lower pid than its parent takes another round. */
static void mark_members(ProcessTable *table, pid_t root, const pid_t *except, size_t n_except)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = 0; i < table->n_entries; i++) {
            ProcessEntry *entry = &table->entries[i];
            if (entry->is_member || is_excepted(entry->pid, except, n_except))
                continue;
            bool belongs = entry->parent == root;
            for (size_t at = 0, end = table->n_entries; !belongs && at < end;) {
                size_t middle = at + (end - at) / 2;
                if (table->entries[middle].pid == entry->parent) {
                    belongs = table->entries[middle].is_member;
                    break;
                }
                if (table->entries[middle].pid < entry->parent)
                    at = middle + 1;
                else
                    end = middle;
            }
            changed = changed || belongs;
            entry->is_member = belongs;
        }
    }
}

int descendants_find(pid_t root, const pid_t *except, size_t n_except, Descendants *ret)
{
    _cleanup_(table_done)
    ProcessTable table = {.entries = NULL};

    *ret = (Descendants){.pids = NULL};
    int result = table_read(&table);
    if (result < 0)
        return result;
    mark_members(&table, root, except, n_except);
    ret->pids = calloc(table.n_entries + 1, sizeof *ret->pids);
    if (!ret->pids)
        return -ENOMEM;
    for (size_t i = 0; i < table.n_entries; i++) {
        if (table.entries[i].is_member && !table.entries[i].is_zombie)
            ret->pids[ret->n_pids++] = table.entries[i].pid;
    }
    return 0;
}

void descendants_done(Descendants *descendants)
{
    free(descendants->pids);
    *descendants = (Descendants){.pids = NULL};
}

pid_t descendants_parent_of(pid_t pid)
{
    ProcessEntry entry = {.parent = 0};
    return read_entry(pid, &entry) < 0 ? 0 : entry.parent;
}

static void send_to(pid_t pid, int signal_number)
{
    _cleanup_(pidref_done)
    PidRef process = PIDREF_EMPTY;
    if (pidref_open(pid, &process) == 0)
        (void)pidref_kill(&process, signal_number);
}

int descendants_signal(pid_t root, const pid_t *except, size_t n_except, int signal_number)
{
    Descendants found;

    int result = descendants_find(root, except, n_except, &found);
    for (size_t i = 0; result == 0 && i < found.n_pids; i++)
        send_to(found.pids[i], signal_number);
    if (result == 0)
        result = (int)found.n_pids;
    descendants_done(&found);
    return result;
}

static int by_group(const void *a, const void *b)
{
    const ProcessEntry *first = a, *second = b;
    return (first->group > second->group) - (first->group < second->group);
}

/* One group of the table (sorted by group). How many of it were alive and ours. */
static int kill_group(const ProcessEntry *entries, size_t n_entries)
{
    bool is_pure = true;
    int count = 0;

    for (size_t i = 0; i < n_entries; i++) {
        is_pure = is_pure && entries[i].is_member;
        count += entries[i].is_member && !entries[i].is_zombie;
    }
    if (count == 0)
        return 0;
    if (is_pure && entries[0].group > 1)
        (void)kill(-entries[0].group, SIGKILL);
    for (size_t i = 0; i < n_entries && !is_pure; i++) {
        if (entries[i].is_member && !entries[i].is_zombie)
            send_to(entries[i].pid, SIGKILL);
    }
    return count;
}

static int kill_once(pid_t root, const pid_t *except, size_t n_except)
{
    _cleanup_(table_done)
    ProcessTable table = {.entries = NULL};
    int count = 0;

    int result = table_read(&table);
    if (result < 0)
        return result;
    mark_members(&table, root, except, n_except);
    if (table.n_entries > 0)
        qsort(table.entries, table.n_entries, sizeof *table.entries, by_group);
    for (size_t from = 0, to; from < table.n_entries; from = to) {
        for (to = from;
             to < table.n_entries && table.entries[to].group == table.entries[from].group;)
            to++;
        count += kill_group(table.entries + from, to - from);
    }
    return count;
}

int descendants_kill(pid_t root, const pid_t *except, size_t n_except)
{
    int most = 0;

    for (unsigned round = 0; round < KILL_ROUNDS; round++) {
        int count = kill_once(root, except, n_except);
        if (count <= 0)
            return most > 0 ? most : count;
        most = count > most ? count : most;
        if (count < KILL_CROWD)
            break;
    }
    return most;
}
