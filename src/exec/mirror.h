/*
 * Cells whose runner joins a container (join.h): the executor's side of it.
 *
 * A container that was active lately has a spare runner that has joined it already, as the block
 * has a plain one: joining costs more than a command should.
 */
#pragma once

#include "base/fd.h"
#include "exec/cell.h"
#include "exec/container.h"

/* Can runners join containers here? On false the reason in `why`. */
bool mirror_is_possible(const CellBlock *block, char why[static CONTAINER_WHY_MAX]);

/* Has a cell that was just started join. `late`: its filters are put on when it has become the
 * caller. 0 or -errno: it must be killed. */
int mirror_join(Cell *cell, Container *container, bool late);

/* What a joining runner says before it has left for the container, and a joined spare. True: it was
 * that, and is dealt with. `received` may be taken from. */
bool mirror_heard(Cell *cell, uint8_t type, const char *payload, size_t size, FdReceived *received);

/* The container's spare, if there is one that fits this caller; another will be wanted. NULL: none.
 * A spare that wears the container's filters cannot read those that a caller has beside them. */
Cell *mirror_take_spare(Container *container, const Identity *caller);

/* Starts spares for the containers that have used theirs. */
void mirror_refill(CellBlock *block);
/* The container has ended, or the block: its spare goes. */
void mirror_drop_spare(Container *container);
/* The cell ends: what it holds of this. */
void mirror_release(Cell *cell);
