/*
 * The journal's segments, open for reading: the api may not open them itself, so the parent is
 * asked for them (MESSAGE_SEGMENTS_WANTED), anew for each scan, since the journal rotates. Whoever
 * asks while an answer is on its way shares it.
 */
#pragma once

#include "api/api-private.h"

typedef struct SegmentSet {
    int *fds; /* owned; oldest first */
    size_t count;
    unsigned references;
} SegmentSet;

SegmentSet *segment_set_ref(SegmentSet *set);
SegmentSet *segment_set_unref(SegmentSet *set); /* accepts NULL, returns NULL */

/* `set` NULL: there are none to be had. The callee takes its own reference. */
typedef void (*SegmentsReady)(SegmentSet *set, void *userdata);

/* NULL: out of memory. */
Segments *segments_new(Api *api);
Segments *segments_free(Segments *segments); /* accepts NULL, returns NULL */
/* `ready` is called later, once, unless segments_forget() comes before. 0 or -errno. */
int segments_want(Segments *segments, SegmentsReady ready, void *userdata);
void segments_forget(Segments *segments, const void *userdata);
/* MESSAGE_SEGMENTS. 0 or -errno. */
int segments_on_frame(Segments *segments, LinkFrame *frame);
