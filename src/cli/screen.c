/*
 * See screen.h. ncursesw does the drawing; it is given text only, and never a format. What a crash
 * needs to restore the terminal is made when it is opened, because a signal handler may do nothing
 * but write(2) and tcsetattr(3) (signal-safety(7)).
 */
#include "cli/screen.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/screen-known.h"

#define RESTORE_MAX 256u
#define ESCAPE_DELAY_MS 25

/* Reached by signal handlers. */
static struct {
    volatile sig_atomic_t signal, disturbed, open;
    struct termios before;
    char restore[RESTORE_MAX];
    size_t restore_size;
} terminal;

static SCREEN *curses;
static bool utf8, colored;

/* Signals. */

static void on_end(int number)
{
    terminal.signal = number;
}

static void on_disturbance(int number)
{
    (void)number;
    terminal.disturbed = 1;
}

static void on_crash(int number)
{
    if (terminal.open) {
        terminal.open = 0;
        (void)!write(STDOUT_FILENO, terminal.restore, terminal.restore_size);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void handle(const int *numbers, size_t count, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    for (size_t i = 0; i < count; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

static void set_handlers(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static const int disturbances[] = {SIGWINCH, SIGCONT};
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS};

    handle(ends, ARRAY_SIZE(ends), on_end);
    handle(disturbances, ARRAY_SIZE(disturbances), on_disturbance);
    handle(crashes, ARRAY_SIZE(crashes), on_crash);
}

int screen_signal(void)
{
    return terminal.signal;
}

bool screen_was_disturbed(void)
{
    bool disturbed = terminal.disturbed != 0;
    terminal.disturbed = 0;
    return disturbed;
}

/* Opening and closing. */

/* A capability's string, without padding ("$<5>"). */
static void add_restore(const char *capability)
{
    const char *text = tigetstr((char *)(uintptr_t)capability);

    if (!text || text == (const char *)-1)
        return;
    while (*text && terminal.restore_size < RESTORE_MAX) {
        const char *end = text[0] == '$' && text[1] == '<' ? strchr(text, '>') : NULL;
        if (end)
            text = end + 1;
        else
            terminal.restore[terminal.restore_size++] = *text++;
    }
}

static void set_colors(bool wanted)
{
    colored = wanted && has_colors() && start_color() == OK;
    if (!colored)
        return;
    (void)use_default_colors();
    (void)init_pair(1, COLOR_GREEN, -1);
    (void)init_pair(2, COLOR_RED, -1);
    (void)init_pair(3, COLOR_YELLOW, -1);
}

static bool is_dumb(const char *name)
{
    return !name || name[0] == '\0' || strcmp(name, "dumb") == 0 || strcmp(name, "unknown") == 0;
}

const char *screen_open(bool color)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return "this is no terminal";
    if (is_dumb(getenv("TERM")))
        return "this terminal cannot place text (TERM)";
    (void)setlocale(LC_CTYPE, "");
    utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (tcgetattr(STDIN_FILENO, &terminal.before) < 0)
        return "the terminal does not answer";
    set_handlers();
    (void)set_escdelay(ESCAPE_DELAY_MS);
    curses = screen_is_known() ? newterm(NULL, stdout, stdin) : NULL;
    if (!curses)
        return "this terminal is not known here (TERM)";
    add_restore("sgr0");
    add_restore("cnorm");
    add_restore("rmkx");
    add_restore("rmcup");
    terminal.open = 1;
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)leaveok(stdscr, FALSE);
    set_colors(color);
    return NULL;
}

void screen_close(void)
{
    if (!terminal.open)
        return;
    (void)endwin();
    terminal.open = 0;
    delscreen(curses);
    curses = NULL;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.before);
}

/* Drawing. */

void screen_size(int *ret_rows, int *ret_columns)
{
    *ret_rows = LINES;
    *ret_columns = COLS;
}

void screen_begin(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        (size.ws_row != LINES || size.ws_col != COLS))
        (void)resizeterm(size.ws_row, size.ws_col);
    (void)erase();
}

static attr_t attributes_of(ScreenStyle style)
{
    switch (style) {
    case SCREEN_BOLD:
        return A_BOLD;
    case SCREEN_DIM:
        return A_DIM;
    case SCREEN_REVERSE:
        return A_REVERSE;
    case SCREEN_GOOD:
        return A_BOLD | (colored ? (attr_t)COLOR_PAIR(1) : 0);
    case SCREEN_BAD:
        return A_BOLD | (colored ? (attr_t)COLOR_PAIR(2) : 0);
    case SCREEN_NOTE:
        return colored ? (attr_t)COLOR_PAIR(3) : A_BOLD;
    case SCREEN_PLAIN:
        break;
    }
    return A_NORMAL;
}

