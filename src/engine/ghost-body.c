/*
 * See ghost-body.h. Facts: Docker Engine API v1.41 (create, inspect); where an answer has a member
 * of another type than it should, nothing is guessed.
 */
#include "engine/ghost-body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

#define MOUNTS_MAX 64u /* more than any container has in one place */

static int say(char why[static GHOST_WHY_MAX], const char *before, const char *name,
               const char *after)
{
    Buffer text = BUFFER_EMPTY(GHOST_WHY_MAX - 1);

    buffer_puts(&text, before);
    text_display_argument(&text, name, 200);
    buffer_puts(&text, after);
    (void)snprintf(why, GHOST_WHY_MAX, "%.*s", (int)buffer_size(&text), buffer_head(&text));
    buffer_done(&text);
    return 1;
}

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* `path` is `directory`, or lies in it. "/" holds everything. */
static bool is_in(const char *path, const char *directory)
{
    size_t size = strlen(directory);

    if (size == 0)
        return false;
    if (strcmp(directory, "/") == 0)
        return path[0] == '/';
    return strncmp(path, directory, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

/* Destinations are compared as text: they must be what the kernel calls them. */
static bool is_plain(const char *path)
{
    size_t size = strlen(path);

    return path[0] == '/' && size < PATH_MAX && (size == 1 || path[size - 1] != '/') &&
           !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
           !(size >= 2 && strcmp(path + size - 2, "/.") == 0) &&
           !(size >= 3 && strcmp(path + size - 3, "/..") == 0);
}

/* Would a mount there hide what the image's programs need? */
static bool hides_system(const char *path)
{
    static const char *const whole[] = {
        "/bin",           "/boot",      "/dev",         "/etc",           "/lib",
        "/lib32",         "/lib64",     "/libx32",      "/proc",          "/run",
        "/sbin",          "/sys",       "/usr/bin",     "/usr/sbin",      "/usr/lib",
        "/usr/lib32",     "/usr/lib64", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin",
        "/usr/local/lib", "/var/run"};

    for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
        if (is_in(path, whole[i]) || is_in(whole[i], path))
            return true;
    return false;
}

/* The entry of HostConfig.Mounts with this target, or NULL. */
static const json_t *wish_for(const json_t *inspect, const char *target)
{
    const json_t *wishes = json_object_get(json_object_get(inspect, "HostConfig"), "Mounts");
    const json_t *wish;
    size_t i;

    json_array_foreach(wishes, i, wish)
    {
        if (strcmp(string_of(wish, "Target"), target) == 0)
            return wish;
    }
    return NULL;
}

static json_t *tmpfs_at(const char *target)
{
    return json_pack("{s:s, s:s}", "Type", "tmpfs", "Target", target);
}

/* One mount of the caller's container, as one of the ghost's. 0, 1, -ENOMEM. */
static int copy_mount(const json_t *inspect, const json_t *mount, json_t *into,
                      char why[static GHOST_WHY_MAX])
{
    const char *type = string_of(mount, "Type"), *target = string_of(mount, "Destination");
    const char *source = string_of(mount, "Source"), *name = string_of(mount, "Name");
    const json_t *writable = json_object_get(mount, "RW");
    const json_t *wish = wish_for(inspect, target);
    json_t *copy = NULL;

    if (!json_is_boolean(writable))
        return say(why, "whether the mount ", target, " may be written to is not known");
    const int read_only = !json_is_true(writable);
    if (strcmp(type, "bind") == 0 && is_plain(source)) {
        int alone =
            json_is_true(json_object_get(json_object_get(wish, "BindOptions"), "NonRecursive"));
        copy =
            json_pack("{s:s, s:s, s:s, s:b, s:{s:b}}", "Type", "bind", "Source", source, "Target",
                      target, "ReadOnly", read_only, "BindOptions", "NonRecursive", alone);
    } else if (strcmp(type, "volume") == 0 && name[0]) {
        const char *part = string_of(json_object_get(wish, "VolumeOptions"), "Subpath");
        if (part[0])
            return say(why, "the mount ", target,
                       " is a part of a volume, and a ghost could only have all of it");
        copy = json_pack("{s:s, s:s, s:s, s:b, s:{s:b}}", "Type", "volume", "Source", name,
                         "Target", target, "ReadOnly", read_only, "VolumeOptions", "NoCopy", 1);
    } else if (strcmp(type, "tmpfs") == 0) {
        copy = tmpfs_at(target);
    } else {
        return say(why, "the mount ", target, " is of a kind that a ghost cannot have");
    }
    return copy && json_array_append_new(into, copy) == 0 ? 0 : -ENOMEM;
}

/* The mount that the directory lies in: the last one that was mounted over its path. */
static const json_t *covering(const json_t *mounts, const char *cwd)
{
    const json_t *mount, *best = NULL;
    size_t i;

    json_array_foreach(mounts, i, mount)
    {
        const char *target = string_of(mount, "Destination");
        if (is_plain(target) && is_in(cwd, target) &&
            (!best || strlen(target) >= strlen(string_of(best, "Destination"))))
            best = mount;
    }
    return best;
}

static bool is_tmpfs_over(const json_t *tmpfs, const char *cwd, const char *than)
{
    const char *target;
    json_t *options;

    json_object_foreach((json_t *)tmpfs, target, options)
    {
        if (is_in(cwd, target) && strlen(target) >= strlen(than))
            return true;
    }
    return false;
}

/* What lies beneath `root` in the container lies there in the ghost, too. */
static int copy_beneath(const json_t *inspect, const json_t *mounts, const char *root, json_t *into,
                        char why[static GHOST_WHY_MAX])
{
    const json_t *tmpfs = json_object_get(json_object_get(inspect, "HostConfig"), "Tmpfs");
    const json_t *mount;
    const char *target;
    json_t *options;
    size_t i;

    json_array_foreach(mounts, i, mount)
    {
        target = string_of(mount, "Destination");
        if (!is_plain(target))
            return say(why, "where the mount ", target, " of the container lies is not clear");
        if (!is_in(target, root) || strcmp(target, root) == 0)
            continue;
        int result = copy_mount(inspect, mount, into, why);
        if (result != 0)
            return result;
    }
    json_object_foreach((json_t *)tmpfs, target, options)
    {
        if (!is_plain(target))
            return say(why, "where the tmpfs ", target, " of the container lies is not clear");
        if (is_in(target, root) && json_array_append_new(into, tmpfs_at(target)) < 0)
            return -ENOMEM;
    }
    return json_array_size(into) > MOUNTS_MAX
               ? say(why, "too many mounts beneath ", root, " for a ghost")
               : 0;
}

int ghost_mounts_of_container(const json_t *inspect, const char *cwd, json_t **ret,
                              char why[static GHOST_WHY_MAX])
{
    const json_t *mounts = json_object_get(inspect, "Mounts");
    const json_t *tmpfs = json_object_get(json_object_get(inspect, "HostConfig"), "Tmpfs");
    const json_t *best = covering(mounts, cwd);
    const char *root = best ? string_of(best, "Destination") : "";

    if (!best || strcmp(string_of(best, "Type"), "tmpfs") == 0 || is_tmpfs_over(tmpfs, cwd, root))
        return say(why, "the working directory ", cwd,
                   " lies in no volume and no bind mount of the container, so a container beside "
                   "it cannot see it");
    if (hides_system(root))
        return say(why, "the mount ", root,
                   " would hide programs of the image; mount the workspace somewhere else");
    json_t *into = json_array();
    if (!into)
        return -ENOMEM;
    int result = copy_mount(inspect, best, into, why);
    if (result == 0)
        result = copy_beneath(inspect, mounts, root, into, why);
    if (result != 0)
        json_decref(into);
    else
        *ret = into;
    return result;
}

int ghost_mounts_of_policy(const Policy *policy, const char *cwd, json_t **ret,
                           char why[static GHOST_WHY_MAX])
{
    char workspace[PATH_MAX];

    switch (policy_workspace(policy, cwd, workspace)) {
    case 0:
        break;
    case 1:
        return say(why, "ghost needs a workspace: the policy's allowed_paths must name one that ",
                   cwd, " lies in, as in \"/app/*\"");
    default:
        return say(why, "what allowed_paths names for ", cwd,
                   " is a directory of the system, which no workspace may hide");
    }
    *ret = json_pack("[{s:s, s:s, s:s, s:b}]", "Type", "bind", "Source", workspace, "Target",
                     workspace, "ReadOnly", 0);
    return *ret ? 0 : say(why, "the path ", workspace, " is not UTF-8");
}

void ghost_binds_put(const json_t *mounts, Buffer *payload)
{
    const json_t *mount;
    uint32_t n = 0;
    size_t i;

    json_array_foreach(mounts, i, mount) n += strcmp(string_of(mount, "Type"), "bind") == 0;
    buffer_put_u32(payload, n);
    json_array_foreach(mounts, i, mount)
    {
        if (strcmp(string_of(mount, "Type"), "bind") != 0)
            continue;
        buffer_put_string(payload, string_of(mount, "Source"));
        buffer_put_string(payload, string_of(mount, "Target"));
    }
}

/* Security. */

/* "seccomp=PROFILE"; older clients write a colon. The value, or NULL: it is about something else.
 */
static const char *value_about(const char *option, const char *what)
{
    size_t size = strlen(what);

    return strncmp(option, what, size) == 0 && (option[size] == '=' || option[size] == ':')
               ? option + size + 1
               : NULL;
}

/* no-new-privileges is every ghost's already. */
static bool is_inherited(const char *option)
{
    const char *profile = value_about(option, "seccomp"), *label = value_about(option, "label");

    if (!profile)
        profile = value_about(option, "apparmor");
    return (profile && strcmp(profile, "unconfined") != 0) ||
           (label && strcmp(label, "disable") != 0);
}

int ghost_security_of_container(const json_t *inspect, json_t **ret, char why[static GHOST_WHY_MAX])
{
    const json_t *options = json_object_get(json_object_get(inspect, "HostConfig"), "SecurityOpt");
    const json_t *option;
    size_t i;

    if (options && !json_is_null(options) && !json_is_array(options))
        return say(why, "what confines the caller's container is not clear", "", "");
    json_t *into = json_array();
    bool good = into != NULL;
    json_array_foreach(options, i, option)
    {
        const char *text = json_string_value(option);
        if (!text) {
            json_decref(into);
            return say(why, "what confines the caller's container is not clear", "", "");
        }
        if (is_inherited(text))
            good = good && json_array_append_new(into, json_string(text)) == 0;
    }
    if (!good) {
        json_decref(into);
        return -ENOMEM;
    }
    *ret = into;
    return 0;
}

/* The image. */

/* NULL: it has none, and gets the engine's. */
static const char *path_of(const json_t *inspect)
{
    const json_t *env = json_object_get(json_object_get(inspect, "Config"), "Env");
    const json_t *entry;
    size_t i;

    json_array_foreach(env, i, entry)
    {
        const char *text = json_string_value(entry);
        if (text && strncmp(text, "PATH=", 5) == 0)
            return text + 5;
    }
    return NULL;
}

static bool is_in_mounts(const json_t *mounts, const char *path)
{
    const json_t *mount;
    size_t i;

    json_array_foreach(mounts, i, mount)
    {
        if (is_in(path, string_of(mount, "Target")))
            return true;
    }
    return false;
}

int ghost_image_of(const json_t *inspect, const json_t *mounts, const char **ret,
                   char why[static GHOST_WHY_MAX])
{
    const char *id = string_of(inspect, "Id"), *next = path_of(inspect);
    char directory[PATH_MAX];

    if (!id[0] || strlen(id) >= GHOST_IMAGE_ID_MAX)
        return -EPROTO;
    *ret = id;
    for (; next; next = strchr(next, ':') ? strchr(next, ':') + 1 : NULL) {
        size_t size = strcspn(next, ":");
        if (size >= sizeof directory)
            return say(why, "the image's PATH cannot be used: ", next, "");
        if (size == 0)
            return say(why,
                       "the image looks for its programs in the working directory (an empty entry "
                       "of its PATH), which the caller could change; nothing was run",
                       "", "");
        (void)snprintf(directory, sizeof directory, "%.*s", (int)size, next);
        if (!is_plain(directory) || is_in_mounts(mounts, directory))
            return say(why, "the image looks for its programs in ", directory,
                       ", which the caller could change; nothing was run");
    }
    return 0;
}

/* The body. */

static bool is_named(const char *entry, const char *name)
{
    size_t size = strlen(name);
    return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

/* PATH and HOSTNAME are the container's own. HOME is the caller's as far as it is there. */
static json_t *environment_of(const GhostBody *body)
{
    const GhostOrder *order = body->order;
    json_t *env = json_array();
    const char *home = NULL;
    size_t n_added = 0;
    bool good = env != NULL;

    for (size_t i = 0; i < order->envc && good; i++) {
        const char *entry = order->env[i];
        if (is_named(entry, "PATH") || is_named(entry, "HOSTNAME"))
            continue;
        if (is_named(entry, "HOME"))
            home = entry + 5;
        else
            good = json_array_append_new(env, json_string(entry)) == 0;
    }
    const char *const *added = policy_env_added(&n_added);
    for (size_t i = 0; i < n_added && good; i++)
        good = json_array_append_new(env, json_string(added[i])) == 0;
    if (!home || !is_plain(home) || !is_in_mounts(body->mounts, home))
        home = "/tmp";
    good = good && json_array_append_new(env, json_sprintf("HOME=%s", home)) == 0;
    if (good)
        return env;
    json_decref(env);
    return NULL;
}

static json_t *arguments_of(const GhostOrder *order)
{
    json_t *arguments = json_array();

    for (size_t i = 1; arguments && i < order->argc; i++) {
        if (json_array_append_new(arguments, json_string(order->argv[i])) < 0) {
            json_decref(arguments);
            return NULL;
        }
    }
    return arguments;
}

static json_t *groups_of(const GhostOrder *order)
{
    json_t *groups = json_array();

    for (size_t i = 0; groups && i < order->n_groups; i++)
        (void)json_array_append_new(groups, json_sprintf("%u", order->groups[i]));
    return groups;
}

/* A place for temporary files, unless the workspace is there. */
static json_t *temporary_of(const GhostBody *body)
{
    return is_in_mounts(body->mounts, "/tmp")
               ? json_object()
               : json_pack("{s:s}", "/tmp", "rw,exec,nosuid,nodev,mode=1777");
}

static json_t *security_of(const GhostBody *body)
{
    json_t *options = json_pack("[s]", "no-new-privileges");

    if (options && body->security && json_array_extend(options, (json_t *)body->security) < 0) {
        json_decref(options);
        return NULL;
    }
    return options;
}

static json_t *host_of(const GhostBody *body)
{
    const PolicyGhost *settings = body->settings;
    const json_int_t memory = (json_int_t)settings->memory;
    json_t *mounts = json_deep_copy(body->mounts);

    /* A quota, not NanoCpus: engines refuse more of those than the machine has. */
    return json_pack(
        "{s:b, s:s, s:I, s:I, s:i, s:i, s:I, s:[s], s:o, s:o, s:o, s:o, s:{s:s}, s:s, s:b}",
        "AutoRemove", 1, "NetworkMode", settings->network, "Memory", memory, "MemorySwap", memory,
        "PidsLimit", (int)settings->pids, "CpuPeriod", 100000, "CpuQuota",
        (json_int_t)settings->cpus_milli * 100, "CapDrop", "ALL", "SecurityOpt", security_of(body),
        "GroupAdd", groups_of(body->order), "Mounts", mounts, "Tmpfs", temporary_of(body),
        "LogConfig", "Type", "none", "UsernsMode", "host", "Init", 0);
}

/* The labels stand over those of the image, which may ask for a jail. */
int ghost_body(const GhostBody *body, json_t **ret, char why[static GHOST_WHY_MAX])
{
    const GhostOrder *order = body->order;
    json_t *arguments = arguments_of(order), *env = environment_of(body);
    char user[32];

    if (!arguments || !env) {
        json_decref(arguments);
        json_decref(env);
        return say(why,
                   "its arguments or environment are not UTF-8, which the engine's API "
                   "cannot carry: ",
                   order->command, "");
    }
    (void)snprintf(user, sizeof user, "%u:%u", order->uid, order->gid);
    *ret =
        json_pack("{s:s, s:[s], s:o, s:o, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b, "
                  "s:{s:s, s:s, s:s, s:s}, s:{s:[s]}, s:o}",
                  "Image", body->image, "Entrypoint", order->command, "Cmd", arguments, "Env", env,
                  "WorkingDir", order->cwd, "User", user, "AttachStdin", order->has_stdin,
                  "AttachStdout", 1, "AttachStderr", 1, "OpenStdin", order->has_stdin, "StdinOnce",
                  order->has_stdin, "Tty", 0, "Labels", GHOST_LABEL, body->owner, GHOST_LABEL_LIFE,
                  body->life, GHOST_LABEL_REQUEST, order->request, LABEL_ENABLED, "false",
                  "Healthcheck", "Test", "NONE", "HostConfig", host_of(body));
    return *ret ? 0 : say(why, "it cannot be put into the engine's words: ", order->cwd, "");
}

ExecFailure ghost_failure_of(unsigned status, const char *words)
{
    if (strstr(words, "executable file not found") || strstr(words, "no such file or directory"))
        return EXEC_FAILURE_NOT_FOUND;
    if (strstr(words, "permission denied") || strstr(words, "exec format error"))
        return EXEC_FAILURE_NOT_RUNNABLE;
    return status == 409 || status >= 500 || status == 0 ? EXEC_FAILURE_BROKEN
                                                         : EXEC_FAILURE_NOT_RUNNABLE;
}
