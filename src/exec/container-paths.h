/*
 * What a process's cgroups and mounts say about the container it lives in: pure readers of the
 * text of /proc/PID/cgroup and /proc/PID/mountinfo (cgroups(7), proc(5)).
 *
 * Engines put a container into one cgroup of its own in each hierarchy and name it after the
 * container: "/docker/ID", "/system.slice/docker-ID.scope", "/libpod_parent/libpod-ID",
 * "/kubepods/burstable/podX/ID", "/lxc.payload.NAME". What a container makes below that is its own
 * affair; what an engine has put around it is not a container's to choose.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNTINFO_MAX (4u << 20) /* bytes of it that are read */

/* 64 hexadecimal digits, or LXC's name of at most that length. */
#define CONTAINER_ID_SIZE 65
#define CONTAINER_ENGINE_SIZE 16

/* A piece of somebody's text. */
typedef struct Piece {
    const char *at;
    size_t size;
} Piece;

bool piece_is(Piece piece, const char *text);
bool pieces_equal(Piece a, Piece b);
/* A copy, or NULL without memory. */
char *piece_copy(Piece piece);

/* One line of /proc/PID/cgroup: "3:cpu,cpuacct:/docker/ID". */
typedef struct CgroupLine {
    Piece hierarchy; /* controllers or "name=…"; "" is cgroup2 */
    Piece path;      /* as the reader's cgroup namespace shows it */
} CgroupLine;

/* The next line; false at the end. A line that is not as cgroups(7) says is skipped. */
bool cgroup_line_next(const char **text, CgroupLine *ret);

/* The container that a cgroup path names: the first component that an engine could have made. Its
 * name and engine ("" when only the form of the name is known); returns the size of the path up to
 * and with that component, 0 when none names one. */
size_t cgroup_path_container(Piece path, char id[static CONTAINER_ID_SIZE],
                             char engine[static CONTAINER_ENGINE_SIZE]);

/* Is `path` equal to `above`, or beneath it? */
bool cgroup_path_is_within(Piece path, Piece above);

/* One line of mountinfo. Octal escapes stay as they are. */
typedef struct MountLine {
    uint64_t id, parent;
    bool is_shared;             /* with peers, in which the kernel does what is done here */
    Piece device;               /* "8:1", of the file system */
    Piece root, mount, options; /* options of the mount, not of the file system */
    Piece type, super_options;
} MountLine;

bool mount_line_next(const char **text, MountLine *ret);

/* Copies a piece and undoes the escapes. False: it does not fit. */
bool piece_unescape(Piece piece, char *ret, size_t room);

/* Is `word` one of a comma-separated list? */
bool list_has(Piece list, Piece word);

/* Where the mounts of `mountinfo` show the cgroup `path` of `hierarchy`, in `ret`. 0, -ENOENT (not
 * mounted, or not that deep), -ENAMETOOLONG. */
int cgroup_line_directory(const char *mountinfo, const CgroupLine *line, char *ret, size_t room);

/* A cgroup file system that those who live in these mounts may write to: its mount point. False
 * when there is none. */
bool mounts_have_writable_cgroup(const char *mountinfo, Piece *ret);
/* The next place where a shim is mounted over something else (not under its own name), unescaped,
 * in `ret`. False at the end, and for one that does not fit. */
bool mounts_next_shim(const char **mountinfo, char *ret, size_t room);
/* Is it a shim whose file has been removed? It is none to mounts_next_shim(). */
bool mount_line_is_dead_shim(const MountLine *mount);
