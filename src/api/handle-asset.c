/*
 * The dashboard's files (assets.h): exact paths, nothing decoded, no file system behind them.
 */
#include <stdio.h>
#include <string.h>

#include "api/assets.h"
#include "api/handlers.h"

bool handle_asset(Caller *caller)
{
    const HttpHead *head = &caller->request->head;
    const Asset *asset = head->query ? NULL : asset_find(head->path);
    const char *known = head->fields[HTTP_FIELD_IF_NONE_MATCH];
    char fields[160];

    if (!asset || (head->method != HTTP_GET && head->method != HTTP_HEAD))
        return false;
    bool unchanged = known && strcmp(known, asset->etag) == 0;
    (void)snprintf(fields, sizeof fields, "ETag: %s\r\n", asset->etag);
    HttpAnswer answer = {.status = unchanged ? 304 : 200,
                         .type = asset->type,
                         .fields = fields,
                         .page = true,
                         .body = asset->bytes,
                         .size = asset->size};
    caller_answer_other(caller, &answer);
    return true;
}
