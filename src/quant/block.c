/*
 * Encodes rows in blocks. A row is cut into blocks, the last one filled up with zeros: a zero is always one code exactly,
 * so the filling changes no fit. The search and the rounding are kernels; here is the packing.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "quant/block.h"
#include "tensor/half.h"

#define LARGEST_FP16 65504.0f

/* Rows that are encoded together, so that their blocks fill the kernels' eight lanes. */
static uint64_t chunk_rows(uint64_t blocks)
{
    return blocks % 8 == 0 ? 1 : blocks % 4 == 0 ? 2 : blocks % 2 == 0 ? 4 : 8;
}

/* The caller's scratch, for one chunk. */
typedef struct workspace {
    float *values;     /* [rows, blocks, block_size], padded */
    float *importance; /* [blocks, block_size], padded */
    float *scales;     /* [rows, blocks] */
    uint8_t *codes;    /* [rows, blocks, block_size] */
    uint8_t *zero_point;
} workspace;

/* What stays the same for all rows. */
typedef struct encoder {
    const gx_scheme *scheme;
    const gx_kernels *kernels;
    gx_search search;
    uint64_t columns, blocks, padded; /* of a row */
    workspace space;
    uint64_t nbytes[GX_PART_COUNT]; /* of a row */
    void *const *parts;
} encoder;

static workspace lay_out(const gx_scheme *scheme, uint64_t row_elements, void *scratch)
{
    const uint64_t blocks = gx_scheme_blocks(scheme, row_elements), padded = blocks * scheme->block_size, rows = chunk_rows(blocks);
    workspace w;
    w.values = scratch;
    w.importance = w.values + rows * padded;
    w.scales = w.importance + padded;
    w.codes = (uint8_t *)(w.scales + rows * blocks);
    w.zero_point = w.codes + rows * padded;
    return w;
}

size_t gx_block_scratch_nbytes(const gx_scheme *scheme, uint64_t row_elements)
{
    const uint64_t blocks = gx_scheme_blocks(scheme, row_elements), padded = blocks * scheme->block_size, rows = chunk_rows(blocks);
    return rows * padded * (sizeof(float) + 1) + padded * sizeof(float) + rows * blocks * (sizeof(float) + 1);
}

static void pad_row(float *out, const float *in, uint64_t columns, uint64_t padded)
{
    memcpy(out, in, columns * sizeof *in);
    memset(out + columns, 0, (padded - columns) * sizeof *in);
}

static encoder prepare(const gx_scheme *scheme, uint64_t row_elements, const float *importance, void *const parts[GX_PART_COUNT],
                       void *scratch)
{
    encoder e = {.scheme = scheme, .kernels = gx_kernels_get(), .columns = row_elements, .parts = parts};
    e.blocks = gx_scheme_blocks(scheme, row_elements);
    e.padded = e.blocks * scheme->block_size;
    e.space = lay_out(scheme, row_elements, scratch);
    for (int part = 0; part < GX_PART_COUNT; part++)
        e.nbytes[part] = gx_scheme_part_row_nbytes(scheme, (gx_part)part, row_elements);
    e.search = (gx_search){.size = scheme->block_size,
                           .top = (1 << scheme->bits) - 1,
                           .zero_points = scheme->zero_points,
                           .importance_blocks = e.blocks};
    if (importance) {
        pad_row(e.space.importance, importance, row_elements, e.padded);
        e.search.importance = e.space.importance;
    }
    return e;
}

static gx_status bad_scale(const encoder *e, uint64_t row, uint64_t block, float scale, gx_error *error)
{
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "row %llu, column %llu: the block from here on needs the scale %g, which %s cannot hold",
                   (unsigned long long)row, (unsigned long long)(block * e->scheme->block_size), (double)scale,
                   gx_dtype_get(e->scheme->dtype)->name);
}

/* Scales of the rows from `row` on, as they will be read back: the codes are rounded by these. */
static gx_status store_scales(const encoder *e, uint64_t row, uint64_t rows, gx_error *error)
{
    const uint64_t count = rows * e->blocks;
    float *scales = e->space.scales;
    uint8_t *out = (uint8_t *)e->parts[GX_PART_SCALES] + row * e->nbytes[GX_PART_SCALES];
    const bool half = e->scheme->dtype == GX_DTYPE_F16;
    if (half ? !e->kernels->narrow(scales, (uint16_t *)out, count) : !e->kernels->finite(scales, count)) {
        uint64_t i = 0;
        while (fabsf(scales[i]) <= (half ? LARGEST_FP16 : FLT_MAX))
            i++;
        return bad_scale(e, row + i / e->blocks, i % e->blocks, scales[i], error);
    }
    if (half)
        gx_dtype_get(GX_DTYPE_F16)->decode(out, scales, count);
    else
        memcpy(out, scales, count * sizeof *scales);
    return GX_OK;
}

/* Each row's zero points are packed like its codes, and begin on a byte. */
static void store_zero_points(const encoder *e, uint64_t row, uint64_t rows)
{
    uint8_t *out = (uint8_t *)e->parts[GX_PART_ZERO_POINTS] + row * e->nbytes[GX_PART_ZERO_POINTS];
    const uint8_t *zero_point = e->space.zero_point;
    for (uint64_t r = 0; r < rows; r++, zero_point += e->blocks, out += e->nbytes[GX_PART_ZERO_POINTS]) {
        if (e->scheme->bits == 8) {
            memcpy(out, zero_point, e->blocks);
            continue;
        }
        e->kernels->pack(zero_point, e->blocks, out);
        if (e->blocks % 2)
            out[e->blocks / 2] = zero_point[e->blocks - 1];
    }
}

static gx_status encode_chunk(const encoder *e, const float *in, uint64_t row, uint64_t rows, gx_error *error)
{
    const uint64_t blocks = rows * e->blocks, elements = rows * e->padded;
    const float *values = in + row * e->columns;
    if (e->padded != e->columns) {
        for (uint64_t r = 0; r < rows; r++)
            pad_row(e->space.values + r * e->padded, values + r * e->columns, e->columns, e->padded);
        values = e->space.values;
    }
    uint8_t *out = (uint8_t *)e->parts[GX_PART_VALUES] + row * e->nbytes[GX_PART_VALUES];
    uint8_t *codes = e->scheme->bits == 8 ? out : e->space.codes;
    e->kernels->search(&e->search, values, blocks, e->space.scales, e->space.zero_point);
    GX_TRY(store_scales(e, row, rows, error));
    e->kernels->round(values, blocks, e->scheme->block_size, e->search.top, e->space.scales, e->space.zero_point, codes);
    if (e->scheme->bits == 4)
        e->kernels->pack(codes, elements, out);
    if (e->scheme->zero_points)
        store_zero_points(e, row, rows);
    return GX_OK;
}

gx_status gx_block_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                          void *const parts[GX_PART_COUNT], void *scratch, gx_error *error)
{
    const encoder e = prepare(scheme, row_elements, importance, parts, scratch);
    const uint64_t most = chunk_rows(e.blocks);
    for (uint64_t row = 0; row < rows; row += most)
        GX_TRY(encode_chunk(&e, in, row, rows - row < most ? rows - row : most, error));
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
    const uint64_t blocks = gx_scheme_blocks(scheme, row_elements);
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
