/*
 * Queries (api/query.h) and lines of the journal (api/record.h), which both are read by hand.
 * Beyond not crashing: what is accepted has no NUL, is UTF-8, and only known names; a record's
 * parts lie within its line.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/query.h"
#include "api/record.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_slice(Slice slice, const char *line, size_t size)
{
    assert(!slice.bytes || (slice.bytes >= line && slice.bytes + slice.size <= line + size));
    (void)slice_has_word(slice, "word");
    (void)slice_compare(slice, "2026-01-01");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"limit", "after", "q", NULL};
    char *text = malloc(size + 1);
    Query query;
    RecordView view;

    memcpy(text, data, size);
    text[size] = '\0';
    if (query_parse(text, names, &query) == 0) {
        for (size_t i = 0; i < QUERY_PARAMETERS_MAX; i++)
            assert(!query.values[i] ||
                   (i < 3 && text_is_utf8(query.values[i], strlen(query.values[i]))));
    } else {
        assert(query.problem[0] != '\0');
    }
    query_done(&query);
    if (record_view(text, size, &view) == 0) {
        assert(view.seq > 0 && view.searched <= size);
        check_slice(view.ts, text, size);
        check_slice(view.event, text, size);
        check_slice(view.jail, text, size);
        check_slice(view.command, text, size);
    }
    free(text);
    return 0;
}
