/* Encodes blocks. The scale and zero point of a block are searched: several shrunken ranges, each refitted by least
 * squares to the codes it gives; the one with the least squared error stays. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "quant/block.h"
#include "quant/narrow.h"
#include "tensor/half.h"

#define LARGEST_BLOCK 256u

/* A narrower block is stored as zeros: the inverse of its scale would not be finite. */
#define SMALLEST_RANGE 1e-34f

typedef struct fit {
    float scale;
    int zero_point;
    float error;
} fit;

static float stored_scale(const gx_scheme *scheme, float scale)
{
    return scheme->dtype == GX_DTYPE_F16 ? gx_half_to_float(gx_float_to_half(scale)) : scale;
}

/* Codes of the block under (scale, zero point). */
static void round_to_codes(const float *in, unsigned n, float scale, int zero_point, int top, uint8_t *codes)
{
    const float inverse = scale != 0 ? 1.0f / scale : 0;
    for (unsigned i = 0; i < n; i++) {
        float q = rintf(in[i] * inverse) + (float)zero_point;
        q = q < 0 ? 0 : q > (float)top ? (float)top : q;
        codes[i] = (uint8_t)q;
    }
}

static float squared_error(const float *in, unsigned n, const float *importance, float scale, int zero_point, const uint8_t *codes)
{
    float sum = 0;
    for (unsigned i = 0; i < n; i++) {
        const float d = (float)((int)codes[i] - zero_point) * scale - in[i];
        sum += d * d * (importance ? importance[i] : 1);
    }
    return sum;
}

/* The scale that fits the codes best. */
static float refit(const float *in, unsigned n, const float *importance, int zero_point, const uint8_t *codes, float fallback)
{
    float xq = 0, qq = 0;
    for (unsigned i = 0; i < n; i++) {
        const float q = (float)((int)codes[i] - zero_point), w = importance ? importance[i] : 1;
        xq += w * q * in[i];
        qq += w * q * q;
    }
    return qq > 0 ? xq / qq : fallback;
}

static void try_fit(const gx_scheme *scheme, const float *in, unsigned n, const float *importance, float scale, int zero_point, fit *best)
{
    const int top = (1 << scheme->bits) - 1;
    uint8_t codes[LARGEST_BLOCK];
    round_to_codes(in, n, scale, zero_point, top, codes);
    const float fitted = stored_scale(scheme, refit(in, n, importance, zero_point, codes, scale));
    round_to_codes(in, n, fitted, zero_point, top, codes);
    const float error = squared_error(in, n, importance, fitted, zero_point, codes);
    if (error < best->error)
        *best = (fit){fitted, zero_point, error};
}

static fit search(const gx_scheme *scheme, const float *in, unsigned n, const float *importance)
{
    static const float shrink[] = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f};
    const int top = (1 << scheme->bits) - 1, middle = 1 << (scheme->bits - 1);
    float low = 0, high = 0;
    for (unsigned i = 0; i < n; i++) {
        low = fminf(low, in[i]);
        high = fmaxf(high, in[i]);
    }
    fit best = {0, middle, INFINITY};
    if (high - low < SMALLEST_RANGE)
        return (fit){0, middle, 0};
    for (size_t k = 0; k < sizeof shrink / sizeof *shrink; k++) {
        if (scheme->zero_points) {
            const float scale = (high - low) * shrink[k] / (float)top;
            const float centre = rintf(-low * shrink[k] / scale);
            for (int offset = -1; offset <= 1; offset++) {
                const int zero_point = (int)centre + offset;
                if (zero_point >= 0 && zero_point <= top)
                    try_fit(scheme, in, n, importance, stored_scale(scheme, scale), zero_point, &best);
            }
        } else {
            const float extreme = high > -low ? high : low; /* goes to -8: that end has one more code */
            try_fit(scheme, in, n, importance, stored_scale(scheme, -extreme * shrink[k] / (float)middle), middle, &best);
            try_fit(scheme, in, n, importance, stored_scale(scheme, extreme * shrink[k] / (float)middle), middle, &best);
        }
        if (scheme->bits == 8)
            break; /* the plain range is as good */
    }
    return best;
}

static void pack(const uint8_t *codes, unsigned n, unsigned bits, uint8_t *out)
{
    if (bits == 8) {
        memcpy(out, codes, n);
        return;
    }
    for (unsigned i = 0; i < n; i += 2)
        out[i / 2] = (uint8_t)(codes[i] | codes[i + 1] << 4);
}

static void put_scale(const gx_scheme *scheme, void *scales, uint64_t index, float scale)
{
    if (scheme->dtype == GX_DTYPE_F16)
        ((uint16_t *)scales)[index] = gx_float_to_half(scale);
    else
        ((float *)scales)[index] = scale;
}

