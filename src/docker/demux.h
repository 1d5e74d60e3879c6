/*
 * The framing of attached streams without a terminal: u8 stream (0 or 1 stdout, 2 stderr), three
 * zero bytes, u32 length (big-endian), the bytes. Fed in pieces as they come; nothing is kept but
 * the head of a frame.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct EngineDemux {
    unsigned char head[8];
    size_t n_head; /* bytes of the head that are there */
    uint32_t left; /* bytes of the frame still to come */
} EngineDemux;

/* `stream` is 1 or 2; the bytes lie within what was fed. */
typedef void EngineDemuxBytes(unsigned stream, const char *bytes, size_t size, void *userdata);

/* Begin with a zeroed EngineDemux. 0, or -EPROTO: this is not such a stream; nothing of the frame
 * has been delivered. */
int engine_demux_feed(EngineDemux *demux, const char *bytes, size_t size, EngineDemuxBytes *deliver,
                      void *userdata);
