/*
 * What the live view's parts share. watch.c waits and fetches, watch-keys.c says what a key does,
 * watch-view.c draws, watch-text.c puts an entry into words, watch-model.c knows.
 */
#pragma once

#include "cli/feed.h"
#include "cli/lines.h"
#include "cli/watch-model.h"

#define WATCH_HISTORY 200u
#define WATCH_INPUT_MAX 1000u
#define WATCH_MESSAGE_MAX 1000u

typedef enum WatchMode {
    WATCH_LIST,
    WATCH_DETAILS,
    WATCH_GRANT,  /* what to remember of an approval, and for how long */
    WATCH_TIME,   /* … for a time that is typed */
    WATCH_REASON, /* of a denial */
    WATCH_HELP,
} WatchMode;

typedef struct Watch {
    const Cli *cli;
    Feed *feed;
    WatchModel model;

    /* What is asked about: of the modes between list and help. The entry stays when it is gone from
     * the queue, and `gone` says so: keys then do nothing but go back, so that what is being typed
     * cannot become decisions about another one. */
    WatchMode mode;
    char subject[WATCH_ID_MAX];
    json_t *subject_entry; /* owned reference */
    bool gone;
    bool widened, chosen;        /* grant: what was chosen */
    char input[WATCH_INPUT_MAX]; /* what is typed, UTF-8 */
    bool unfolded;               /* details: no argument is folded */
    size_t scroll, n_rows, page; /* details and grant: first row shown, all rows, rows on screen */
    bool complete;               /* all of the subject has been on the screen */

    /* History, a ring of lines in display form. */
    char *history[WATCH_HISTORY]; /* owned */
    size_t n_history;             /* since the beginning */

    json_t *switches; /* owned: what is stopped, as /api/status has it; NULL: not known */

    char message[WATCH_MESSAGE_MAX]; /* the last line that the operator must read */
    ScreenStyle message_style;
    char trouble[WATCH_MESSAGE_MAX]; /* of the stream; "": live */
    bool stream_was_live;

    bool beep, quit;
    bool fetching, stale; /* the queue: a call is under way; it has changed since */
    uint64_t fetched_at_ms;
    char announced[WATCH_INPUT_MAX * 8]; /* the words that the grant under way was announced with */
} Watch;

/* watch-text.c: in display form. What the operator reads before deciding; `ret_partial`: something
 * could not be shown here (folded, or not given by the warden). */
void watch_text_row(const WatchEntry *entry, uint64_t now_ms, Buffer *out);
void watch_text_preview(const json_t *entry, Lines *out, bool *ret_partial);
void watch_text_details(const json_t *entry, bool unfolded, Lines *out, bool *ret_partial);
void watch_text_grant(const Watch *watch, Lines *out);
/* One line of the history; owned by the caller. */
char *watch_text_record(const json_t *record);

/* watch-view.c */
void watch_draw(Watch *watch, uint64_t now_ms);

/* watch-keys.c */
void watch_key(Watch *watch, int key);

/* watch.c: what keys start. `body` is released. */
void watch_decide(Watch *watch, bool approve, json_t *body);
void watch_refresh(Watch *watch);
void watch_say(Watch *watch, ScreenStyle style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The subject of what is asked from now on; NULL: nothing, back to the list. */
void watch_set_subject(Watch *watch, WatchMode mode, const WatchEntry *entry);
