/* One block of bytes with offsets, and an open-addressing table at most half full. */
#include <string.h>

#include "tokenizer/vocabulary.h"

static uint32_t hash(const char *bytes, size_t nbytes)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < nbytes; i++)
        h = (h ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h ^ h >> 32);
}

/* The slot that holds the piece, or the free one where it belongs. */
static uint32_t find_slot(const gx_vocabulary *v, const uint32_t *slots, const char *bytes, size_t nbytes)
{
    uint32_t slot = hash(bytes, nbytes) & v->mask;
    while (slots[slot] != GX_NO_TOKEN) {
        const uint32_t start = v->offsets[slots[slot]], end = v->offsets[slots[slot] + 1];
        if (end - start == nbytes && memcmp(v->bytes + start, bytes, nbytes) == 0)
            break;
        slot = (slot + 1) & v->mask;
    }
    return slot;
}

static gx_status copy_pieces(gx_vocabulary *v, gx_arena *arena, const gx_piece *pieces, size_t count, const char *name, gx_error *error)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].nbytes;
    if (count > GX_MAX_TOKENS || total >= UINT32_MAX)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: %zu tokens of %llu bytes, expected at most %u tokens of 4 GiB", name, count,
                       (unsigned long long)total, GX_MAX_TOKENS);
    uint32_t *offsets = GX_NEW_ARRAY(arena, uint32_t, count + 1);
    char *bytes = gx_arena_alloc(arena, (size_t)total, 1);
    if (!offsets || !bytes)
        return gx_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].nbytes)
            memcpy(bytes + offsets[i], pieces[i].bytes, pieces[i].nbytes);
        offsets[i + 1] = offsets[i] + pieces[i].nbytes;
    }
    v->count = (uint32_t)count;
    v->offsets = offsets;
    v->bytes = bytes;
    return GX_OK;
}

static gx_status index_pieces(gx_vocabulary *v, gx_arena *arena, const gx_piece *pieces, const char *name, gx_error *error)
{
    uint32_t capacity = 16;
    while (capacity < 2 * v->count)
        capacity *= 2;
    uint32_t *slots = GX_NEW_ARRAY(arena, uint32_t, capacity);
    if (!slots)
        return gx_fail_memory(error);
    memset(slots, 0xFF, capacity * sizeof *slots);
    v->mask = capacity - 1;
    for (uint32_t id = 0; id < v->count; id++) {
        if (pieces[id].nbytes == 0 || pieces[id].added_only)
            continue;
        const uint32_t slot = find_slot(v, slots, pieces[id].bytes, pieces[id].nbytes);
        if (slots[slot] != GX_NO_TOKEN)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: tokens %u and %u are both '%.*s'", name, slots[slot], id,
                           (int)(pieces[id].nbytes < 100 ? pieces[id].nbytes : 100), pieces[id].bytes);
        slots[slot] = id;
    }
    v->slots = slots;
    return GX_OK;
}

gx_status gx_vocabulary_build(gx_vocabulary *out, gx_arena *arena, const gx_piece *pieces, size_t count, const char *name, gx_error *error)
{
    gx_vocabulary v = {0};
    GX_TRY(copy_pieces(&v, arena, pieces, count, name, error));
    GX_TRY(index_pieces(&v, arena, pieces, name, error));
    *out = v;
    return GX_OK;
}

uint32_t gx_vocabulary_find(const gx_vocabulary *v, const char *bytes, size_t nbytes)
{
    return nbytes ? v->slots[find_slot(v, v->slots, bytes, nbytes)] : GX_NO_TOKEN;
}

gx_piece gx_vocabulary_piece(const gx_vocabulary *v, uint32_t id)
{
    if (id >= v->count)
        return (gx_piece){0};
    return (gx_piece){.bytes = v->bytes + v->offsets[id], .nbytes = v->offsets[id + 1] - v->offsets[id]};
}
