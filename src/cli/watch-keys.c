/*
 * What a key does in the live view. Keys that decide go through may_decide(), which is where a key
 * is bound to what was read.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/show.h"
#include "cli/watch.h"

#define PAGE_ROWS 10

/* The entry that a decision would be about, when there is one and it may be decided upon now. */
static const WatchEntry *may_decide(Watch *watch, bool must_be_complete)
{
    const WatchEntry *entry = watch_model_find(
        &watch->model, watch->mode == WATCH_LIST ? watch->model.selected : watch->subject);

    if (!entry || watch->gone) {
        watch_say(watch, SCREEN_NOTE, "nothing is selected: move to a request first");
        return NULL;
    }
    if (!watch->model.armed) {
        watch_say(watch, SCREEN_NOTE, "that key came before %s could be read: ignored", entry->id);
        return NULL;
    }
    if (entry->deciding) {
        watch_say(watch, SCREEN_NOTE, "a decision about %s is under way", entry->id);
        return NULL;
    }
    if (json_is_false(json_object_get(entry->entry, "may_decide"))) {
        const char *why = json_string_value(json_object_get(entry->entry, "why_not"));
        watch_say(watch, SCREEN_BAD, "you may not decide %s: %s", entry->id,
                  why ? why : "the warden says no more");
        return NULL;
    }
    if (must_be_complete && !watch->complete) {
        watch_say(watch, SCREEN_NOTE, "not all of %s was on the screen: %s", entry->id,
                  watch->mode == WATCH_LIST ? "Enter shows it" : "scroll to its end (f unfolds)");
        return NULL;
    }
    return entry;
}

static void go_back(Watch *watch)
{
    watch_set_subject(watch, WATCH_LIST, NULL);
}

static void approve(Watch *watch)
{
    const WatchEntry *entry = may_decide(watch, true);

    if (!entry)
        return;
    if (watch->mode != WATCH_DETAILS)
        watch_set_subject(watch, WATCH_LIST, entry);
    watch_decide(watch, true, json_object());
    go_back(watch);
}

static void ask_reason(Watch *watch)
{
    const WatchEntry *entry = may_decide(watch, false);
    if (entry)
        watch_set_subject(watch, WATCH_REASON, entry);
}

static void ask_grant(Watch *watch)
{
    const WatchEntry *entry = may_decide(watch, true);
    if (entry)
        watch_set_subject(watch, WATCH_GRANT, entry);
}

static bool is_possible(const Watch *watch, const char *kind)
{
    return json_is_string(json_object_get(json_object_get(watch->subject_entry, "grant"), kind));
}

static void choose(Watch *watch, bool widened)
{
    const char *why = json_string_value(
        json_object_get(json_object_get(watch->subject_entry, "grant"), "why_not"));

    if (!is_possible(watch, widened ? "widened" : "exact")) {
        watch_say(watch, SCREEN_BAD, "that is not possible%s%s", why ? ": " : "", why ? why : "");
        return;
    }
    watch->widened = widened;
    watch->chosen = true;
    watch_say(watch, SCREEN_PLAIN, "now say for how long");
}

static bool is_deciding(const Watch *watch)
{
    for (size_t i = 0; i < watch->model.n_entries; i++) {
        if (watch->model.entries[i].deciding)
            return true;
    }
    return false;
}

/* Gives the grant that was chosen: for a time, or (0) for the session. */
static void grant(Watch *watch, uint64_t for_ms)
{
    const json_t *words = json_object_get(watch->subject_entry, "grant");

    if (!watch->chosen) {
        watch_say(watch, SCREEN_NOTE, "first say what: e or w");
        return;
    }
    if (for_ms == 0 && json_is_false(json_object_get(words, "session"))) {
        watch_say(watch, SCREEN_BAD, "its session is not known: choose a time");
        return;
    }
    if (is_deciding(watch)) { /* the answer is compared with one announcement */
        watch_say(watch, SCREEN_NOTE, "another decision is under way: once more, please");
        return;
    }
    if (!may_decide(watch, true))
        return;
    const char *announced =
        json_string_value(json_object_get(words, watch->widened ? "widened" : "exact"));
    size_t size = announced ? strlen(announced) : 0;
    if (!announced || size >= sizeof watch->announced) {
        watch_say(watch, SCREEN_BAD, "what it would cover is too long to be remembered");
        return;
    }
    memcpy(watch->announced, announced, size + 1);
    json_t *body = json_object();
    if (for_ms > 0)
        (void)json_object_set_new(body, "for_ms", json_integer((json_int_t)for_ms));
    else
        (void)json_object_set_new(body, "session", json_true());
    if (watch->widened)
        (void)json_object_set_new(body, "widened", json_true());
    watch_decide(watch, true, body);
    go_back(watch);
}

static void scroll(Watch *watch, long by)
{
    long to = (long)watch->scroll + by;
    watch->scroll = to > 0 ? (size_t)to : 0; /* drawing keeps it within the text */
}

