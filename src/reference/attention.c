/* Softmax attention of one head: scores of a block of queries against the keys it can see, masked, softmax, values. */
#include <math.h>
#include <string.h>

#include "reference/parts.h"

/* The first key that the query at `position` sees: position - key < window. */
static size_t first_visible(uint64_t window, size_t position)
{
    return window && position >= window ? position - (size_t)window + 1 : 0;
}

/* Behind the last key that it sees; an encoder's query sees as far ahead as back. */
static size_t end_visible(const gx_attention *a, size_t position)
{
    const size_t all = a->past + a->rows;
    if (!a->bidirectional)
        return position + 1;
    return a->sliding_window && a->sliding_window < all - position ? position + (size_t)a->sliding_window : all;
}

/* scores[0 … count) become probabilities. */
static void softmax(float *scores, size_t count, const gx_attention *a)
{
    float largest = -INFINITY;
    for (size_t i = 0; i < count; i++)
        scores[i] *= (float)a->scale;
    if (a->softcap != 0)
        gx_softcap(scores, count, a->softcap);
    for (size_t i = 0; i < count; i++) {
        largest = scores[i] > largest ? scores[i] : largest;
    }
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        scores[i] = expf(scores[i] - largest);
        sum += (double)scores[i];
    }
    const float inverse = (float)(1.0 / sum);
    for (size_t i = 0; i < count; i++)
        scores[i] *= inverse;
}

/* Queries [first, first + rows), at most a block of them. */
static void attend(gx_blas_sgemm sgemm, const gx_attention *a, size_t first, size_t rows, float *scores)
{
    float *queries = a->queries + first * a->query_stride;
    const size_t position = a->past + first;
    const size_t begin = first_visible(a->sliding_window, position);
    const size_t keys = end_visible(a, position + rows - 1) - begin;
    gx_product_rows(sgemm, &(gx_product){.m = rows, .n = keys, .k = a->head_dim, .a = queries, .a_stride = a->query_stride,
                                         .b = a->keys + begin * a->key_stride, .b_stride = a->key_stride, .c = scores, .c_stride = keys});
    for (size_t row = 0; row < rows; row++) {
        const size_t from = first_visible(a->sliding_window, position + row) - begin;
        const size_t to = end_visible(a, position + row) - begin;
        float *row_scores = scores + row * keys;
        memset(row_scores, 0, from * sizeof *row_scores);
        softmax(row_scores + from, to - from, a);
        memset(row_scores + to, 0, (keys - to) * sizeof *row_scores);
    }
    gx_product_columns(sgemm, &(gx_product){.m = rows, .n = a->head_dim, .k = keys, .a = scores, .a_stride = keys,
                                            .b = a->values + begin * a->key_stride, .b_stride = a->key_stride, .c = queries,
                                            .c_stride = a->query_stride});
}

void gx_attention_head(gx_blas_sgemm sgemm, const gx_attention *attention, float *scores)
{
    for (size_t first = 0; first < attention->rows; first += GX_ATTENTION_BLOCK) {
        const size_t left = attention->rows - first;
        attend(sgemm, attention, first, left < GX_ATTENTION_BLOCK ? left : GX_ATTENTION_BLOCK, scores);
    }
}
