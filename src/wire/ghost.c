/*
 * See ghost.h.
 */
#include "wire/ghost.h"

#include <errno.h>
#include <stdlib.h>

void ghost_order_encode(Buffer *buffer, const GhostOrder *order)
{
    buffer_put_string(buffer, order->policy);
    buffer_put_u64(buffer, order->rule);
    buffer_put_string(buffer, order->request);
    buffer_put_string(buffer, order->command);
    buffer_put_string(buffer, order->image);
    buffer_put_string(buffer, order->container);
    buffer_put_string(buffer, order->cwd);
    buffer_put_u32(buffer, order->uid);
    buffer_put_u32(buffer, order->gid);
    buffer_put_u32(buffer, (uint32_t)order->n_groups);
    for (size_t i = 0; i < order->n_groups; i++)
        buffer_put_u32(buffer, order->groups[i]);
    buffer_put_u8(buffer, order->has_stdin);
    buffer_put_strings(buffer, order->argv, order->argc);
    buffer_put_strings(buffer, order->env, order->envc);
}

int ghost_order_decode(const char *payload, size_t size, gid_t *group_space, GhostOrder *ret)
{
    Reader reader = reader_of(payload, size);

    *ret = (GhostOrder){.groups = group_space};
    ret->policy = reader_string(&reader);
    ret->rule = reader_u64(&reader);
    ret->request = reader_string(&reader);
    ret->command = reader_string(&reader);
    ret->image = reader_string(&reader);
    ret->container = reader_string(&reader);
    ret->cwd = reader_string(&reader);
    ret->uid = reader_u32(&reader);
    ret->gid = reader_u32(&reader);
    ret->n_groups = reader_u32(&reader);
    if (ret->n_groups > PREPARED_GROUPS_MAX)
        return -EPROTO;
    for (size_t i = 0; i < ret->n_groups; i++)
        group_space[i] = reader_u32(&reader);
    ret->has_stdin = reader_u8(&reader) != 0;
    ret->argv = reader_strings(&reader, &ret->argc);
    ret->env = reader_strings(&reader, &ret->envc);
    if (reader_done(&reader) && ret->argv && ret->env)
        return 0;
    int result = reader_done(&reader) ? -ENOMEM : -EPROTO;
    ghost_order_done(ret);
    return result;
}

void ghost_order_done(GhostOrder *order)
{
    free((void *)order->argv);
    free((void *)order->env);
    order->argv = order->env = NULL;
    order->argc = order->envc = 0;
}
