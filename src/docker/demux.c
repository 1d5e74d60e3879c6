/*
 * See demux.h. Facts: Docker Engine API v1.41, "Attach to a container", stream format.
 */
#include "docker/demux.h"

#include <errno.h>

static int begin_frame(EngineDemux *demux)
{
    const unsigned char *head = demux->head;

    if (head[0] > 2 || head[1] || head[2] || head[3])
        return -EPROTO;
    demux->left = (uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 | (uint32_t)head[6] << 8 |
                  (uint32_t)head[7];
    if (demux->left == 0)
        demux->n_head = 0;
    return 0;
}

int engine_demux_feed(EngineDemux *demux, const char *bytes, size_t size, EngineDemuxBytes *deliver,
                      void *userdata)
{
    while (size > 0) {
        if (demux->n_head < sizeof demux->head) {
            demux->head[demux->n_head++] = (unsigned char)*bytes++;
            size--;
            if (demux->n_head == sizeof demux->head && begin_frame(demux) < 0)
                return -EPROTO;
            continue;
        }
        size_t part = size < demux->left ? size : demux->left;
        deliver(demux->head[0] == 2 ? 2 : 1, bytes, part, userdata);
        bytes += part;
        size -= part;
        demux->left -= (uint32_t)part;
        if (demux->left == 0)
            demux->n_head = 0;
    }
    return 0;
}
