/*
 * See watch-model.h.
 */
#include "cli/watch-model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/show.h"

static void entry_done(WatchEntry *entry)
{
    json_decref(entry->entry);
}

void watch_model_done(WatchModel *model)
{
    for (size_t i = 0; i < model->n_entries; i++)
        entry_done(&model->entries[i]);
    free(model->entries);
    *model = (WatchModel){0};
}

WatchEntry *watch_model_find(const WatchModel *model, const char *id)
{
    for (size_t i = 0; id[0] && i < model->n_entries; i++) {
        if (strcmp(model->entries[i].id, id) == 0)
            return &model->entries[i];
    }
    return NULL;
}

static bool is_row(const WatchModel *model, const WatchEntry *entry)
{
    return model->show_quiet || !entry->quiet;
}

size_t watch_model_n_rows(const WatchModel *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->n_entries; i++)
        count += is_row(model, &model->entries[i]);
    return count;
}

WatchEntry *watch_model_row(const WatchModel *model, size_t row)
{
    for (size_t i = 0; i < model->n_entries; i++) {
        if (is_row(model, &model->entries[i]) && row-- == 0)
            return &model->entries[i];
    }
    return NULL;
}

void watch_model_digest(const WatchModel *model, DigestLines *ret)
{
    *ret = (DigestLines){0};
    for (size_t i = 0; !model->show_quiet && i < model->n_entries; i++)
        (void)digest_lines_take(ret, model->entries[i].entry);
}

static void find_place(WatchModel *model)
{
    for (size_t row = 0;; row++) {
        const WatchEntry *entry = watch_model_row(model, row);
        if (!entry)
            return;
        if (strcmp(entry->id, model->selected) == 0) {
            model->place = row;
            return;
        }
    }
}

WatchEntry *watch_model_selected(const WatchModel *model)
{
    WatchEntry *entry = watch_model_find(model, model->selected);
    return entry && is_row(model, entry) ? entry : NULL;
}

/* Nothing is selected any more; the place stays for the next move. */
static void deselect(WatchModel *model)
{
    model->selected[0] = '\0';
    watch_model_hide(model);
}

static void remove_stale(WatchModel *model)
{
    size_t kept = 0;

    for (size_t i = 0; i < model->n_entries; i++) {
        if (model->entries[i].fresh)
            model->entries[kept++] = model->entries[i];
        else
            entry_done(&model->entries[i]);
    }
    model->n_entries = kept;
}

/* What a decision is about, and the words that it is made upon. */
static bool is_same_question(const json_t *a, const json_t *b)
{
    static const char *const members[] = {"jail",       "container", "argv",          "argv_more",
                                          "uid",        "gid",       "cwd",           "exe",
                                          "exe_digest", "script",    "script_digest", "rule",
                                          "reason",     "notes",     "needed",        "grant"};
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const json_t *one = json_object_get(a, members[i]), *other = json_object_get(b, members[i]);
        if (one != other && !json_equal(one, other))
            return false;
    }
    return true;
}

/* 1 when it is new and asks for attention, else 0. */
static int take_entry(WatchModel *model, json_t *given, uint64_t now_ms)
{
    const char *id = json_string_value(json_object_get(given, "id"));
    bool is_new;

    if (!id || id[0] == '\0' || strlen(id) >= WATCH_ID_MAX)
        return 0;
    WatchEntry *entry = watch_model_find(model, id);
    is_new = !entry;
    if (is_new) {
        WatchEntry *grown = reallocarray(model->entries, model->n_entries + 1, sizeof *grown);
        if (!grown)
            return 0;
        model->entries = grown;
        entry = &grown[model->n_entries++];
        *entry = (WatchEntry){0};
        memcpy(entry->id, id, strlen(id) + 1);
    }
    if (!is_new && strcmp(id, model->selected) == 0 && !is_same_question(entry->entry, given))
        watch_model_hide(model); /* to be read again */
    json_decref(entry->entry);
    entry->entry = json_incref(given);
    entry->expires_at_ms = now_ms + show_number(given, "expires_in_ms");
    entry->quiet = json_is_true(json_object_get(given, "quiet"));
    entry->fresh = true;
    return is_new && !entry->quiet;
}

int watch_model_take(WatchModel *model, const json_t *queue, uint64_t now_ms)
{
    const json_t *pending = json_object_get(queue, "pending");
    int n_new = 0;

    if (!json_is_array(pending))
        return -EPROTO;
    for (size_t i = 0; i < model->n_entries; i++)
        model->entries[i].fresh = false;
    for (size_t i = 0; i < json_array_size(pending); i++)
        n_new += take_entry(model, json_array_get(pending, i), now_ms);
    remove_stale(model);
    model->total = show_number(queue, "total");
    if (model->total < model->n_entries)
        model->total = model->n_entries;
    model->loaded = true;
    if (model->selected[0] && !watch_model_selected(model))
        deselect(model);
    else
        find_place(model);
    return n_new;
}

void watch_model_move(WatchModel *model, long by)
{
    long count = (long)watch_model_n_rows(model), row = (long)model->place;

    if (count == 0)
        return;
    if (model->selected[0])
        row += by;
    else if (by < 0)
        row--; /* from the gap, up to the one before it */
    if (row >= count)
        row = count - 1;
    if (row < 0)
        row = 0;
    const WatchEntry *entry = watch_model_row(model, (size_t)row);
    if (strcmp(entry->id, model->selected) == 0)
        return;
    memcpy(model->selected, entry->id, sizeof entry->id);
    model->place = (size_t)row;
    watch_model_hide(model);
}

void watch_model_toggle_quiet(WatchModel *model)
{
    model->show_quiet = !model->show_quiet;
    if (model->selected[0] && !watch_model_selected(model))
        deselect(model);
    else
        find_place(model);
}

void watch_model_hide(WatchModel *model)
{
    model->shown = model->armed = false;
}

void watch_model_show(WatchModel *model, uint64_t now_ms)
{
    if (model->shown)
        return;
    model->shown = true;
    model->armed = false;
    model->shown_at_ms = now_ms;
}

bool watch_model_arm(WatchModel *model, uint64_t now_ms)
{
    if (model->shown && now_ms - model->shown_at_ms >= WATCH_READ_MS)
        model->armed = true;
    return model->armed;
}
