/*
 * Memory. An arena holds everything that lives as long as one job (index, strings, bound model, graph, plan): one
 * free, nothing in it is freed singly. gx_alloc is for the few large buffers that come and go. Both go through one
 * seam, so that tests can make the nth allocation fail.
 */
#ifndef GX_BASE_ARENA_H
#define GX_BASE_ARENA_H

#include "base/error.h"

typedef struct gx_arena gx_arena;

/* NULL when memory is out. */
gx_arena *gx_arena_new(void);
void gx_arena_free(gx_arena *arena); /* NULL allowed */

/* Zeroed, aligned for any type. NULL when memory is out, or count * size overflows. count 0 gives a valid pointer. */
void *gx_arena_alloc(gx_arena *arena, size_t count, size_t size) GX_MUST_USE;

/* Copies with a terminating 0. */
char *gx_arena_copy_string(gx_arena *arena, const char *string) GX_MUST_USE;
char *gx_arena_copy_bytes(gx_arena *arena, const void *bytes, size_t nbytes) GX_MUST_USE;
char *gx_arena_printf(gx_arena *arena, const char *format, ...) GX_PRINTF(2, 3) GX_MUST_USE;

#define GX_NEW(arena, type) ((type *)gx_arena_alloc((arena), 1, sizeof(type)))
#define GX_NEW_ARRAY(arena, type, count) ((type *)gx_arena_alloc((arena), (count), sizeof(type)))

/* The heap. gx_alloc zeroes; gx_realloc does not. gx_free accepts NULL. */
void *gx_alloc(size_t count, size_t size) GX_MUST_USE;
void *gx_realloc(void *pointer, size_t count, size_t size) GX_MUST_USE;
void gx_free(void *pointer);

/* Fills `error` with "out of memory" and returns GX_ERROR_MEMORY. */
gx_status gx_fail_memory(gx_error *error);

/* Test seam: the nth allocation from now (1 = the next) and all later ones fail; 0 switches it off. */
void gx_alloc_fail_after(uint64_t n);

#endif
