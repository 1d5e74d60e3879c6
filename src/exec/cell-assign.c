/*
 * See cell.h: what a runner is given. Its descriptors come from a prisoner, and closing them may
 * block (runner.h).
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "exec/cell.h"

/* One message of an assignment; its descriptors are the caller's and stay open. */
static int assign(Cell *cell, const RunnerAssignment *assignment, const int *fds, size_t n_fds)
{
    ssize_t sent =
        fd_send(cell->control_fd, assignment, sizeof *assignment, fds, n_fds, MSG_DONTWAIT);
    return sent < 0 ? (int)sent : 0;
}

static int say_go(Cell *cell)
{
    const uint8_t go = RUNNER_GO;
    ssize_t sent = fd_send(cell->control_fd, &go, sizeof go, NULL, 0, MSG_DONTWAIT);
    return sent < 0 ? (int)sent : 0;
}

int cell_assign_take(Cell *cell, const Identity *caller, int *fds, size_t n_fds)
{
    RunnerAssignment assignment = {
        .type = RUNNER_ASSIGN, .may_relay = cell->block->may_relay, .caller = *caller};

    int result = assign(cell, &assignment, fds, n_fds);
    if (result < 0)
        return result;
    /* The runner's socket holds them now, or the runner: ours are not the last (runner.h). A
     * runner that has not been told so ends, and everything with it. */
    fd_close_many(fds, n_fds);
    if (say_go(cell) < 0)
        cell_kill(cell);
    return 0;
}

/* The spare is for commands: nobody waits for what is disposed of. */
static int take_disposer(CellBlock *block, CellShare *share, Cell **ret)
{
    int result = cell_start(block, block->tree, ret);

    if (result == -EAGAIN && block->spare)
        return cell_take(block, share, NULL, ret);
    if (result < 0 || !*ret)
        return result;
    (*ret)->share = share;
    share->n_cells++;
    return 0;
}

int cell_dispose_take(CellBlock *block, CellShare *share, int *fds, size_t n_fds)
{
    RunnerAssignment assignment = {.type = RUNNER_ASSIGN, .dispose = true};
    const uint8_t more = RUNNER_MORE;
    Cell *cell = NULL;

    int result = take_disposer(block, share, &cell);
    if (result < 0 || !cell)
        return result;
    cell_count_as_dying(cell);
    size_t done = n_fds < FD_MESSAGE_MAX ? n_fds : FD_MESSAGE_MAX;
    result = assign(cell, &assignment, fds, done);
    while (result == 0 && done < n_fds) {
        size_t part = n_fds - done < FD_MESSAGE_MAX ? n_fds - done : FD_MESSAGE_MAX;
        ssize_t sent =
            fd_send(cell->control_fd, &more, sizeof more, fds + done, part, MSG_DONTWAIT);
        result = sent < 0 ? (int)sent : 0;
        done += part;
    }
    if (result < 0) {
        cell_kill(cell);
        return result;
    }
    fd_close_many(fds, n_fds);
    if (say_go(cell) < 0)
        cell_kill(cell);
    return 0;
}
