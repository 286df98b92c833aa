/* Arenas: a chain of blocks that grow with the job. All memory of the library comes through `take` below. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/countdown.h"

#define FIRST_BLOCK_NBYTES ((size_t)16 << 10)
#define LARGEST_BLOCK_NBYTES ((size_t)1 << 20)

static gx_countdown fail_countdown;

void gx_alloc_fail_after(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

void *gx_alloc(size_t count, size_t size)
{
    size_t nbytes;
    if (gx_countdown_step(&fail_countdown) || __builtin_mul_overflow(count, size, &nbytes))
        return NULL;
    return calloc(nbytes ? nbytes : 1, 1);
}

void *gx_realloc(void *pointer, size_t count, size_t size)
{
    size_t nbytes;
    if (gx_countdown_step(&fail_countdown) || __builtin_mul_overflow(count, size, &nbytes))
        return NULL;
    return realloc(pointer, nbytes ? nbytes : 1);
}

void gx_free(void *pointer)
{
    free(pointer);
}

gx_status gx_fail_memory(gx_error *error)
{
    return gx_fail(error, GX_ERROR_MEMORY, "out of memory");
}

typedef struct block {
    struct block *next;
    size_t used, capacity;
    max_align_t data[];
} block;

struct gx_arena {
    block *blocks; /* the newest first */
    size_t next_nbytes;
};

gx_arena *gx_arena_new(void)
{
    gx_arena *arena = gx_alloc(1, sizeof *arena);
    if (arena)
        arena->next_nbytes = FIRST_BLOCK_NBYTES;
    return arena;
}

void gx_arena_free(gx_arena *arena)
{
    if (!arena)
        return;
    for (block *b = arena->blocks; b;) {
        block *next = b->next;
        gx_free(b);
        b = next;
    }
    gx_free(arena);
}

static block *add_block(gx_arena *arena, size_t nbytes)
{
    const size_t capacity = nbytes > arena->next_nbytes ? nbytes : arena->next_nbytes;
    size_t total;
    if (__builtin_add_overflow(capacity, sizeof(block), &total))
        return NULL;
    block *b = gx_alloc(1, total);
    if (!b)
        return NULL;
    b->capacity = capacity;
    b->next = arena->blocks;
    arena->blocks = b;
    if (arena->next_nbytes < LARGEST_BLOCK_NBYTES)
        arena->next_nbytes *= 2;
    return b;
}

void *gx_arena_alloc(gx_arena *arena, size_t count, size_t size)
{
    size_t nbytes;
    if (__builtin_mul_overflow(count, size, &nbytes) || nbytes > SIZE_MAX / 2)
        return NULL;
    nbytes = gx_align_up(nbytes ? nbytes : 1, sizeof(max_align_t));
    block *b = arena->blocks;
    if (!b || b->capacity - b->used < nbytes)
        b = add_block(arena, nbytes);
    if (!b)
        return NULL;
    void *memory = (char *)b->data + b->used; /* the block was zeroed */
    b->used += nbytes;
    return memory;
}

char *gx_arena_copy_bytes(gx_arena *arena, const void *bytes, size_t nbytes)
{
    char *copy = nbytes < SIZE_MAX ? gx_arena_alloc(arena, nbytes + 1, 1) : NULL;
    if (copy && nbytes)
        memcpy(copy, bytes, nbytes);
    return copy;
}

char *gx_arena_copy_string(gx_arena *arena, const char *string)
{
    return gx_arena_copy_bytes(arena, string, strlen(string));
}

char *gx_arena_printf(gx_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length >= 0 ? gx_arena_alloc(arena, (size_t)length + 1, 1) : NULL;
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
