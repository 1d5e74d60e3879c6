/*
 * What clawrden-launcher reads from its stdin (wire/launch.h): head and body. What decodes is
 * encoded again to the very same bytes, and everything that it names lies in the body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/launch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_strings(const char *const *strings, size_t count, const char *body, size_t size)
{
    for (size_t i = 0; i < count; i++)
        require(strings[i] >= body && strings[i] + strlen(strings[i]) < body + size);
    require(!strings[count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buffer again = BUFFER_EMPTY(LAUNCH_HEAD_SIZE + LAUNCH_BODY_MAX);
    LaunchOrder order;

    if (size < LAUNCH_HEAD_SIZE)
        return 0;
    const char *head = (const char *)data, *body = head + LAUNCH_HEAD_SIZE;
    const size_t body_size = size - LAUNCH_HEAD_SIZE, announced = launch_head_decode(head);
    require(announced <= LAUNCH_BODY_MAX);
    if (launch_decode(body, body_size, &order) < 0)
        return 0;
    require(order.argc >= 1 && order.program.path[0] && order.n_groups <= PREPARED_GROUPS_MAX);
    check_strings(order.argv, order.argc, body, body_size);
    check_strings(order.env, order.envc, body, body_size);
    launch_encode(&again, &order);
    require(again.error < 0 || (buffer_size(&again) == size &&
                                memcmp(again.bytes + LAUNCH_HEAD_SIZE, body, body_size) == 0));
    require(again.error < 0 || launch_head_decode(again.bytes) == body_size);
    buffer_done(&again);
    launch_done(&order);
    return 0;
}
