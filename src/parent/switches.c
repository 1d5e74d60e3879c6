/*
 * What operators have stopped outlives the warden: the parent keeps the warden's word of it, here
 * for the next warden and in the state directory for the next start. It does not read it.
 *
 * The file is replaced as a whole: a crash leaves the old one or the new one. One that is there and
 * cannot be read is never taken for none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "parent/parent.h"
#include "parent/places.h"

#define FILE_MAX (512u * 1024)
#define FILE_NAME "switches"
#define FILE_NEW "switches.new"

/* As place_trusted_file() has it, but nothing there is no mistake (-ENOENT). */
static int read_table(const char *directory, char **ret_text)
{
    char path[PATH_MAX];
    size_t size = 0;

    int written = snprintf(path, sizeof path, "%s/" FILE_NAME, directory);
    if (written < 0 || (size_t)written >= sizeof path)
        return -ENAMETOOLONG;
    _cleanup_fd_ int fd = place_trusted_file(path, geteuid());
    if (fd < 0)
        return fd;
    int result = fd_read_all(fd, FILE_MAX, ret_text, &size);
    if (result == 0 && strlen(*ret_text) != size) /* it has a NUL in it */
        result = -EBADMSG;
    return result;
}

void switches_load(Parent *parent)
{
    _cleanup_free_ char *text = NULL;
    int result = read_table(parent->options->state_dir, &text);

    if (result == -ENOENT) {
        parent->switches_found = SWITCHES_NONE;
        return;
    }
    parent->switches_found = result < 0 ? SWITCHES_BROKEN : SWITCHES_TEXT;
    parent->switches = result < 0 ? NULL : TAKE_PTR(text);
    if (result < 0)
        log_error("%s/" FILE_NAME ": %s", parent->options->state_dir, place_problem(result));
}

int switches_send(Parent *parent, Child *warden)
{
    Buffer payload = BUFFER_EMPTY(FILE_MAX + PATH_MAX + 256);

    buffer_put_u8(&payload, (uint8_t)parent->switches_found);
    if (parent->switches_found == SWITCHES_BROKEN) {
        char why[PATH_MAX + 64];
        (void)snprintf(why, sizeof why, "%s/" FILE_NAME, parent->options->state_dir);
        buffer_put_string(&payload, why);
    } else {
        buffer_put_string(&payload, parent->switches);
    }
    return child_send(warden, MESSAGE_SWITCHES, &payload, -1);
}

static int save(const Parent *parent)
{
    gid_t group = parent->context.privileged ? parent->context.operators : getegid();
    _cleanup_fd_ int directory =
        open(parent->options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        return -errno;
    return fd_replace_file(directory, FILE_NAME, FILE_NEW, parent->switches, 0640, group);
}

void switches_on_save(Parent *parent, Child *warden, const LinkFrame *frame)
{
    Reader reader = reader_of(frame->payload, frame->size);
    const char *text = reader_string(&reader);
    Buffer payload = BUFFER_EMPTY(64);
    char *kept = reader_done(&reader) ? strdup(text) : NULL;

    if (!kept) {
        log_error("the kill switch's state cannot be kept: the warden is ended");
        child_kill(warden);
        return;
    }
    free(parent->switches);
    parent->switches = kept;
    parent->switches_found = SWITCHES_TEXT; /* whatever happens to the file */
    int result = save(parent);
    if (result < 0)
        log_error("the kill switch's state cannot be saved to %s/" FILE_NAME
                  ": %s; the next start will not know it",
                  parent->options->state_dir, strerror(-result));
    buffer_put_u32(&payload, (uint32_t)-result);
    (void)child_send(warden, MESSAGE_SWITCHES_SAVED, &payload, -1);
}
