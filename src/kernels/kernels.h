/*
 * The inner loops of quantisation: pure functions over pointers and sizes. Each kernel is written once, in
 * kernels_template.h, over a number of lanes: one lane is the scalar truth (_c), eight lanes under AVX2 do the same
 * operations in the same order for eight blocks at once, so that the bytes are equal. Built without contraction of
 * multiplications and additions, and without fast-math.
 */
#ifndef GX_KERNELS_KERNELS_H
#define GX_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gx_search {
    unsigned size; /* elements of a block, at most 256 */
    int top;       /* codes are 0 … top: 15 or 255 */
    bool zero_points;
    /* [importance_blocks, size], positive: what a squared error costs; block b is weighed by entry b % importance_blocks.
     * NULL: all alike. */
    const float *importance;
    size_t importance_blocks;
} gx_search;

typedef struct gx_kernels {
    const char *name; /* "c", "avx2" */

    /* For each block of `in` [blocks, size], finite values: a scale and, with zero points, an integer zero point in
     * 0 … top (without: the middle, (top + 1) / 2, in every entry), so that (code - zero point) * scale is near the values
     * in the sense of weighted least squares. All-zero blocks get scale 0. A scale may be no finite number when values are
     * beyond 1e18. */
    void (*search)(const gx_search *how, const float *in, size_t blocks, float *scales, uint8_t *zero_point);

    /* codes [blocks, size] = clamp(round(value / scale) + zero point, 0, top); ties to even. scale 0: the zero point. */
    void (*round)(const float *in, size_t blocks, unsigned size, int top, const float *scales, const uint8_t *zero_point, uint8_t *codes);

    /* out [elements / 2]: two 4-bit codes a byte, the earlier one in the low bits. */
    void (*pack)(const uint8_t *codes, size_t elements, uint8_t *out);

    /* The largest magnitude; values are finite. */
    float (*magnitude)(const float *in, size_t elements);

    /* fp32 to IEEE half, ties to even. False when a value is NaN, infinite or too large: the output is then useless. */
    bool (*narrow)(const float *in, uint16_t *out, size_t elements);

    /* Whether every value is finite. */
    bool (*finite)(const float *in, size_t elements);
} gx_kernels;

/* The best for this processor; static storage. */
const gx_kernels *gx_kernels_get(void);

/* By name; NULL when this build or processor has none such. */
const gx_kernels *gx_kernels_find(const char *name);

/* Test seam: gx_kernels_get gives `kernels` from now on; NULL: the best again. Not while others encode. */
void gx_kernels_select(const gx_kernels *kernels);

#endif
