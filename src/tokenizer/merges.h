/* Which two neighbours become which token, and how early. */
#ifndef GX_TOKENIZER_MERGES_H
#define GX_TOKENIZER_MERGES_H

#include "base/arena.h"

typedef struct gx_merge {
    uint32_t left, right;
    uint32_t rank; /* the lower, the earlier */
    uint32_t id;   /* what the pair becomes */
} gx_merge;

typedef struct gx_merges {
    gx_merge *slots; /* open addressing; free: id GX_NO_TOKEN */
    uint32_t mask;
} gx_merges;

/* Room for `count` merges, below 2^27. */
gx_status gx_merges_init(gx_merges *out, gx_arena *arena, size_t count, gx_error *error) GX_MUST_USE;

/* A pair that is there already takes the new rank. At most `count` times. */
void gx_merges_put(gx_merges *merges, gx_merge merge);

const gx_merge *gx_merges_find(const gx_merges *merges, uint32_t left, uint32_t right); /* NULL: the two do not merge */

#endif
