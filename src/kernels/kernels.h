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

typedef struct gx_kernels {
    const char *name; /* "c", "avx2" */

    /* For each of `blocks` blocks [blocks, size] of finite values: a scale and, with zero points, an integer zero point in
     * 0 … top (without: the middle, (top + 1) / 2, in every entry), so that (code - zero point) * scale is near the values
     * in the sense of least squares. size ≤ 256; all-zero blocks get scale 0. */
    void (*search)(const float *in, size_t blocks, unsigned size, int top, bool zero_points, float *scales, uint8_t *zero_point);

    /* codes [blocks, size] = clamp(round(value / scale) + zero point, 0, top); ties to even. scale 0: the zero point. */
    void (*round)(const float *in, size_t blocks, unsigned size, int top, const float *scales, const uint8_t *zero_point, uint8_t *codes);

    /* fp32 to IEEE half, ties to even. False when a value is NaN, infinite or too large: the output is then useless. */
    bool (*narrow)(const float *in, uint16_t *out, size_t elements);

    /* Whether every value is finite. */
    bool (*finite)(const float *in, size_t elements);
} gx_kernels;

/* The best for this processor; static storage. */
const gx_kernels *gx_kernels_get(void);

/* By name, for tests; NULL when this build or processor has none such. */
const gx_kernels *gx_kernels_find(const char *name);

#endif