/* One character as it is drawn. */
typedef struct Cell {
    char text[16];
    size_t size;  /* of text */
    size_t taken; /* bytes of the source */
    int columns;
} Cell;

static Cell cell_of(const char *text, size_t size)
{
    uint32_t codepoint = 0;
    Cell cell = {.taken = text_utf8_size(text, size, &codepoint), .columns = 1};

    if (cell.taken == 0 || codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0)) {
        cell.taken = cell.taken ? cell.taken : 1;
        cell.size = 1;
        cell.text[0] = '?';
        return cell;
    }
    int width = codepoint < 0x80 ? 1 : utf8 ? wcwidth((wchar_t)codepoint) : -1;
    if (width >= 0) {
        cell.columns = width;
        cell.size = cell.taken;
        memcpy(cell.text, text, cell.taken);
    } else {
        cell.size = (size_t)snprintf(cell.text, sizeof cell.text, "\\u{%x}", codepoint);
        cell.columns = (int)cell.size;
    }
    return cell;
}

size_t screen_fit(const char *text, int columns, int *ret_used)
{
    size_t size = strlen(text), at = 0;
    int used = 0;

    while (at < size) {
        Cell cell = cell_of(text + at, size - at);
        if (used + cell.columns > columns && at > 0)
            break;
        used += cell.columns;
        at += cell.taken;
    }
    *ret_used = used;
    return at;
}

int screen_put(int row, int column, int most, ScreenStyle style, const char *text)
{
    size_t size = strlen(text);
    int used = 0;

    if (row < 0 || row >= LINES || column < 0 || column >= COLS)
        return 0;
    if (most > COLS - column)
        most = COLS - column;
    (void)attrset((int)attributes_of(style));
    (void)move(row, column);
    for (size_t at = 0; at < size;) {
        Cell cell = cell_of(text + at, size - at);
        if (used + cell.columns > most)
            break;
        (void)addnstr(cell.text, (int)cell.size);
        used += cell.columns;
        at += cell.taken;
    }
    (void)attrset(A_NORMAL);
    return used;
}

void screen_fill(int row, ScreenStyle style)
{
    if (row >= 0 && row < LINES)
        (void)mvchgat(row, 0, -1, attributes_of(style), 0, NULL);
}

void screen_end(int cursor_row, int cursor_column)
{
    (void)curs_set(cursor_row >= 0);
    if (cursor_row >= 0)
        (void)move(cursor_row, cursor_column < COLS ? cursor_column : COLS - 1);
    (void)refresh();
}

void screen_redraw(void)
{
    (void)clearok(stdscr, TRUE);
}

void screen_beep(void)
{
    (void)beep();
}

/* Keys. */

static int named_key(wint_t key)
{
    switch (key) {
    case KEY_UP:
        return SCREEN_KEY_UP;
    case KEY_DOWN:
        return SCREEN_KEY_DOWN;
    case KEY_PPAGE:
        return SCREEN_KEY_PAGE_UP;
    case KEY_NPAGE:
        return SCREEN_KEY_PAGE_DOWN;
    case KEY_HOME:
        return SCREEN_KEY_HOME;
    case KEY_END:
        return SCREEN_KEY_END;
    case KEY_ENTER:
        return SCREEN_KEY_ENTER;
    case KEY_BACKSPACE:
        return SCREEN_KEY_ERASE;
    default:
        return SCREEN_KEY_OTHER;
    }
}

int screen_key(void)
{
    wint_t key;
    int result = get_wch(&key);

    if (result == ERR)
        return SCREEN_KEY_NONE;
    if (result == KEY_CODE_YES)
        return named_key(key);
    switch (key) {
    case '\r':
    case '\n':
        return SCREEN_KEY_ENTER;
    case 0x1b:
        return SCREEN_KEY_ESCAPE;
    case 0x08:
    case 0x7f:
        return SCREEN_KEY_ERASE;
    case 0:
        return SCREEN_KEY_OTHER;
    default:
        return key <= 0x10ffff ? (int)key : SCREEN_KEY_OTHER;
    }
}
