/*
 * Decoding of a shim's request: the one place where a prisoner's bytes become fields.
 *
 * Limits are checked before anything is allocated; sizes must match exactly.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/shim-protocol.h"

typedef struct ShimRequest {
    uint16_t flags;
    uint32_t wait_ms;
    const char *path; /* all strings point into the body that was decoded */
    const char *cwd;
    const char **argv; /* owned; NULL-terminated; argc >= 1 */
    size_t argc;
    const char **env; /* owned; NULL-terminated */
    size_t envc;
} ShimRequest;

#define SHIM_REQUEST_EMPTY ((ShimRequest){.argv = NULL})

/* Positive outcomes of a refused header or body; shim_request_problem() gives the words. */
typedef enum ShimProblem {
    SHIM_OK = 0,
    SHIM_BAD_MAGIC = 1,
    SHIM_BAD_VERSION,
    SHIM_BAD_FLAGS,
    SHIM_TOO_LARGE,
    SHIM_BAD_COUNT,   /* argc is 0, or a size is smaller than its count */
    SHIM_BAD_STRINGS, /* the strings do not fill the body exactly */
} ShimProblem;

/* Checks a header in wire form. On SHIM_OK `ret_body_size` is how many bytes follow and
 * `ret_n_fds` how many descriptors must have come with it. */
ShimProblem shim_header_check(const ShimHeader *wire, size_t *ret_body_size, size_t *ret_n_fds);

/* What a request with this header in wire form takes of memory once it is decoded: its bytes, and a
 * pointer for every string (shim_request_size()). */
uint64_t shim_header_cost(const ShimHeader *wire);

/* Decodes header and body. `body` must outlive `ret`. Returns a ShimProblem or -ENOMEM. */
int shim_request_decode(const ShimHeader *wire, const char *body, size_t body_size,
                        ShimRequest *ret);
void shim_request_done(ShimRequest *request);

const char *shim_problem_text(ShimProblem problem);
