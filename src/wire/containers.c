/*
 * See containers.h.
 */
#include "wire/containers.h"

#include <errno.h>

void container_seen_encode(Buffer *buffer, const ContainerSeen *seen)
{
    buffer_put_string(buffer, seen->id);
    buffer_put_string(buffer, seen->name);
    buffer_put_u32(buffer, (uint32_t)seen->pid);
    buffer_put_u64(buffer, seen->started_us);
    buffer_put_string(buffer, seen->jail);
    buffer_put_u8(buffer, seen->hardened);
    buffer_put_string(buffer, seen->commands);
    buffer_put_string(buffer, seen->path);
    buffer_put_string(buffer, seen->problem);
}

int container_seen_decode(const char *payload, size_t size, ContainerSeen *ret)
{
    Reader reader = reader_of(payload, size);

    ret->id = reader_string(&reader);
    ret->name = reader_string(&reader);
    ret->pid = (pid_t)reader_u32(&reader);
    ret->started_us = reader_u64(&reader);
    ret->jail = reader_string(&reader);
    ret->hardened = reader_u8(&reader) != 0;
    ret->commands = reader_string(&reader);
    ret->path = reader_string(&reader);
    ret->problem = reader_string(&reader);
    return reader_done(&reader) && ret->pid > 0 ? 0 : -EPROTO;
}

void install_order_encode(Buffer *buffer, const InstallOrder *order)
{
    buffer_put_string(buffer, order->id);
    buffer_put_u32(buffer, (uint32_t)order->pid);
    buffer_put_string(buffer, order->directory);
    buffer_put_u8(buffer, order->hardened);
    buffer_put_string(buffer, order->commands);
    buffer_put_string(buffer, order->path);
}

int install_order_decode(const char *payload, size_t size, InstallOrder *ret)
{
    Reader reader = reader_of(payload, size);

    ret->id = reader_string(&reader);
    ret->pid = (pid_t)reader_u32(&reader);
    ret->directory = reader_string(&reader);
    ret->hardened = reader_u8(&reader) != 0;
    ret->commands = reader_string(&reader);
    ret->path = reader_string(&reader);
    return reader_done(&reader) && ret->pid > 0 && ret->directory[0] == '/' ? 0 : -EPROTO;
}

void container_told_encode(Buffer *buffer, const ContainerTold *told)
{
    buffer_put_u8(buffer, (uint8_t)told->state);
    buffer_put_u8(buffer, told->again);
    buffer_put_string(buffer, told->id);
    buffer_put_string(buffer, told->name);
    buffer_put_string(buffer, told->jail);
    buffer_put_u64(buffer, told->started_us);
    buffer_put_u8(buffer, told->has_ungoverned);
    buffer_put_u64(buffer, told->ungoverned_ms);
    buffer_put_string(buffer, told->why);
}

int container_told_decode(const char *payload, size_t size, ContainerTold *ret)
{
    Reader reader = reader_of(payload, size);

    ret->state = (ContainerState)reader_u8(&reader);
    ret->again = reader_u8(&reader) != 0;
    ret->id = reader_string(&reader);
    ret->name = reader_string(&reader);
    ret->jail = reader_string(&reader);
    ret->started_us = reader_u64(&reader);
    ret->has_ungoverned = reader_u8(&reader) != 0;
    ret->ungoverned_ms = reader_u64(&reader);
    ret->why = reader_string(&reader);
    return reader_done(&reader) && ret->state >= CONTAINER_WAITING &&
                   ret->state < CONTAINER_STATE_MAX_
               ? 0
               : -EPROTO;
}

const char *container_state_name(ContainerState state)
{
    static const char *const names[] = {[CONTAINER_WAITING] = "waiting",
                                        [CONTAINER_GOVERNED] = "governed",
                                        [CONTAINER_UNGOVERNED] = "ungoverned",
                                        [CONTAINER_GONE] = "gone"};
    return state >= CONTAINER_WAITING && state < CONTAINER_STATE_MAX_ ? names[state] : "unknown";
}
