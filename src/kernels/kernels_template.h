/*
 * The kernels, over LANES blocks at a time, each function marked with TARGET and named with SUFFIX; MAX(a, b) is a > b ? a : b
 * per lane, MIN likewise. No include guard: it is
 * included once per instruction set. Lanes never meet: what a block gives does not depend on its neighbours.
 */
#include <float.h>
#include <string.h>

#include "kernels/kernels.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define KERNEL(name) JOIN(name, SUFFIX)

/* Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, ties to even, for magnitudes below 2^22. */
#define ROUNDING 12582912.0f

enum { KERNEL(largest_block_) = 256 };
#define LARGEST_BLOCK KERNEL(largest_block_)

/* What a candidate keeps of the range: cutting off the extremes often fits the rest better, and a little more than all
 * lets the extremes be rounded inwards. Then the best candidate is refitted so many times. */
#define SHRINKS 5
static const float KERNEL(shrinks_)[SHRINKS] = {1.05f, 0.975f, 0.9f, 0.825f, 0.75f};
#define REFITS 1

typedef float KERNEL(lanes_) __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t KERNEL(mask_) __attribute__((vector_size(4 * LANES), may_alias));
#define lanes KERNEL(lanes_)

/* Per lane: mask ? a : b. */
#define SELECT(mask, a, b) ((lanes)(((mask) & (KERNEL(mask_))(a)) | (~(mask) & (KERNEL(mask_))(b))))

TARGET static inline lanes KERNEL(all_)(float value)
{
    return value - (lanes){0};
}
#define ALL KERNEL(all_)

