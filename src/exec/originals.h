/*
 * The programs that shims stand in for, given back at their own places to one command alone.
 *
 * In a hardened image the originals lie in a directory that only root may enter, and a manifest
 * beside them says where each came from; in a hardened running container shims are mounted over
 * them. The joiner takes a mount namespace of its own and puts the originals over the shims, or
 * takes the mounts away: so what an admitted command starts by a program's own path is part of what
 * was admitted. Nobody else in the container sees any of it.
 *
 * The manifest is not believed further than a prisoner that is root in its container could go by
 * itself: it only says what is bound over what, inside that container, where a shim stands.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* In the container, as its root, before the ids go. `shims`: where shims are mounted over programs.
 * `ret_private`: this process has a mount namespace of its own now. 0 or -errno. */
int originals_restore(const char *const *shims, size_t n_shims, bool *ret_private);
