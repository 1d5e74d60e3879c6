/*
 * See container-paths.h.
 */
#include "exec/container-paths.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEX_ID_SIZE 64u
/* The name under which every shim is mounted. */
#define SHIM_FILE "clawrden-shim"

bool piece_is(Piece piece, const char *text)
{
    return strlen(text) == piece.size && memcmp(piece.at, text, piece.size) == 0;
}

char *piece_copy(Piece piece)
{
    return strndup(piece.at, piece.size);
}

bool pieces_equal(Piece a, Piece b)
{
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

static bool starts_with(Piece piece, const char *prefix)
{
    size_t size = strlen(prefix);
    return piece.size >= size && memcmp(piece.at, prefix, size) == 0;
}

static bool ends_with(Piece piece, const char *suffix)
{
    size_t size = strlen(suffix);
    return piece.size >= size && memcmp(piece.at + piece.size - size, suffix, size) == 0;
}

/* Cuts one line off the text. */
static Piece cut_line(const char **text)
{
    Piece line = {.at = *text, .size = strcspn(*text, "\n")};
    *text += line.size + ((*text)[line.size] == '\n');
    return line;
}

/* Cuts up to a separator off the piece; the separator is dropped. */
static Piece cut(Piece *rest, char separator)
{
    const char *end = memchr(rest->at, separator, rest->size);
    Piece first = {.at = rest->at, .size = end ? (size_t)(end - rest->at) : rest->size};
    size_t used = first.size + (end != NULL);

    rest->at += used;
    rest->size -= used;
    return first;
}

bool cgroup_line_next(const char **text, CgroupLine *ret)
{
    while (**text) {
        Piece rest = cut_line(text);
        (void)cut(&rest, ':');
        ret->hierarchy = cut(&rest, ':');
        ret->path = rest; /* it may hold colons */
        if (rest.size > 0 && rest.at[0] == '/')
            return true;
    }
    return false;
}

static bool is_hex_id(Piece piece)
{
    if (piece.size != HEX_ID_SIZE)
        return false;
    for (size_t i = 0; i < piece.size; i++) {
        if (!isdigit((unsigned char)piece.at[i]) && (piece.at[i] < 'a' || piece.at[i] > 'f'))
            return false;
    }
    return true;
}

/* Names as LXC and containerd's own client permit them. */
static bool is_name(Piece piece)
{
    if (piece.size == 0 || piece.size >= CONTAINER_ID_SIZE || piece.at[0] == '.')
        return false;
    for (size_t i = 0; i < piece.size; i++) {
        if (!isalnum((unsigned char)piece.at[i]) && !strchr("._-", piece.at[i]))
            return false;
    }
    return true;
}

static const char *engine_of(Piece prefix, Piece parent)
{
    static const struct {
        const char *prefix, *engine;
    } prefixes[] = {{"docker-", "docker"},
                    {"libpod-", "podman"},
                    {"cri-containerd-", "containerd"},
                    {"nerdctl-", "containerd"},
                    {"crio-", "cri-o"}};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (piece_is(prefix, prefixes[i].prefix))
            return prefixes[i].engine;
    }
    if (prefix.size > 0)
        return "";
    if (piece_is(parent, "docker"))
        return "docker";
    if (starts_with(parent, "pod") || starts_with(parent, "kubepods"))
        return "kubernetes";
    return piece_is(parent, "default") ? "containerd" : "";
}

/* "[prefix-]ID[.scope]" with 64 digits. */
static bool names_by_hex(Piece component, Piece parent, Piece *ret_id, const char **ret_engine)
{
    Piece rest = component;

    if (ends_with(rest, ".scope"))
        rest.size -= strlen(".scope");
    if (rest.size < HEX_ID_SIZE)
        return false;
    Piece prefix = {.at = rest.at, .size = rest.size - HEX_ID_SIZE};
    *ret_id = (Piece){.at = rest.at + prefix.size, .size = HEX_ID_SIZE};
    if (!is_hex_id(*ret_id) || (prefix.size > 0 && rest.at[prefix.size - 1] != '-') ||
        starts_with(prefix, "libpod-conmon-") || starts_with(prefix, "crio-conmon-"))
        return false;
    *ret_engine = engine_of(prefix, parent);
    return true;
}

/* "lxc.payload.NAME", "lxc.payload/NAME" and the older "lxc/NAME". */
static bool names_by_lxc(Piece component, Piece parent, Piece *ret_id, const char **ret_engine)
{
    static const char payload[] = "lxc.payload.";

    *ret_engine = "lxc";
    *ret_id = component;
    if (starts_with(component, payload)) {
        ret_id->at += strlen(payload);
        ret_id->size -= strlen(payload);
    } else if (!piece_is(parent, "lxc.payload") && !piece_is(parent, "lxc")) {
        return false;
    }
    return is_name(*ret_id);
}