/* Moves the selection, or the text. False: the key does neither. */
static bool move(Watch *watch, int key)
{
    long by;

    switch (key) {
    case SCREEN_KEY_UP:
    case 'k':
        by = -1;
        break;
    case SCREEN_KEY_DOWN:
    case 'j':
        by = 1;
        break;
    case SCREEN_KEY_PAGE_UP:
        by = -PAGE_ROWS;
        break;
    case SCREEN_KEY_PAGE_DOWN:
    case ' ':
        by = PAGE_ROWS;
        break;
    case SCREEN_KEY_HOME:
        by = -1000000;
        break;
    case SCREEN_KEY_END:
        by = 1000000;
        break;
    default:
        return false;
    }
    if (watch->mode == WATCH_LIST)
        watch_model_move(&watch->model, by);
    else
        scroll(watch, by);
    return true;
}

static void key_in_list(Watch *watch, int key)
{
    const WatchEntry *selected = watch_model_selected(&watch->model);

    switch (key) {
    case 'a':
        approve(watch);
        break;
    case 'd':
        ask_reason(watch);
        break;
    case 'g':
        ask_grant(watch);
        break;
    case SCREEN_KEY_ENTER:
        if (selected)
            watch_set_subject(watch, WATCH_DETAILS, selected);
        break;
    case 'z':
        watch_model_toggle_quiet(&watch->model);
        break;
    case 'r':
        watch_refresh(watch);
        break;
    case '?':
        watch->mode = WATCH_HELP;
        watch_model_hide(&watch->model);
        break;
    case 'q':
        watch->quit = true;
        break;
    default:
        (void)move(watch, key);
    }
}

static void key_in_details(Watch *watch, int key)
{
    switch (key) {
    case 'a':
        approve(watch);
        break;
    case 'd':
        ask_reason(watch);
        break;
    case 'g':
        ask_grant(watch);
        break;
    case 'f':
        watch->unfolded = !watch->unfolded;
        watch->complete = false;
        break;
    case SCREEN_KEY_ESCAPE:
    case SCREEN_KEY_ENTER:
    case 'q':
        go_back(watch);
        break;
    default:
        (void)move(watch, key);
    }
}

static void key_in_grant(Watch *watch, int key)
{
    static const uint64_t minute = 60000;

    switch (key) {
    case 'e':
    case 'w':
        choose(watch, key == 'w');
        break;
    case '1':
        grant(watch, 15 * minute);
        break;
    case '2':
        grant(watch, 60 * minute);
        break;
    case '3':
        grant(watch, 8 * 60 * minute);
        break;
    case 's':
        grant(watch, 0);
        break;
    case 't':
        if (watch->chosen && may_decide(watch, true))
            watch->mode = WATCH_TIME;
        else if (!watch->chosen)
            watch_say(watch, SCREEN_NOTE, "first say what: e or w");
        break;
    case SCREEN_KEY_ESCAPE:
    case 'q':
        go_back(watch);
        break;
    default:
        (void)move(watch, key);
    }
}

static void send_time(Watch *watch)
{
    uint64_t for_ms;

    if (clock_parse_duration(watch->input, &for_ms) < 0 || for_ms == 0) {
        watch_say(watch, SCREEN_BAD, "not a duration: write 15m, 2h, 1d");
        watch->mode = WATCH_GRANT;
        watch->input[0] = '\0';
        return;
    }
    watch->mode = WATCH_GRANT;
    grant(watch, for_ms);
}

static void send_reason(Watch *watch)
{
    json_t *body = json_object();

    if (watch->input[0])
        (void)json_object_set_new(body, "reason", json_string(watch->input));
    watch_decide(watch, false, body);
    go_back(watch);
}

/* The last character goes. */
static void erase_one(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && ((unsigned char)text[--size] & 0xc0) == 0x80) {
    }
    text[size] = '\0';
}

static void append(Watch *watch, int key)
{
    char bytes[5] = "";
    size_t size = strlen(watch->input), n = 0;
    unsigned c = (unsigned)key;

    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    if (size + n < sizeof watch->input && text_is_utf8(bytes, n))
        memcpy(watch->input + size, bytes, n + 1);
}

static void key_in_prompt(Watch *watch, int key)
{
    if (key == SCREEN_KEY_ESCAPE) {
        if (watch->mode == WATCH_TIME)
            watch->mode = WATCH_GRANT;
        else
            go_back(watch);
        watch->input[0] = '\0';
    } else if (key == SCREEN_KEY_ENTER) {
        if (watch->mode == WATCH_TIME)
            send_time(watch);
        else
            send_reason(watch);
    } else if (key == SCREEN_KEY_ERASE) {
        erase_one(watch->input);
    } else if (key >= ' ' && key < 0x110000) {
        append(watch, key);
    }
}

void watch_key(Watch *watch, int key)
{
    if (watch->gone) { /* whatever is still being typed means nothing any more */
        if (key == SCREEN_KEY_ESCAPE || key == SCREEN_KEY_ENTER)
            go_back(watch);
        return;
    }
    if (key == 0x0c) {
        screen_redraw();
        return;
    }
    switch (watch->mode) {
    case WATCH_LIST:
        key_in_list(watch, key);
        break;
    case WATCH_DETAILS:
        key_in_details(watch, key);
        break;
    case WATCH_GRANT:
        key_in_grant(watch, key);
        break;
    case WATCH_TIME:
    case WATCH_REASON:
        key_in_prompt(watch, key);
        break;
    case WATCH_HELP:
        watch->mode = WATCH_LIST;
        watch_model_hide(&watch->model);
        break;
    }
}
