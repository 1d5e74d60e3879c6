/*
 * A shim's request: header and body, as a door gets them. What decodes must lie inside the body and
 * add up to it; the same bytes are also offered to the search for a shim's mark.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/shim-mark.h"
#include "wire/shim-request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Bytes of the strings with their NULs. */
static size_t size_of(const char **strings, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += strlen(strings[i]) + 1;
    require(strings[count] == NULL);
    return size;
}

static void try_request(const ShimHeader *header, const char *body, size_t body_size)
{
    ShimRequest request;
    size_t wanted = 0, n_fds = 0;
    ShimProblem problem = shim_header_check(header, &wanted, &n_fds);
    int result = shim_request_decode(header, body, body_size, &request);

    require(strlen(shim_problem_text(problem)) > 0);
    if (problem != SHIM_OK) {
        require(result == (int)problem);
        return;
    }
    require(wanted <= SHIM_REQUEST_MAX && n_fds >= 1 && n_fds <= 4);
    if (result == 0) {
        require(wanted == body_size && request.argc >= 1);
        require(strlen(request.path) + 1 + strlen(request.cwd) + 1 +
                    size_of(request.argv, request.argc) + size_of(request.env, request.envc) ==
                body_size);
    }
    shim_request_done(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ShimHeader header;

    (void)shim_mark_is_in(data, size);
    if (size < sizeof header)
        return 0;
    memcpy(&header, data, sizeof header);
    try_request(&header, (const char *)data + sizeof header, size - sizeof header);
    return 0;
}