static void put_zero_point(const gx_scheme *scheme, uint8_t *zero_points, uint64_t block, int value)
{
    if (scheme->bits == 8)
        zero_points[block] = (uint8_t)value;
    else if (block % 2 == 0)
        zero_points[block / 2] = (uint8_t)value;
    else
        zero_points[block / 2] |= (uint8_t)(value << 4);
}

static void encode_row(const gx_scheme *scheme, const float *in, uint64_t row_elements, const float *importance, uint8_t *values, void *scales,
                       uint64_t first_scale, uint8_t *zero_points)
{
    const unsigned size = scheme->block_size;
    const int middle = 1 << (scheme->bits - 1), top = (1 << scheme->bits) - 1;
    for (uint64_t block = 0; block * size < row_elements; block++) {
        const uint64_t at = block * size;
        const unsigned n = row_elements - at < size ? (unsigned)(row_elements - at) : size;
        const fit best = search(scheme, in + at, n, importance ? importance + at : NULL);
        uint8_t codes[LARGEST_BLOCK];
        memset(codes, scheme->zero_points ? best.zero_point : middle, size); /* past the row's end: zero */
        round_to_codes(in + at, n, best.scale, best.zero_point, top, codes);
        pack(codes, size, scheme->bits, values + block * size * scheme->bits / 8);
        put_scale(scheme, scales, first_scale + block, best.scale);
        if (scheme->zero_points)
            put_zero_point(scheme, zero_points, block, best.zero_point);
    }
}

size_t gx_block_scratch_nbytes(const gx_scheme *scheme, uint64_t row_elements)
{
    (void)scheme;
    (void)row_elements;
    return 0;
}

gx_status gx_block_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                          void *const parts[GX_PART_COUNT], void *scratch, gx_error *error)
{
    (void)scratch;
    const uint64_t blocks = gx_ceil_div(row_elements, scheme->block_size);
    for (uint64_t r = 0; r < rows; r++) {
        for (uint64_t i = 0; i < row_elements; i++)
            if (!isfinite(in[r * row_elements + i]))
                return gx_fail(error, GX_ERROR_UNSUPPORTED, "row %llu, column %llu holds %g", (unsigned long long)r, (unsigned long long)i,
                               (double)in[r * row_elements + i]);
        uint8_t *zero_points = parts[GX_PART_ZERO_POINTS];
        encode_row(scheme, in + r * row_elements, row_elements, scheme->importance ? importance : NULL,
                   (uint8_t *)parts[GX_PART_VALUES] + r * gx_scheme_part_row_nbytes(scheme, GX_PART_VALUES, row_elements), parts[GX_PART_SCALES],
                   r * blocks,
                   zero_points ? zero_points + r * gx_scheme_part_row_nbytes(scheme, GX_PART_ZERO_POINTS, row_elements) : NULL);
    }
    return GX_OK;
}

static float get_scale(const gx_scheme *scheme, const void *scales, uint64_t index)
{
    return scheme->dtype == GX_DTYPE_F16 ? gx_half_to_float(((const uint16_t *)scales)[index]) : ((const float *)scales)[index];
}

static int get_code(const uint8_t *packed, uint64_t index, unsigned bits)
{
    return bits == 8 ? packed[index] : packed[index / 2] >> 4 * (index % 2) & 15;
}

void gx_block_decode(const gx_scheme *scheme, const void *const parts[GX_PART_COUNT], uint64_t rows, uint64_t row_elements, float *out)
{
    const uint64_t blocks = gx_ceil_div(row_elements, scheme->block_size);
    for (uint64_t r = 0; r < rows; r++) {
        const uint8_t *values =
            (const uint8_t *)parts[GX_PART_VALUES] + r * gx_scheme_part_row_nbytes(scheme, GX_PART_VALUES, row_elements);
        const uint8_t *zero_points =
            (const uint8_t *)parts[GX_PART_ZERO_POINTS] + r * gx_scheme_part_row_nbytes(scheme, GX_PART_ZERO_POINTS, row_elements);
        for (uint64_t i = 0; i < row_elements; i++) {
            const uint64_t block = i / scheme->block_size;
            const int zero_point = scheme->zero_points ? get_code(zero_points, block, scheme->bits) : 1 << (scheme->bits - 1);
            const float scale = get_scale(scheme, parts[GX_PART_SCALES], r * blocks + block);
            out[r * row_elements + i] = (float)(get_code(values, i, scheme->bits) - zero_point) * scale;
        }
    }
}