TARGET static inline uint32_t KERNEL(bits_of_)(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Element i of LANES blocks in each entry i. */
typedef struct KERNEL(group_) {
    unsigned size;
    float top;
    lanes x[LARGEST_BLOCK], weight[LARGEST_BLOCK], weighted_x[LARGEST_BLOCK];
} KERNEL(group_);
#define group KERNEL(group_)

/* Lanes beyond `count` are zero. */
TARGET static void KERNEL(load_)(group *g, const gx_search *how, const float *in, size_t first, size_t count)
{
    const unsigned size = g->size;
    for (size_t l = 0; l < LANES; l++) {
        const float *x = in + (first + (l < count ? l : 0)) * size;
        for (unsigned i = 0; i < size; i++)
            g->x[i][l] = l < count ? x[i] : 0;
    }
    for (size_t l = 0; how->importance && l < LANES; l++) {
        const float *weight = how->importance + (first + l) % how->importance_blocks * size;
        for (unsigned i = 0; i < size; i++)
            g->weight[i][l] = weight[i];
    }
    for (unsigned i = 0; i < size; i++) {
        if (!how->importance)
            g->weight[i] = ALL(1);
        g->weighted_x[i] = g->weight[i] * g->x[i];
    }
}

TARGET static void KERNEL(range_)(const group *g, lanes *low, lanes *high)
{
    lanes least = {0}, most = {0};
    for (unsigned i = 0; i < g->size; i++) {
        least = MIN(g->x[i], least);
        most = MAX(g->x[i], most);
    }
    *low = least;
    *high = most;
}

typedef struct KERNEL(best_) {
    lanes gain, scale, zero_point;
} KERNEL(best_);
#define best_fit KERNEL(best_)

/* Rounds the blocks by (scale, zero point), fits the scale to the codes by least squares, and keeps it where it explains
 * more than the best so far: the squared error is sum w x² - (sum w x q)² / sum w q². */
TARGET static void KERNEL(try_)(const group *g, lanes scale, lanes zero_point, best_fit *best)
{
    const lanes inverse = 1.0f / scale, least = -zero_point, most = g->top - zero_point;
    lanes xq = {0}, qq = {0};
    for (unsigned i = 0; i < g->size; i++) {
        lanes q = (g->x[i] * inverse + ROUNDING) - ROUNDING;
        q = MAX(q, least);
        q = MIN(q, most);
        xq += g->weighted_x[i] * q;
        qq += g->weight[i] * q * q;
    }
    const lanes fitted = xq / qq, gain = xq * fitted;
    const KERNEL(mask_) better = gain > best->gain; /* false when the fit is no number */
    best->gain = SELECT(better, gain, best->gain);
    best->scale = SELECT(better, fitted, best->scale);
    best->zero_point = SELECT(better, zero_point, best->zero_point);
}

/* The zero point that puts the middle of the kept range on the middle of the codes, and its neighbours. */
TARGET static void KERNEL(search_zero_points_)(const group *g, best_fit *best)
{
    lanes low, high;
    KERNEL(range_)(g, &low, &high);
    const lanes range = high - low, middle = (high + low) * 0.5f;
    for (int k = 0; k < SHRINKS; k++) {
        const lanes step = range * KERNEL(shrinks_)[k] / g->top, scale = SELECT(step > 0, step, ALL(1));
        const lanes centre = (g->top * 0.5f - middle / scale + ROUNDING) - ROUNDING;
        for (int offset = -1; offset <= 1; offset++) {
            const lanes zero_point = centre + (float)offset, not_below = MAX(zero_point, ALL(0));
            KERNEL(try_)(g, scale, MIN(not_below, ALL(g->top)), best);
        }
    }
}

/* Without zero points there is one more code below the middle than above: the sign of the scale puts the extreme there. */
TARGET static void KERNEL(search_symmetric_)(const group *g, best_fit *best)
{
    lanes low, high;
    KERNEL(range_)(g, &low, &high);
    const float middle = (g->top + 1) / 2;
    const KERNEL(mask_) is_above = high > -low;
    const lanes extreme = SELECT(is_above, -high, -low);
    for (int k = 0; k < SHRINKS; k++) {
        const lanes step = extreme * KERNEL(shrinks_)[k] / middle;
        KERNEL(try_)(g, SELECT(step != 0, step, ALL(1)), ALL(middle), best);
    }
}

TARGET static void KERNEL(search_group_)(const group *g, bool zero_points, best_fit *best)
{
    if (zero_points)
        KERNEL(search_zero_points_)(g, best);
    else
        KERNEL(search_symmetric_)(g, best);
    for (int n = 0; n < REFITS; n++) {
        const lanes scale = SELECT(best->gain > 0, best->scale, ALL(1));
        KERNEL(try_)(g, scale, best->zero_point, best);
    }
}

TARGET static float KERNEL(magnitude)(const float *in, size_t elements)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < elements; i++) {
        const uint32_t magnitude = KERNEL(bits_of_)(in[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    float result;
    memcpy(&result, &largest, sizeof result);
    return result;
}

/* 255 steps need no search: the largest magnitude decides. */
TARGET static void KERNEL(search_bytes_)(const float *in, size_t blocks, unsigned size, float *scales, uint8_t *zero_point)
{
    for (size_t b = 0; b < blocks; b++) {
        scales[b] = KERNEL(magnitude)(in + b * size, size) / 127.0f;
        zero_point[b] = 128;
    }
}

TARGET static void KERNEL(search)(const gx_search *how, const float *in, size_t blocks, float *scales, uint8_t *zero_point)
{
    if (how->top == 255 && !how->zero_points) {
        KERNEL(search_bytes_)(in, blocks, how->size, scales, zero_point);
        return;
    }
    group g;
    g.size = how->size;
    g.top = (float)how->top;
    for (size_t first = 0; first < blocks; first += LANES) {
        const size_t count = blocks - first < LANES ? blocks - first : LANES;
        best_fit best = {.zero_point = ALL((float)((how->top + 1) / 2))};
        KERNEL(load_)(&g, how, in, first, count);
        KERNEL(search_group_)(&g, how->zero_points, &best);
        for (size_t l = 0; l < count; l++) {
            scales[first + l] = best.scale[l];
            zero_point[first + l] = (uint8_t)best.zero_point[l];
        }
    }
}

TARGET static void KERNEL(round)(const float *in, size_t blocks, unsigned size, int top, const float *scales, const uint8_t *zero_point,
                                 uint8_t *codes)
{
    for (size_t b = 0; b < blocks; b++, in += size, codes += size) {
        const float inverse = scales[b] != 0 ? 1.0f / scales[b] : 0, z = zero_point[b], high = (float)top;
        for (unsigned i = 0; i < size; i++) {
            float q = (in[i] * inverse + ROUNDING) - ROUNDING + z;
            q = q > 0 ? q : 0;
            q = q < high ? q : high;
            codes[i] = (uint8_t)(int32_t)q;
        }
    }
}

TARGET static void KERNEL(pack)(const uint8_t *codes, size_t elements, uint8_t *out)
{
    for (size_t i = 0; i < elements / 2; i++)
        out[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
}

/* ---- halves ---- */

/* One value; what it gives from 65520 on, where it would round to 65536, is useless. */
TARGET static inline uint16_t KERNEL(narrow_one_)(float value)
{
    const uint32_t bits = KERNEL(bits_of_)(value), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
    /* Normal halves: round the 13 low bits of the significand to even, move the exponent. */
    const uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
    /* Subnormal halves, below 2^-14: the last place of 0.5 is theirs, so the adder rounds. */
    float absolute;
    memcpy(&absolute, &magnitude, sizeof absolute);
    const uint32_t subnormal = KERNEL(bits_of_)(absolute + 0.5f) - 0x3f000000u;
    const uint32_t is_small = magnitude < 0x38800000u ? 0xffffffffu : 0;
    return (uint16_t)(sign | (subnormal & is_small) | (normal & ~is_small));
}

TARGET static bool KERNEL(narrow)(const float *in, uint16_t *out, size_t elements)
{
    enum { STRETCH = 2048 }; /* stays in the first cache between the two loops over it */
    for (size_t first = 0; first < elements; first += STRETCH) {
        const size_t count = elements - first < STRETCH ? elements - first : STRETCH;
        const float *from = in + first;
        if (!(KERNEL(magnitude)(from, count) < 65520.0f)) /* NaN, too */
            return false;
        size_t i = 0;
#ifdef NARROW_EIGHT
        for (; i + 8 <= count; i += 8)
            NARROW_EIGHT(from + i, out + first + i);
#endif
        for (; i < count; i++)
            out[first + i] = KERNEL(narrow_one_)(from[i]);
    }
    return true;
}

TARGET static bool KERNEL(finite)(const float *in, size_t elements)
{
    return KERNEL(magnitude)(in, elements) <= FLT_MAX; /* false for NaN */
}

const gx_kernels KERNEL(gx_kernels) = {NAME,           KERNEL(search), KERNEL(round), KERNEL(pack), KERNEL(magnitude),
                                       KERNEL(narrow), KERNEL(finite)};
