/*
 * Request heads (api/http-head.h). Beyond not crashing: what is accepted is within the limits,
 * ends where its empty line ends, and does not depend on what follows it.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api/http-head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    const HttpFault *fault;
    HttpHead head, again;

    ssize_t result = http_head_parse(bytes, size, &head, &fault);
    if (result <= 0) {
        assert((result < 0) == (fault != NULL));
        assert(!head.text);
        return 0;
    }
    size_t head_size = (size_t)result;
    assert(head_size <= size && head_size <= HTTP_HEAD_MAX && head_size >= 4);
    assert(memcmp(bytes + head_size - 4, "\r\n\r\n", 4) == 0);
    assert(memmem(bytes, head_size - 1, "\r\n\r\n", 4) == NULL);
    assert(head.method < HTTP_METHOD_MAX_ && head.path[0] == '/' && !strchr(head.path, '?'));
    assert(head.fields[HTTP_FIELD_HOST] && head.fields[HTTP_FIELD_HOST][0] != '\0');
    assert(head.length <= HTTP_BODY_MAX);
    assert(head.length == 0 || head.fields[HTTP_FIELD_CONTENT_LENGTH]);

    assert(http_head_parse(bytes, head_size - 1, &again, &fault) == 0);
    assert(http_head_parse(bytes, head_size, &again, &fault) == result);
    assert(again.length == head.length && strcmp(again.path, head.path) == 0);
    http_head_done(&again);
    http_head_done(&head);
    return 0;
}
