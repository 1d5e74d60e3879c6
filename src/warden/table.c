/*
 * Look-ups: requests by key, jails by door and by name.
 */
#include <string.h>

#include "warden/state.h"

static Request **bucket_of(Warden *warden, uint64_t key)
{
    uint64_t mixed = key * UINT64_C(0x9e3779b97f4a7c15);
    return &warden->buckets[mixed >> 52]; /* 12 bits: BUCKETS */
}

_Static_assert(BUCKETS == 1u << 12, "bucket_of takes twelve bits");

Request *requests_find(Warden *warden, uint64_t key)
{
    for (Request *request = *bucket_of(warden, key); request; request = request->next_in_bucket)
        if (request->key == key)
            return request;
    return NULL;
}

void requests_add(Warden *warden, Request *request)
{
    Request **bucket = bucket_of(warden, request->key);
    Jail *jail = request->jail;

    request->next_in_bucket = *bucket;
    *bucket = request;
    request->next = jail->requests;
    if (jail->requests)
        jail->requests->previous = request;
    jail->requests = request;
    jail->n_requests++;
    warden->n_requests++;
}

void requests_remove(Warden *warden, Request *request)
{
    Request **link = bucket_of(warden, request->key);
    Jail *jail = request->jail;

    while (*link && *link != request)
        link = &(*link)->next_in_bucket;
    if (!*link)
        return;
    *link = request->next_in_bucket;
    if (request->previous)
        request->previous->next = request->next;
    else
        jail->requests = request->next;
    if (request->next)
        request->next->previous = request->previous;
    jail->n_requests--;
    warden->n_requests--;
}

Jail *jail_of_door(Warden *warden, uint32_t door_id)
{
    for (Jail *jail = warden->jails; jail; jail = jail->next)
        if (jail->door_id == door_id && door_id != 0)
            return jail;
    return NULL;
}

Jail *jail_by_name(Warden *warden, const char *name)
{
    for (Jail *jail = warden->jails; jail; jail = jail->next)
        if (strcmp(jail->name, name) == 0)
            return jail;
    return NULL;
}
