/*
 * The kernels, over LANES blocks at a time, each function marked with TARGET and named with SUFFIX; MAX(a, b) is a > b ? a : b
 * per lane, MIN likewise. No include guard: it is
 * included once per instruction set. Lanes never meet: what a block gives does not depend on its neighbours.
 */
#include <string.h>

#include "kernels/kernels.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define KERNEL(name) JOIN(name, SUFFIX)

/* Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, ties to even, for magnitudes below 2^22. */
#define ROUNDING 12582912.0f

enum { KERNEL(largest_block_) = 256 };
#define LARGEST_BLOCK KERNEL(largest_block_)

/* How much of a block's range the candidates keep: cutting off the extremes often fits the rest better. */
#define SHRINKS 7
static const float KERNEL(shrinks_)[SHRINKS] = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.74f, 0.68f};

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

/* columns[i] holds element i of LANES blocks; blocks beyond `count` are zero. */
TARGET static void KERNEL(transpose_)(const float *in, size_t count, unsigned size, lanes *columns)
{
    for (unsigned i = 0; i < size; i++)
        for (size_t l = 0; l < LANES; l++)
            columns[i][l] = l < count ? in[l * size + i] : 0;
}

TARGET static void KERNEL(range_)(const lanes *columns, unsigned size, lanes *low, lanes *high)
{
    lanes least = {0}, most = {0};
    for (unsigned i = 0; i < size; i++) {
        least = MIN(columns[i], least);
        most = MAX(columns[i], most);
    }
    *low = least;
    *high = most;
}

typedef struct KERNEL(best_) {
    lanes gain, scale, zero_point;
} KERNEL(best_);
#define best_fit KERNEL(best_)

/* Rounds the blocks by (scale, zero point), fits the scale to the codes by least squares, and keeps it where it explains
 * more than the best so far: the squared error is sum x² - (sum x q)² / sum q². */
TARGET static void KERNEL(try_)(const lanes *columns, unsigned size, float top, lanes scale, lanes zero_point, best_fit *best)
{
    const lanes inverse = 1.0f / scale, least = -zero_point, most = top - zero_point;
    lanes xq = {0}, qq = {0};
    for (unsigned i = 0; i < size; i++) {
        const lanes x = columns[i];
        lanes q = (x * inverse + ROUNDING) - ROUNDING;
        q = MAX(q, least);
        q = MIN(q, most);
        xq += x * q;
        qq += q * q;
    }
    const lanes fitted = xq / qq, gain = xq * fitted;
    const KERNEL(mask_) better = gain > best->gain; /* false when the fit is no number */
    best->gain = SELECT(better, gain, best->gain);
    best->scale = SELECT(better, fitted, best->scale);
    best->zero_point = SELECT(better, zero_point, best->zero_point);
}

TARGET static void KERNEL(search_zero_points_)(const lanes *columns, unsigned size, float top, best_fit *best)
{
    lanes low, high;
    KERNEL(range_)(columns, size, &low, &high);
    const lanes range = high - low, divisor = SELECT(range > 0, range, ALL(1));
    const lanes centre = (-low * (top / divisor) + ROUNDING) - ROUNDING;
    for (int k = 0; k < SHRINKS; k++) {
        const lanes step = range * KERNEL(shrinks_)[k] / top, scale = SELECT(step > 0, step, ALL(1));
        for (int offset = -1; offset <= 1; offset++) {
            const lanes zero_point = centre + (float)offset, not_below = MAX(zero_point, ALL(0));
            KERNEL(try_)(columns, size, top, scale, MIN(not_below, ALL(top)), best);
        }
    }
}

/* Without zero points the range has one more code below the middle than above: the extreme goes to either end. */
TARGET static void KERNEL(search_symmetric_)(const lanes *columns, unsigned size, float top, best_fit *best)
{
    lanes low, high;
    KERNEL(range_)(columns, size, &low, &high);
    const float middle = (top + 1) / 2;
    const lanes extreme = MAX(high, -low);
    for (int k = 0; k < SHRINKS; k++) {
        const lanes step = extreme * KERNEL(shrinks_)[k] / middle, scale = SELECT(step > 0, step, ALL(1));
        KERNEL(try_)(columns, size, top, -scale, ALL(middle), best);
        KERNEL(try_)(columns, size, top, scale, ALL(middle), best);
    }
}

/* 255 steps need no search: the largest magnitude decides. */
TARGET static void KERNEL(search_bytes_)(const lanes *columns, unsigned size, best_fit *best)
{
    lanes low, high;
    KERNEL(range_)(columns, size, &low, &high);
    best->scale = MAX(high, -low) / 127.0f;
    best->zero_point = ALL(128);
}

TARGET static void KERNEL(search)(const float *in, size_t blocks, unsigned size, int top, bool zero_points, float *scales, uint8_t *zero_point)
{
    lanes columns[LARGEST_BLOCK];
    for (size_t first = 0; first < blocks; first += LANES) {
        const size_t count = blocks - first < LANES ? blocks - first : LANES;
        best_fit best = {.zero_point = ALL((float)((top + 1) / 2))};
        KERNEL(transpose_)(in + first * size, count, size, columns);
        if (zero_points)
            KERNEL(search_zero_points_)(columns, size, (float)top, &best);
        else if (top == 255)
            KERNEL(search_bytes_)(columns, size, &best);
        else
            KERNEL(search_symmetric_)(columns, size, (float)top, &best);
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

/* ---- halves ---- */

TARGET static inline uint32_t KERNEL(bits_of_)(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

TARGET static bool KERNEL(narrow)(const float *in, uint16_t *out, size_t elements)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < elements; i++) {
        const uint32_t bits = KERNEL(bits_of_)(in[i]), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
        /* Normal halves: round the 13 low bits of the significand to even, move the exponent. */
        const uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
        /* Subnormal halves, below 2^-14: the last place of 0.5 is theirs, so the adder rounds. */
        float absolute;
        memcpy(&absolute, &magnitude, sizeof absolute);
        const uint32_t subnormal = KERNEL(bits_of_)(absolute + 0.5f) - 0x3f000000u;
        const uint32_t is_small = magnitude < 0x38800000u ? 0xffffffffu : 0;
        largest = magnitude > largest ? magnitude : largest;
        out[i] = (uint16_t)(sign | (subnormal & is_small) | (normal & ~is_small));
    }
    return largest < 0x477ff000u; /* from here on it rounds to 65536 */
}

TARGET static bool KERNEL(finite)(const float *in, size_t elements)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < elements; i++) {
        const uint32_t magnitude = KERNEL(bits_of_)(in[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest < 0x7f800000u;
}

const gx_kernels KERNEL(gx_kernels) = {NAME, KERNEL(search), KERNEL(round), KERNEL(narrow), KERNEL(finite)};
