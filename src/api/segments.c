/*
 * See segments.h.
 */
#include "api/segments.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"

#define SET_MAX 3000u /* descriptors */

typedef struct Wanting {
    SegmentsReady ready;
    void *userdata;
    struct Wanting *next;
} Wanting;

struct Segments {
    Api *api;
    Wanting *wanting;
    SegmentSet *coming; /* owned: what has been received of the answer */
    bool asked;
};

SegmentSet *segment_set_ref(SegmentSet *set)
{
    set->references++;
    return set;
}

SegmentSet *segment_set_unref(SegmentSet *set)
{
    if (!set || --set->references > 0)
        return NULL;
    fd_close_many(set->fds, set->count);
    free(set->fds);
    free(set);
    return NULL;
}

Segments *segments_new(Api *api)
{
    Segments *segments = calloc(1, sizeof *segments);
    if (segments)
        segments->api = api;
    return segments;
}

Segments *segments_free(Segments *segments)
{
    if (!segments)
        return NULL;
    while (segments->wanting) {
        Wanting *next = segments->wanting->next;
        free(segments->wanting);
        segments->wanting = next;
    }
    segment_set_unref(segments->coming);
    free(segments);
    return NULL;
}

static int ask(Segments *segments)
{
    int result = link_send(segments->api->control, MESSAGE_SEGMENTS_WANTED, 0, NULL, 0);
    segments->asked = result == 0;
    return result;
}

int segments_want(Segments *segments, SegmentsReady ready, void *userdata)
{
    Wanting *wanting = calloc(1, sizeof *wanting);

    if (!wanting)
        return -ENOMEM;
    *wanting = (Wanting){.ready = ready, .userdata = userdata};
    int result = segments->asked ? 0 : ask(segments);
    if (result < 0) {
        free(wanting);
        return result;
    }
    wanting->next = segments->wanting;
    segments->wanting = wanting;
    return 0;
}

void segments_forget(Segments *segments, const void *userdata)
{
    for (Wanting **link = &segments->wanting; *link;) {
        Wanting *wanting = *link;
        if (wanting->userdata != userdata) {
            link = &wanting->next;
            continue;
        }
        *link = wanting->next;
        free(wanting);
    }
}

/* Everybody who waits gets the set; those who begin to wait meanwhile wait for the next one. */
static void give_out(Segments *segments, SegmentSet *set)
{
    segments->asked = false;
    for (Wanting *wanting; (wanting = segments->wanting);) {
        segments->wanting = wanting->next;
        Wanting taken = *wanting;
        free(wanting);
        taken.ready(set, taken.userdata);
    }
}

static int take(SegmentSet *set, LinkFrame *frame)
{
    int *larger = reallocarray(set->fds, set->count + frame->n_fds, sizeof *larger);

    if (!larger || set->count + frame->n_fds > SET_MAX) {
        if (larger)
            set->fds = larger;
        return -ENOMEM;
    }
    set->fds = larger;
    for (size_t i = 0; i < frame->n_fds; i++)
        set->fds[set->count++] = TAKE_FD(frame->fds[i]);
    return 0;
}

int segments_on_frame(Segments *segments, LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    uint32_t following = reader_u32(&reader);

    if (!reader_done(&reader) || !segments->asked)
        return -EPROTO;
    if (!segments->coming) {
        segments->coming = calloc(1, sizeof *segments->coming);
        if (!segments->coming)
            return -ENOMEM;
        segments->coming->references = 1;
    }
    int result = frame->n_fds > 0 ? take(segments->coming, frame) : 0;
    if (result < 0)
        return result;
    if (following > 0)
        return 0;
    SegmentSet *set = segments->coming;
    segments->coming = NULL;
    give_out(segments, set->count > 0 ? set : NULL);
    segment_set_unref(set);
    return 0;
}
