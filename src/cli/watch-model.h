/*
 * What the live view knows: the queue in the order in which it was seen, what is selected, and
 * whether a decision may be taken about it; no terminal, no network.
 *
 * A decision is about what the operator has read. So: new entries are appended, the selection is an
 * id and never moves by itself, when the selected one is gone nothing is selected until the
 * operator moves, and a key that decides counts only when the selection was on the screen for
 * WATCH_READ_MS and the key came after that. What waited in the terminal's queue before is not a
 * decision about this entry: `armed` is set only after such keys have been taken out
 * (watch_model_arm()).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/digest-lines.h"

#define WATCH_READ_MS 300u
#define WATCH_ID_MAX 64u

typedef struct WatchEntry {
    char id[WATCH_ID_MAX];
    json_t *entry;          /* owned reference */
    uint64_t expires_at_ms; /* monotonic */
    bool quiet;
    bool deciding; /* our decision is under way */
    bool fresh;    /* in the page that is being taken */
} WatchEntry;

typedef struct WatchModel {
    WatchEntry *entries; /* owned */
    size_t n_entries;
    unsigned long long total; /* in the warden's queue */
    bool loaded;              /* a queue has come */
    bool show_quiet;          /* one by one */

    char selected[WATCH_ID_MAX]; /* "": nothing */
    size_t place;                /* row of the selection, or where it was last */

    bool shown, armed;
    uint64_t shown_at_ms;
} WatchModel;

void watch_model_done(WatchModel *model);

/* Takes an answer of /api/queue. Returns how many entries are new and not quiet. -EPROTO: it is no
 * queue. */
int watch_model_take(WatchModel *model, const json_t *queue, uint64_t now_ms);

/* Rows: the entries that are listed one by one. */
size_t watch_model_n_rows(const WatchModel *model);
WatchEntry *watch_model_row(const WatchModel *model, size_t row);
/* The quiet ones that are not; the caller releases the lines. */
void watch_model_digest(const WatchModel *model, DigestLines *ret);

WatchEntry *watch_model_find(const WatchModel *model, const char *id);
/* The selected entry, or NULL. */
WatchEntry *watch_model_selected(const WatchModel *model);
/* Moves by so many rows; from nothing to the row where the last selection was. */
void watch_model_move(WatchModel *model, long by);
void watch_model_toggle_quiet(WatchModel *model);

/* The selection (or what is asked about it) is not on the screen, or is another one. */
void watch_model_hide(WatchModel *model);
/* It has been drawn. */
void watch_model_show(WatchModel *model, uint64_t now_ms);
/* To be called when all keys that had come are taken. Returns whether it is armed. */
bool watch_model_arm(WatchModel *model, uint64_t now_ms);
