/*
 * Whether ncurses knows this terminal. newterm(3) leaves memory behind when it does not, so it is
 * asked first. A file of its own because <term.h> makes macros of common words.
 */
#include <curses.h>
#include <term.h>
#include <unistd.h>

#include "cli/screen-known.h"

bool screen_is_known(void)
{
    int error = 0;
    bool known = setupterm(NULL, STDOUT_FILENO, &error) == OK;

    if (known)
        (void)del_curterm(set_curterm(NULL));
    return known;
}