size_t cgroup_path_container(Piece path, char id[static CONTAINER_ID_SIZE],
                             char engine[static CONTAINER_ENGINE_SIZE])
{
    Piece rest = path, parent = {.at = path.at, .size = 0}, found;
    const char *name = "";

    while (rest.size > 0) {
        Piece component = cut(&rest, '/');
        if (names_by_hex(component, parent, &found, &name) ||
            names_by_lxc(component, parent, &found, &name)) {
            memcpy(id, found.at, found.size);
            id[found.size] = '\0';
            (void)snprintf(engine, CONTAINER_ENGINE_SIZE, "%s", name);
            return (size_t)(component.at + component.size - path.at);
        }
        parent = component;
    }
    return 0;
}

bool cgroup_path_is_within(Piece path, Piece above)
{
    if (above.size == 1 && above.at[0] == '/')
        return true;
    return path.size >= above.size && memcmp(path.at, above.at, above.size) == 0 &&
           (path.size == above.size || path.at[above.size] == '/');
}

/* 0 for what is none. */
static uint64_t number_of(Piece piece)
{
    uint64_t number = 0;

    for (size_t i = 0; i < piece.size; i++) {
        if (!isdigit((unsigned char)piece.at[i]) || number > UINT64_MAX / 100)
            return 0;
        number = number * 10 + (uint64_t)(piece.at[i] - '0');
    }
    return number;
}

/* "36 35 98:0 /root /mount options [optional …] - type source super-options" */
static bool parse_mount(Piece rest, MountLine *ret)
{
    ret->id = number_of(cut(&rest, ' '));
    ret->parent = number_of(cut(&rest, ' '));
    ret->device = cut(&rest, ' ');
    ret->root = cut(&rest, ' ');
    ret->mount = cut(&rest, ' ');
    ret->options = cut(&rest, ' ');
    ret->is_shared = false;
    for (Piece field = {.size = 0}; rest.size > 0 && !piece_is(field, "-");) {
        field = cut(&rest, ' ');
        ret->is_shared |= starts_with(field, "shared:");
    }
    ret->type = cut(&rest, ' ');
    (void)cut(&rest, ' ');
    ret->super_options = cut(&rest, ' ');
    return ret->type.size > 0;
}

bool mount_line_next(const char **text, MountLine *ret)
{
    while (**text) {
        if (parse_mount(cut_line(text), ret))
            return true;
    }
    return false;
}

bool list_has(Piece list, Piece word)
{
    while (list.size > 0) {
        if (pieces_equal(cut(&list, ','), word))
            return true;
    }
    return false;
}

/* Do these mount options show the hierarchy? Its controllers, all of them, or its name. */
static bool shows_hierarchy(const MountLine *mount, Piece hierarchy)
{
    if (hierarchy.size == 0)
        return piece_is(mount->type, "cgroup2");
    if (!piece_is(mount->type, "cgroup"))
        return false;
    while (hierarchy.size > 0) {
        if (!list_has(mount->super_options, cut(&hierarchy, ',')))
            return false;
    }
    return true;
}

bool piece_unescape(Piece piece, char *ret, size_t room)
{
    size_t size = 0;

    for (size_t i = 0; i < piece.size;) {
        const char *at = piece.at + i;
        if (size + 1 >= room)
            return false;
        if (at[0] == '\\' && piece.size - i >= 4 && at[1] >= '0' && at[1] <= '3') {
            ret[size++] = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 4;
        } else {
            ret[size++] = at[0];
            i++;
        }
    }
    ret[size] = '\0';
    return true;
}

int cgroup_line_directory(const char *mountinfo, const CgroupLine *line, char *ret, size_t room)
{
    char mount_point[PATH_MAX];
    MountLine mount;

    while (mount_line_next(&mountinfo, &mount)) {
        if (!shows_hierarchy(&mount, line->hierarchy) ||
            !cgroup_path_is_within(line->path, mount.root))
            continue;
        if (!piece_unescape(mount.mount, mount_point, sizeof mount_point))
            return -ENAMETOOLONG;
        size_t skip = mount.root.size == 1 ? 0 : mount.root.size;
        Piece rest = {.at = line->path.at + skip, .size = line->path.size - skip};
        if (piece_is(rest, "/"))
            rest.size = 0;
        int size = snprintf(ret, room, "%s%.*s", mount_point, (int)rest.size, rest.at);
        return size < 0 || (size_t)size >= room ? -ENAMETOOLONG : 0;
    }
    return -ENOENT;
}

bool mounts_have_writable_cgroup(const char *mountinfo, Piece *ret)
{
    MountLine mount;

    while (mount_line_next(&mountinfo, &mount)) {
        bool is_cgroup = piece_is(mount.type, "cgroup") || piece_is(mount.type, "cgroup2");
        if (is_cgroup && list_has(mount.options, (Piece){.at = "rw", .size = 2})) {
            *ret = mount.mount;
            return true;
        }
    }
    return false;
}

bool mounts_next_shim(const char **mountinfo, char *ret, size_t room)
{
    MountLine mount;

    while (mount_line_next(mountinfo, &mount)) {
        if (ends_with(mount.root, "/" SHIM_FILE) && !ends_with(mount.mount, "/" SHIM_FILE))
            return piece_unescape(mount.mount, ret, room);
    }
    return false;
}

bool mount_line_is_dead_shim(const MountLine *mount)
{
    return ends_with(mount->root, "/" SHIM_FILE "//deleted");
}
