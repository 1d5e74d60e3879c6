/*
 * See warm.h. Facts: dl_iterate_phdr(3), elf(5): the part of a writable segment that is relocated
 * and then sealed (PT_GNU_RELRO) comes first and cannot be written any more.
 */
#include "exec/warm.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Debian 12's headers lack it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE ((uintptr_t)4096)
/* How much stack an event needs, below and above the loop's frame. */
#define STACK_BELOW (12 * PAGE)
#define STACK_ABOVE (2 * PAGE)
/* Data of one library beyond this is not what an event touches. */
#define RANGE_MAX (256 * 1024)

static uintptr_t page_of(uintptr_t address)
{
    return address & ~(PAGE - 1);
}

static int add_object(struct dl_phdr_info *object, size_t size UNUSED, void *userdata)
{
    WarmMemory *memory = userdata;
    uintptr_t sealed_end = 0;

    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_GNU_RELRO)
            sealed_end = page_of(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr +
                                 object->dlpi_phdr[i].p_memsz);
    }
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W) ||
            memory->n_ranges == WARM_RANGES_MAX)
            continue;
        uintptr_t start = page_of(object->dlpi_addr + segment->p_vaddr);
        uintptr_t end = page_of(object->dlpi_addr + segment->p_vaddr + segment->p_memsz + PAGE - 1);
        if (start < sealed_end && sealed_end <= end)
            start = sealed_end;
        if (end <= start)
            continue;
        memory->ranges[memory->n_ranges].start = (char *)start;
        memory->ranges[memory->n_ranges++].size = end - start < RANGE_MAX ? end - start : RANGE_MAX;
    }
    return 0;
}

void warm_find(WarmMemory *ret, void *heap)
{
    ret->n_ranges = 0;
    ret->heap = (char *)page_of((uintptr_t)heap);
    (void)dl_iterate_phdr(add_object, ret);
}

static void populate(char *start, size_t size)
{
    (void)madvise(start, size, MADV_POPULATE_WRITE);
}

void warm_up(const WarmMemory *memory)
{
    char here;
    char *stack = (char *)page_of((uintptr_t)&here);
    const char *heap_end = sbrk(0);

    for (size_t i = 0; i < memory->n_ranges; i++)
        populate(memory->ranges[i].start, memory->ranges[i].size);
    if (heap_end > memory->heap)
        populate(memory->heap, (size_t)(heap_end - memory->heap));
    populate(stack - STACK_BELOW, STACK_BELOW + STACK_ABOVE);
}
