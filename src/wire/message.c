/*
 * See message.h: encoders and decoders of the payloads that have more than a field or two.
 */
#include "wire/message.h"

#include <errno.h>
#include <string.h>

void prepared_encode(Buffer *buffer, const Prepared *prepared)
{
    buffer_put_u32(buffer, (uint32_t)prepared->pid);
    buffer_put_u32(buffer, prepared->uid);
    buffer_put_u32(buffer, prepared->gid);
    buffer_put_u64(buffer, prepared->start_time);
    buffer_put_u32(buffer, (uint32_t)prepared->n_groups);
    for (size_t i = 0; i < prepared->n_groups; i++)
        buffer_put_u32(buffer, prepared->groups[i]);
    buffer_put_string(buffer, prepared->container);
    buffer_put_u64(buffer, prepared->container_start_time);
    buffer_put_u32(buffer, prepared->flags);
    buffer_put_string(buffer, prepared->exe);
    buffer_put_string(buffer, prepared->interpreter);
    buffer_put_string(buffer, prepared->operand);
    buffer_put_string(buffer, prepared->cwd);
    buffer_put_u64(buffer, prepared->cwd_device);
    buffer_put_u64(buffer, prepared->cwd_inode);
}

int prepared_decode(const char *payload, size_t size, gid_t *group_space, Prepared *ret)
{
    Reader reader = reader_of(payload, size);

    *ret = (Prepared){.groups = group_space};
    ret->pid = (pid_t)reader_u32(&reader);
    ret->uid = reader_u32(&reader);
    ret->gid = reader_u32(&reader);
    ret->start_time = reader_u64(&reader);
    ret->n_groups = reader_u32(&reader);
    if (ret->n_groups > PREPARED_GROUPS_MAX)
        return -EPROTO;
    for (size_t i = 0; i < ret->n_groups; i++)
        group_space[i] = reader_u32(&reader);
    ret->container = reader_string(&reader);
    ret->container_start_time = reader_u64(&reader);
    ret->flags = reader_u32(&reader);
    ret->exe = reader_string(&reader);
    ret->interpreter = reader_string(&reader);
    ret->operand = reader_string(&reader);
    ret->cwd = reader_string(&reader);
    ret->cwd_device = reader_u64(&reader);
    ret->cwd_inode = reader_u64(&reader);
    return reader_done(&reader) ? 0 : -EPROTO;
}

static Digest read_digest(Reader *reader)
{
    Digest digest = {{0}};
    const char *bytes = reader_bytes(reader, DIGEST_SIZE);
    if (bytes)
        memcpy(digest.bytes, bytes, DIGEST_SIZE);
    return digest;
}

static void put_hashed(Buffer *buffer, const Hashed *hashed)
{
    buffer_put(buffer, hashed->exe.bytes, DIGEST_SIZE);
    buffer_put(buffer, hashed->interpreter.bytes, DIGEST_SIZE);
    buffer_put(buffer, hashed->operand.bytes, DIGEST_SIZE);
}

static Hashed read_hashed(Reader *reader)
{
    Hashed hashed;
    hashed.exe = read_digest(reader);
    hashed.interpreter = read_digest(reader);
    hashed.operand = read_digest(reader);
    return hashed;
}

void examined_encode(Buffer *buffer, const Examined *examined)
{
    put_hashed(buffer, &examined->hashed);
    buffer_put_u32(buffer, (uint32_t)examined->root_pid);
    buffer_put_u64(buffer, examined->root_start_time);
    buffer_put(buffer, examined->beneath, sizeof examined->beneath);
}

int examined_decode(const char *payload, size_t size, Examined *ret)
{
    Reader reader = reader_of(payload, size);

    *ret = (Examined){.root_pid = 0};
    ret->hashed = read_hashed(&reader);
    ret->root_pid = (pid_t)reader_u32(&reader);
    ret->root_start_time = reader_u64(&reader);
    const char *beneath = reader_bytes(&reader, sizeof ret->beneath);
    if (beneath)
        memcpy(ret->beneath, beneath, sizeof ret->beneath);
    return reader_done(&reader) ? 0 : -EPROTO;
}

void run_order_encode(Buffer *buffer, const RunOrder *order)
{
    buffer_put(buffer, order->command.bytes, DIGEST_SIZE);
    buffer_put_u8(buffer, order->bound);
    put_hashed(buffer, &order->hashed);
    buffer_put_blob(buffer, order->keep, order->keep_size);
}

int run_order_decode(const char *payload, size_t size, RunOrder *ret)
{
    Reader reader = reader_of(payload, size);

    *ret = (RunOrder){.bound = false};
    ret->command = read_digest(&reader);
    ret->bound = reader_u8(&reader) != 0;
    ret->hashed = read_hashed(&reader);
    ret->keep = (const uint8_t *)reader_blob(&reader, &ret->keep_size);
    return reader_done(&reader) ? 0 : -EPROTO;
}

void actor_encode(Buffer *buffer, const Actor *actor)
{
    buffer_put_string(buffer, actor->name);
    buffer_put_u8(buffer, (uint8_t)actor->role);
    buffer_put_string(buffer, actor->via);
    buffer_put_string(buffer, actor->jails);
}

int actor_decode(Reader *reader, Actor *ret)
{
    ret->name = reader_string(reader);
    ret->role = (ActorRole)reader_u8(reader);
    ret->via = reader_string(reader);
    ret->jails = reader_string(reader);
    bool known = ret->role >= ROLE_VIEWER && ret->role < ROLE_MAX_;
    return known && *ret->name && *ret->via ? 0 : -EPROTO;
}

bool actor_sees(const Actor *actor, const char *jail)
{
    size_t size = strlen(jail);
    const char *line = actor->jails;

    if (!*line)
        return true;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1)
        if (size > 0 && (size_t)(end - line) == size && memcmp(line, jail, size) == 0)
            return true;
    return false;
}

const char *actor_role_name(ActorRole role)
{
    static const char *const names[] = {
        [ROLE_VIEWER] = "viewer", [ROLE_APPROVER] = "approver", [ROLE_ADMIN] = "admin"};
    return role >= ROLE_VIEWER && role < ROLE_MAX_ ? names[role] : "nobody";
}
