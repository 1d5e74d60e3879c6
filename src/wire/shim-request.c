/*
 * See shim-request.h. Every number of the header is checked before a byte of the body is looked
 * at, and every string is found by its NUL inside its own section: a section that has a string too
 * few, too many, or one without an end is refused as a whole.
 */
#include "wire/shim-request.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static ShimHeader header_from_wire(const ShimHeader *wire)
{
    return (ShimHeader){
        .magic = le32toh(wire->magic),
        .version = le16toh(wire->version),
        .flags = le16toh(wire->flags),
        .wait_ms = le32toh(wire->wait_ms),
        .path_size = le32toh(wire->path_size),
        .cwd_size = le32toh(wire->cwd_size),
        .argc = le32toh(wire->argc),
        .argv_size = le32toh(wire->argv_size),
        .envc = le32toh(wire->envc),
        .env_size = le32toh(wire->env_size),
    };
}

static ShimProblem check(const ShimHeader *header)
{
    if (header->magic != SHIM_MAGIC)
        return SHIM_BAD_MAGIC;
    if (header->version != SHIM_VERSION)
        return SHIM_BAD_VERSION;
    if (header->flags & ~SHIM_FLAGS_KNOWN)
        return SHIM_BAD_FLAGS;
    if (header->path_size > SHIM_PATH_MAX || header->cwd_size > SHIM_PATH_MAX ||
        shim_request_size(header) > SHIM_REQUEST_MAX)
        return SHIM_TOO_LARGE;
    if (header->path_size < 1 || header->cwd_size < 1 || header->argc < 1 ||
        header->argv_size < header->argc || header->env_size < header->envc ||
        (header->envc == 0 && header->env_size > 0))
        return SHIM_BAD_COUNT;
    return SHIM_OK;
}

static size_t body_size_of(const ShimHeader *header)
{
    return (size_t)header->path_size + header->cwd_size + header->argv_size + header->env_size;
}

ShimProblem shim_header_check(const ShimHeader *wire, size_t *ret_body_size, size_t *ret_n_fds)
{
    ShimHeader header = header_from_wire(wire);
    ShimProblem problem = check(&header);

    if (problem != SHIM_OK)
        return problem;
    *ret_body_size = body_size_of(&header);
    *ret_n_fds = 1 + (header.flags & SHIM_FLAG_STDIN ? 1 : 0) +
                 (header.flags & SHIM_FLAG_STDOUT ? 1 : 0) +
                 (header.flags & SHIM_FLAG_STDERR ? 1 : 0);
    return SHIM_OK;
}

uint64_t shim_header_cost(const ShimHeader *wire)
{
    ShimHeader header = header_from_wire(wire);
    return shim_request_size(&header);
}

/* Splits one section into exactly `count` strings; false when they do not fill it. */
static bool split(const char **next, size_t size, const char **strings, size_t count)
{
    const char *string = *next, *end = *next + size;

    for (size_t i = 0; i < count; i++) {
        const char *nul = string < end ? memchr(string, '\0', (size_t)(end - string)) : NULL;
        if (!nul)
            return false;
        strings[i] = string;
        string = nul + 1;
    }
    *next = end;
    return string == end;
}

int shim_request_decode(const ShimHeader *wire, const char *body, size_t body_size,
                        ShimRequest *ret)
{
    ShimHeader header = header_from_wire(wire);
    ShimRequest request = {.flags = header.flags, .wait_ms = header.wait_ms};
    const char *next = body;

    *ret = SHIM_REQUEST_EMPTY;
    ShimProblem problem = check(&header);
    if (problem != SHIM_OK)
        return (int)problem;
    if (body_size != body_size_of(&header))
        return SHIM_BAD_STRINGS;

    request.argc = header.argc;
    request.envc = header.envc;
    request.argv = calloc((size_t)header.argc + 1, sizeof *request.argv);
    request.env = calloc((size_t)header.envc + 1, sizeof *request.env);
    if (!request.argv || !request.env) {
        shim_request_done(&request);
        return -ENOMEM;
    }
    if (!split(&next, header.path_size, &request.path, 1) ||
        !split(&next, header.cwd_size, &request.cwd, 1) ||
        !split(&next, header.argv_size, request.argv, header.argc) ||
        !split(&next, header.env_size, request.env, header.envc)) {
        shim_request_done(&request);
        return SHIM_BAD_STRINGS;
    }
    *ret = request;
    return 0;
}

void shim_request_done(ShimRequest *request)
{
    free(request->argv);
    free(request->env);
    *request = SHIM_REQUEST_EMPTY;
}

const char *shim_problem_text(ShimProblem problem)
{
    switch (problem) {
    case SHIM_OK:
        return "no problem";
    case SHIM_BAD_MAGIC:
        return "not a shim's request";
    case SHIM_BAD_VERSION:
        return "a version of the shim's protocol that this warden does not speak";
    case SHIM_BAD_FLAGS:
        return "flags that this version of the protocol does not have";
    case SHIM_TOO_LARGE:
        return "argument list too long";
    case SHIM_BAD_COUNT:
        return "counts and sizes that contradict each other";
    case SHIM_BAD_STRINGS:
        return "strings that do not fill the request";
    default:
        return "an unknown problem";
    }
}
