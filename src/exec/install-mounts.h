/*
 * What a jail may be put on: the mounts of the container that it goes into.
 *
 * A container's directories are its own only where they lie on its root, or on a tmpfs that was
 * made for it. Any other mount (a bind mount, a volume) shows files of the host or of other
 * containers: nothing is made in it, whether it is read-only or not. Mounting over a name of it
 * changes nothing outside, unless the mount is shared: then the kernel mounts in all its peers, the
 * host's among them (mount_namespaces(7)).
 *
 * Made by the installing child before it joins the container's mount namespace: /proc and the
 * mounts outside are seen only from there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct InstallMounts {
    int proc_fd;      /* our own /proc */
    char *outside[2]; /* mountinfo of ours and of process 1; NULL: not known */
    char *inside;     /* the container's, as it was when last read */
    uint64_t root;    /* the mount of the container's root */
} InstallMounts;

/* Before joining. 0 or -errno; there is something to be freed either way. */
int install_mounts_open(InstallMounts *ret);
/* After joining; `root_fd`: the container's root. 0 or -errno. */
int install_mounts_join(InstallMounts *mounts, int root_fd);
void install_mounts_done(InstallMounts *mounts);

/* May anything be made in this directory? 0, or -EXDEV when it is not the container's own. */
int install_mounts_may_make(InstallMounts *mounts, int directory_fd);
/* May anything be mounted over this, or unmounted from there? 0, or -ENOTUNIQ when others would see
 * it as well. */
int install_mounts_may_cover(InstallMounts *mounts, int fd);

/* Takes away the mount whose root `fd` is. 0, -ENOTUNIQ as above, -errno. */
int install_mounts_detach(InstallMounts *mounts, int fd);
/* Takes away the shims of jails that are no more: they are not known as shims any longer, and
 * nothing can be mounted over them. `ret_any` is set when there was one. 0 or -errno. */
int install_mounts_sweep(InstallMounts *mounts, int root_fd, bool *ret_any);
/* How many shims are mounted. */
size_t install_mounts_count_shims(const InstallMounts *mounts);
