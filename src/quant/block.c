/*
 * Encodes rows in blocks. A row is cut into blocks, the last one filled up with zeros: a zero is always one code exactly,
 * so the filling changes no fit. The search and the rounding are kernels; here is the packing.
 */
#include <string.h>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "quant/block.h"
#include "quant/half.h"
#include "tensor/half.h"

/* The caller's scratch, for one row. */
typedef struct workspace {
    float *values;       /* [blocks, block_size], padded */
    float *scales;       /* [blocks] */
    uint8_t *codes;      /* [blocks, block_size] */
    uint8_t *zero_point; /* [blocks] */
} workspace;

static uint64_t blocks_of(const gx_scheme *scheme, uint64_t row_elements)
{
    return gx_ceil_div(row_elements, scheme->block_size);
}

static workspace lay_out(const gx_scheme *scheme, uint64_t row_elements, void *scratch)
{
    const uint64_t blocks = blocks_of(scheme, row_elements), padded = blocks * scheme->block_size;
    workspace w;
    w.values = scratch;
    w.scales = w.values + padded;
    w.codes = (uint8_t *)(w.scales + blocks);
    w.zero_point = w.codes + padded;
    return w;
}

size_t gx_block_scratch_nbytes(const gx_scheme *scheme, uint64_t row_elements)
{
    const uint64_t blocks = blocks_of(scheme, row_elements), padded = blocks * scheme->block_size;
    return padded * (sizeof(float) + 1) + blocks * (sizeof(float) + 1);
}

static void pack(const uint8_t *codes, uint64_t elements, unsigned bits, uint8_t *out)
{
    if (bits == 8) {
        memcpy(out, codes, elements);
        return;
    }
    for (uint64_t i = 0; i < elements / 2; i++)
        out[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
}

/* Scales as they will be read back: the codes are rounded by these. */
static void store_scales(const gx_scheme *scheme, float *scales, uint64_t blocks, void *out)
{
    if (scheme->dtype == GX_DTYPE_F32) {
        memcpy(out, scales, blocks * sizeof *scales);
        return;
    }
    uint16_t *halves = out;
    for (uint64_t b = 0; b < blocks; b++) {
        halves[b] = gx_float_to_half(scales[b]);
        scales[b] = gx_half_to_float(halves[b]);
    }
}

static void store_zero_points(const gx_scheme *scheme, const uint8_t *zero_point, uint64_t blocks, uint8_t *out)
{
    if (scheme->bits == 8) {
        memcpy(out, zero_point, blocks);
        return;
    }
    for (uint64_t b = 0; b < blocks; b += 2)
        out[b / 2] = (uint8_t)(zero_point[b] | (b + 1 < blocks ? zero_point[b + 1] << 4 : 0));
}

typedef struct row_parts {
    uint8_t *values, *scales, *zero_points;
} row_parts;

static void encode_row(const gx_scheme *scheme, const gx_kernels *kernels, const float *in, uint64_t row_elements, const row_parts *out,
                       const workspace *w)
{
    const uint64_t blocks = blocks_of(scheme, row_elements), padded = blocks * scheme->block_size;
    const int top = (1 << scheme->bits) - 1;
    const float *values = in;
    if (padded != row_elements) {
        memcpy(w->values, in, row_elements * sizeof *in);
        memset(w->values + row_elements, 0, (padded - row_elements) * sizeof *in);
        values = w->values;
    }
    kernels->search(values, blocks, scheme->block_size, top, scheme->zero_points, w->scales, w->zero_point);
    store_scales(scheme, w->scales, blocks, out->scales);
    kernels->round(values, blocks, scheme->block_size, top, w->scales, w->zero_point, w->codes);
    pack(w->codes, padded, scheme->bits, out->values);
    if (scheme->zero_points)
        store_zero_points(scheme, w->zero_point, blocks, out->zero_points);
}

gx_status gx_block_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, void *const parts[GX_PART_COUNT],
                          void *scratch, gx_error *error)
{
    (void)error;
    const gx_kernels *kernels = gx_kernels_get();
    const workspace w = lay_out(scheme, row_elements, scratch);
    uint64_t nbytes[GX_PART_COUNT];
    for (int part = 0; part < GX_PART_COUNT; part++)
        nbytes[part] = gx_scheme_part_row_nbytes(scheme, (gx_part)part, row_elements);
    for (uint64_t r = 0; r < rows; r++) {
        const row_parts out = {(uint8_t *)parts[GX_PART_VALUES] + r * nbytes[GX_PART_VALUES],
                               (uint8_t *)parts[GX_PART_SCALES] + r * nbytes[GX_PART_SCALES],
                               (uint8_t *)parts[GX_PART_ZERO_POINTS] + r * nbytes[GX_PART_ZERO_POINTS]};
        encode_row(scheme, kernels, in + r * row_elements, row_elements, &out, &w);
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
    const uint64_t blocks = blocks_of(scheme, row_elements);
    const uint64_t value_nbytes = gx_scheme_part_row_nbytes(scheme, GX_PART_VALUES, row_elements);
    const uint64_t zero_point_nbytes = gx_scheme_part_row_nbytes(scheme, GX_PART_ZERO_POINTS, row_elements);
    for (uint64_t r = 0; r < rows; r++) {
        const uint8_t *values = (const uint8_t *)parts[GX_PART_VALUES] + r * value_nbytes;
        const uint8_t *zero_points = (const uint8_t *)parts[GX_PART_ZERO_POINTS] + r * zero_point_nbytes;
        for (uint64_t i = 0; i < row_elements; i++) {
            const uint64_t block = i / scheme->block_size;
            const int zero_point = scheme->zero_points ? get_code(zero_points, block, scheme->bits) : 1 << (scheme->bits - 1);
            const float scale = get_scale(scheme, parts[GX_PART_SCALES], r * blocks + block);
            out[r * row_elements + i] = (float)(get_code(values, i, scheme->bits) - zero_point) * scale;
        }
    }
}
