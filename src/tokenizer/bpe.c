/*
 * Byte-pair merging of one stretch of text. The pair with the lowest rank merges first, the leftmost of equals; a queue keeps
 * that order, so that a text without spaces costs n log n, too. What happens to entries that are out of date is part of the
 * result: like Hugging Face's, an entry still counts if the pair at its place becomes the same token by now.
 */
#include <string.h>

#include "tokenizer/internal.h"
#include "tokenizer/utf8.h"

#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t id; /* GX_NO_TOKEN: merged into the one before */
    uint32_t previous, next;
} symbol;

typedef struct candidate {
    uint64_t order; /* rank, then position */
    uint32_t id;    /* of the merged token */
} candidate;

struct gx_bpe {
    const gx_tokenizer *tokenizer;
    symbol *symbols;
    size_t symbol_count, symbol_capacity;
    candidate *heap;
    size_t heap_count, heap_capacity;
};

gx_bpe *gx_bpe_new(const gx_tokenizer *tokenizer)
{
    gx_bpe *bpe = gx_alloc(1, sizeof *bpe);
    if (bpe)
        bpe->tokenizer = tokenizer;
    return bpe;
}

void gx_bpe_free(gx_bpe *bpe)
{
    if (!bpe)
        return;
    gx_free(bpe->symbols);
    gx_free(bpe->heap);
    gx_free(bpe);
}

/* Room for one more element; NULL when memory is out. */
static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    const size_t larger = *capacity ? *capacity * 2 : 256;
    void *grown = gx_realloc(array, larger, size);
    if (grown)
        *capacity = larger;
    return grown;
}

/* ---- the queue ---- */

static gx_status push(gx_bpe *bpe, candidate added, gx_error *error)
{
    candidate *heap = grow(bpe->heap, bpe->heap_count, &bpe->heap_capacity, sizeof *heap);
    if (!heap)
        return gx_fail_memory(error);
    bpe->heap = heap;
    size_t at = bpe->heap_count++;
    for (; at > 0 && heap[(at - 1) / 2].order > added.order; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = added;
    return GX_OK;
}

static candidate pop(gx_bpe *bpe)
{
    candidate *heap = bpe->heap;
    const candidate top = heap[0], last = heap[--bpe->heap_count];
    const size_t count = bpe->heap_count;
    size_t at = 0;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].order < heap[child].order)
            child++;
        if (heap[child].order >= last.order)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* ---- text to symbols ---- */

static gx_status add_symbol(gx_bpe *bpe, uint32_t id, gx_error *error)
{
    symbol *symbols = grow(bpe->symbols, bpe->symbol_count, &bpe->symbol_capacity, sizeof *symbols);
    if (!symbols)
        return gx_fail_memory(error);
    const uint32_t at = (uint32_t)bpe->symbol_count++;
    symbols[at] = (symbol){.id = id, .previous = at ? at - 1 : NONE, .next = NONE};
    if (at)
        symbols[at - 1].next = at;
    bpe->symbols = symbols;
    return GX_OK;
}

static bool has_bytes(const gx_tokenizer *tokenizer, const char *text, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++)
        if (tokenizer->byte_ids[(uint8_t)text[i]] == GX_NO_TOKEN)
            return false;
    return true;
}

/* A character that is no piece: its bytes, or else the unknown token, which waits in *unknown for more of its kind. */
static gx_status add_missing(gx_bpe *bpe, const char *text, size_t nbytes, bool *unknown, gx_error *error)
{
    const gx_tokenizer *tokenizer = bpe->tokenizer;
    if (has_bytes(tokenizer, text, nbytes)) {
        for (size_t i = 0; i < nbytes; i++)
            GX_TRY(add_symbol(bpe, tokenizer->byte_ids[(uint8_t)text[i]], error));
        return GX_OK;
    }
    if (tokenizer->unknown == GX_NO_TOKEN)
        return GX_OK;
    if (*unknown && !tokenizer->join_unknown)
        GX_TRY(add_symbol(bpe, tokenizer->unknown, error));
    *unknown = true;
    return GX_OK;
}

static gx_status add_characters(gx_bpe *bpe, const char *text, size_t nbytes, gx_error *error)
{
    const gx_tokenizer *tokenizer = bpe->tokenizer;
    bool unknown = false, valid;
    for (size_t at = 0, length; at < nbytes; at += length) {
        length = gx_utf8_step(text + at, nbytes - at, &valid);
        const uint32_t id = gx_vocabulary_find(&tokenizer->vocabulary, text + at, length);
        if (id == GX_NO_TOKEN) {
            GX_TRY(add_missing(bpe, text + at, length, &unknown, error));
            continue;
        }
        if (unknown)
            GX_TRY(add_symbol(bpe, tokenizer->unknown, error));
        unknown = false;
        GX_TRY(add_symbol(bpe, id, error));
    }
    return unknown ? add_symbol(bpe, tokenizer->unknown, error) : GX_OK;
}

/* ---- merging ---- */

static gx_status offer(gx_bpe *bpe, uint32_t left, uint32_t right, gx_error *error)
{
    const gx_merge *merge = gx_merges_find(&bpe->tokenizer->merges, bpe->symbols[left].id, bpe->symbols[right].id);
    return merge ? push(bpe, (candidate){.order = (uint64_t)merge->rank << 32 | left, .id = merge->id}, error) : GX_OK;
}

static gx_status merge_pair(gx_bpe *bpe, candidate chosen, gx_error *error)
{
    const uint32_t at = (uint32_t)chosen.order;
    symbol *left = &bpe->symbols[at];
    if (left->id == GX_NO_TOKEN || left->next == NONE)
        return GX_OK;
    symbol *right = &bpe->symbols[left->next];
    const gx_merge *merge = gx_merges_find(&bpe->tokenizer->merges, left->id, right->id);
    if (!merge || merge->id != chosen.id)
        return GX_OK; /* out of date */
    left->id = chosen.id;
    left->next = right->next;
    right->id = GX_NO_TOKEN;
    if (left->next != NONE)
        bpe->symbols[left->next].previous = at;
    if (left->previous != NONE)
        GX_TRY(offer(bpe, left->previous, at, error));
    return left->next != NONE ? offer(bpe, at, left->next, error) : GX_OK;
}

gx_status gx_bpe_encode(gx_bpe *bpe, const char *text, size_t nbytes, gx_token_ids *ids, gx_error *error)
{
    bpe->symbol_count = 0;
    bpe->heap_count = 0;
    GX_TRY(add_characters(bpe, text, nbytes, error));
    for (uint32_t i = 0; i + 1 < bpe->symbol_count; i++)
        GX_TRY(offer(bpe, i, i + 1, error));
    while (bpe->heap_count > 0)
        GX_TRY(merge_pair(bpe, pop(bpe), error));
    for (size_t i = 0; i < bpe->symbol_count; i++)
        if (bpe->symbols[i].id != GX_NO_TOKEN)
            GX_TRY(gx_token_ids_append(ids, bpe->symbols[i].id, error));
    return GX_OK;
}
