/* A table of pairs, at most half full. */
#include <string.h>

#include "tokenizer/merges.h"
#include "tokenizer/vocabulary.h"

static gx_merge *find_slot(const gx_merges *merges, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * UINT64_C(0x9E3779B97F4A7C15);
    uint32_t slot = (uint32_t)(h >> 32) & merges->mask;
    for (;; slot = (slot + 1) & merges->mask) {
        gx_merge *m = &merges->slots[slot];
        if (m->id == GX_NO_TOKEN || (m->left == left && m->right == right))
            return m;
    }
}

gx_status gx_merges_init(gx_merges *out, gx_arena *arena, size_t count, gx_error *error)
{
    size_t capacity = 16;
    while (capacity < 2 * count)
        capacity *= 2;
    gx_merge *slots = GX_NEW_ARRAY(arena, gx_merge, capacity);
    if (!slots)
        return gx_fail_memory(error);
    memset(slots, 0xFF, capacity * sizeof *slots);
    *out = (gx_merges){.slots = slots, .mask = (uint32_t)(capacity - 1)};
    return GX_OK;
}

void gx_merges_put(gx_merges *merges, gx_merge merge)
{
    *find_slot(merges, merge.left, merge.right) = merge;
}

const gx_merge *gx_merges_find(const gx_merges *merges, uint32_t left, uint32_t right)
{
    const gx_merge *m = find_slot(merges, left, right);
    return m->id == GX_NO_TOKEN ? NULL : m;
}
