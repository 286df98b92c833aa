/* Pieces sorted by score; the cuts of all pieces of one score sorted and handed on. */
#include <stdlib.h>

#include "tokenizer/gguf_pieces.h"
#include "tokenizer/scored_merges.h"
#include "tokenizer/utf8.h"

typedef struct scored {
    double score;
    uint32_t id;
} scored;

typedef struct cut {
    uint32_t left_length, right_length; /* characters */
    uint32_t id;                        /* of the piece */
    uint32_t left_nbytes;
} cut;

typedef struct cuts {
    cut *items;
    size_t count, capacity;
} cuts;

static int compare_scored(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int compare_cuts(const void *a, const void *b)
{
    const cut *x = a, *y = b;
    if (x->left_length != y->left_length)
        return x->left_length > y->left_length ? -1 : 1;
    if (x->right_length != y->right_length)
        return x->right_length > y->right_length ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static gx_status add_cut(cuts *list, cut added, gx_error *error)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 256;
        cut *grown = gx_realloc(list->items, capacity, sizeof *grown);
        if (!grown)
            return gx_fail_memory(error);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = added;
    return GX_OK;
}

static gx_status add_cuts(cuts *list, const gx_vocabulary *vocabulary, uint32_t id, gx_error *error)
{
    const gx_piece piece = gx_vocabulary_piece(vocabulary, id);
    const uint32_t length = (uint32_t)gx_utf8_count(piece.bytes, piece.nbytes);
    bool valid;
    uint32_t at = 0;
    for (uint32_t left = 1; left < length; left++) {
        at += (uint32_t)gx_utf8_step(piece.bytes + at, piece.nbytes - at, &valid);
        if (gx_vocabulary_find(vocabulary, piece.bytes, at) != GX_NO_TOKEN &&
            gx_vocabulary_find(vocabulary, piece.bytes + at, piece.nbytes - at) != GX_NO_TOKEN)
            GX_TRY(add_cut(list, (cut){.left_length = left, .right_length = length - left, .id = id, .left_nbytes = at}, error));
    }
    return GX_OK;
}

static void hand_on(cuts *list, const gx_vocabulary *vocabulary, gx_merge_callback callback, void *context)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_cuts);
    for (size_t i = 0; i < list->count; i++) {
        const gx_piece piece = gx_vocabulary_piece(vocabulary, list->items[i].id);
        const uint32_t nbytes = list->items[i].left_nbytes;
        callback(context, (gx_piece){.bytes = piece.bytes, .nbytes = nbytes},
                 (gx_piece){.bytes = piece.bytes + nbytes, .nbytes = piece.nbytes - nbytes});
    }
    list->count = 0;
}

static gx_status each_score(const scored *order, const gx_vocabulary *vocabulary, cuts *list, gx_merge_callback callback, void *context,
                            gx_error *error)
{
    for (uint32_t i = 0; i < vocabulary->count; i++) {
        GX_TRY(add_cuts(list, vocabulary, order[i].id, error));
        if (i + 1 == vocabulary->count || order[i + 1].score != order[i].score)
            hand_on(list, vocabulary, callback, context);
    }
    return GX_OK;
}

gx_status gx_scored_merges_each(const gx_vocabulary *vocabulary, const gx_gguf_tokenizer *source, gx_merge_callback callback, void *context,
                                gx_error *error)
{
    scored *order = gx_alloc(vocabulary->count, sizeof *order);
    if (!order)
        return gx_fail_memory(error);
    for (uint32_t id = 0; id < vocabulary->count; id++)
        order[id] = (scored){.score = gx_gguf_score(source, id), .id = id};
    qsort(order, vocabulary->count, sizeof *order, compare_scored);
    cuts list = {0};
    const gx_status status = each_score(order, vocabulary, &list, callback, context, error);
    gx_free(list.items);
    gx_free(order);
    return status;
}
