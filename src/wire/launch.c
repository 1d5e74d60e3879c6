/*
 * See launch.h.
 */
#include "wire/launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A word for each flag, so that anything else is no flag. */
static bool read_flag(Reader *reader)
{
    uint8_t value = reader_u8(reader);

    reader->failed |= value > 1;
    return value == 1;
}

static void put_file(Buffer *buffer, const LaunchFile *file)
{
    buffer_put_string(buffer, file->path);
    buffer_put_u64(buffer, file->device);
    buffer_put_u64(buffer, file->inode);
    buffer_put_u64(buffer, file->size);
    buffer_put_u64(buffer, file->modified_s);
    buffer_put_u32(buffer, file->modified_ns);
    buffer_put_u64(buffer, file->changed_s);
    buffer_put_u32(buffer, file->changed_ns);
    buffer_put_u8(buffer, file->hashed);
    buffer_put(buffer, file->digest.bytes, sizeof file->digest.bytes);
    buffer_put_u8(buffer, file->sealed);
}

static void read_file(Reader *reader, LaunchFile *ret)
{
    *ret = (LaunchFile){.path = reader_string(reader)};
    ret->device = reader_u64(reader);
    ret->inode = reader_u64(reader);
    ret->size = reader_u64(reader);
    ret->modified_s = reader_u64(reader);
    ret->modified_ns = reader_u32(reader);
    ret->changed_s = reader_u64(reader);
    ret->changed_ns = reader_u32(reader);
    ret->hashed = read_flag(reader);
    const char *digest = reader_bytes(reader, sizeof ret->digest.bytes);
    if (digest)
        memcpy(ret->digest.bytes, digest, sizeof ret->digest.bytes);
    ret->sealed = read_flag(reader);
    reader->failed |= ret->sealed && !ret->hashed;
}

static void put_caller(Buffer *buffer, const LaunchOrder *order)
{
    buffer_put_u32(buffer, order->uid);
    buffer_put_u32(buffer, order->gid);
    buffer_put_u32(buffer, (uint32_t)order->n_groups);
    for (size_t i = 0; i < order->n_groups; i++)
        buffer_put_u32(buffer, order->groups[i]);
    buffer_put_u64(buffer, order->inheritable);
    buffer_put_u64(buffer, order->permitted);
    buffer_put_u64(buffer, order->effective);
    buffer_put_u64(buffer, order->bounding);
    buffer_put_u64(buffer, order->ambient);
    buffer_put_u8(buffer, order->no_new_privs);
    buffer_put_u32(buffer, order->seccomp_filters);
    buffer_put_u32(buffer, order->umask);
    buffer_put_u32(buffer, (uint32_t)order->nice);
    buffer_put_u64(buffer, order->ignored_signals);
    buffer_put_u32(buffer, RLIMIT_NLIMITS);
    for (size_t i = 0; i < RLIMIT_NLIMITS; i++) {
        buffer_put_u64(buffer, order->limits[i].rlim_cur);
        buffer_put_u64(buffer, order->limits[i].rlim_max);
    }
}

static void read_caller(Reader *reader, LaunchOrder *ret)
{
    ret->uid = reader_u32(reader);
    ret->gid = reader_u32(reader);
    ret->n_groups = reader_u32(reader);
    if (ret->n_groups > PREPARED_GROUPS_MAX) {
        reader->failed = true;
        ret->n_groups = 0;
    }
    for (size_t i = 0; i < ret->n_groups; i++)
        ret->groups[i] = reader_u32(reader);
    ret->inheritable = reader_u64(reader);
    ret->permitted = reader_u64(reader);
    ret->effective = reader_u64(reader);
    ret->bounding = reader_u64(reader);
    ret->ambient = reader_u64(reader);
    ret->no_new_privs = read_flag(reader);
    ret->seccomp_filters = reader_u32(reader);
    ret->umask = reader_u32(reader);
    reader->failed |= ret->umask > 0777;
    ret->nice = (int32_t)reader_u32(reader);
    ret->ignored_signals = reader_u64(reader);
    reader->failed |= reader_u32(reader) != RLIMIT_NLIMITS;
    for (size_t i = 0; i < RLIMIT_NLIMITS; i++) {
        ret->limits[i].rlim_cur = reader_u64(reader);
        ret->limits[i].rlim_max = reader_u64(reader);
    }
}

void launch_encode(Buffer *buffer, const LaunchOrder *order)
{
    Buffer body = BUFFER_EMPTY(LAUNCH_BODY_MAX);

    buffer_put_u8(&body, order->stdio);
    put_file(&body, &order->program);
    put_file(&body, &order->script);
    buffer_put_u32(&body, order->script_fd);
    buffer_put_string(&body, order->cwd);
    buffer_put_u64(&body, order->cwd_device);
    buffer_put_u64(&body, order->cwd_inode);
    put_caller(&body, order);
    buffer_put_strings(&body, order->argv, order->argc);
    buffer_put_strings(&body, order->env, order->envc);
    buffer_put_u32(buffer, LAUNCH_MAGIC);
    buffer_put_u32(buffer, LAUNCH_VERSION);
    buffer_put_u32(buffer, (uint32_t)body.size);
    buffer_put(buffer, body.bytes, body.size);
    if (body.error < 0 && buffer->error == 0)
        buffer->error = body.error;
    buffer_done(&body);
}

size_t launch_head_decode(const char head[static LAUNCH_HEAD_SIZE])
{
    Reader reader = reader_of(head, LAUNCH_HEAD_SIZE);
    bool is_one = reader_u32(&reader) == LAUNCH_MAGIC;

    is_one &= reader_u32(&reader) == LAUNCH_VERSION;
    size_t size = reader_u32(&reader);
    return is_one && size <= LAUNCH_BODY_MAX ? size : 0;
}

static bool is_sound(const LaunchOrder *order)
{
    return order->stdio <= (LAUNCH_STDIN | LAUNCH_STDOUT | LAUNCH_STDERR) &&
           order->program.path[0] && order->cwd[0] == '/' && order->argc >= 1 &&
           (!order->script.sealed || (order->script_fd > 2 && order->script_fd < 1024));
}

int launch_decode(const char *body, size_t size, LaunchOrder *ret)
{
    Reader reader = reader_of(body, size);

    memset(ret, 0, sizeof *ret);
    ret->stdio = reader_u8(&reader);
    read_file(&reader, &ret->program);
    read_file(&reader, &ret->script);
    ret->script_fd = reader_u32(&reader);
    ret->cwd = reader_string(&reader);
    ret->cwd_device = reader_u64(&reader);
    ret->cwd_inode = reader_u64(&reader);
    read_caller(&reader, ret);
    ret->argv = reader_strings(&reader, &ret->argc);
    ret->env = reader_strings(&reader, &ret->envc);
    const bool is_good = reader_done(&reader) && is_sound(ret);
    if (is_good && ret->argv && ret->env)
        return 0;
    launch_done(ret);
    return is_good ? -ENOMEM : -EPROTO;
}

void launch_done(LaunchOrder *order)
{
    free((void *)order->argv);
    free((void *)order->env);
    order->argv = order->env = NULL;
    order->argc = order->envc = 0;
}
