/*
 * See engine-exec.h.
 */
#include "wire/engine-exec.h"

#include <errno.h>

void engine_exec_order_encode(Buffer *buffer, const EngineExecOrder *order)
{
    buffer_put_string(buffer, order->container);
    buffer_put_u32(buffer, order->uid);
    buffer_put_u32(buffer, order->gid);
}

int engine_exec_order_decode(const char *payload, size_t size, EngineExecOrder *ret)
{
    Reader reader = reader_of(payload, size);

    ret->container = reader_string(&reader);
    ret->uid = reader_u32(&reader);
    ret->gid = reader_u32(&reader);
    return reader_done(&reader) ? 0 : -EPROTO;
}
