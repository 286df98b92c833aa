/* Sizes and names of schemes, and the encoders of the simple kinds. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "quant/block.h"
#include "quant/scheme.h"

static uint64_t float_row_nbytes(const gx_scheme *scheme, gx_part part, uint64_t row_elements)
{
    return part == GX_PART_VALUES ? row_elements * gx_dtype_get(scheme->dtype)->block_nbytes : 0;
}

static uint64_t block_row_nbytes(const gx_scheme *scheme, gx_part part, uint64_t row_elements)
{
    const uint64_t blocks = gx_scheme_blocks(scheme, row_elements);
    switch (part) {
    case GX_PART_VALUES: return blocks * scheme->block_size * scheme->bits / 8;
    case GX_PART_SCALES: return blocks * gx_dtype_get(scheme->dtype)->block_nbytes;
    case GX_PART_ZERO_POINTS: return scheme->zero_points ? gx_ceil_div(blocks * scheme->bits, 8) : 0;
    default: return 0;
    }
}

static uint64_t row_int8_nbytes(const gx_scheme *scheme, gx_part part, uint64_t row_elements)
{
    return part == GX_PART_VALUES ? row_elements : part == GX_PART_SCALES ? gx_dtype_get(scheme->dtype)->block_nbytes : 0;
}

/* ---- float ---- */

#define LARGEST_FP16 65504.0f

static gx_status not_finite(const float *in, uint64_t rows, uint64_t row_elements, float limit, gx_error *error)
{
    for (uint64_t i = 0; i < rows * row_elements; i++)
        if (!(fabsf(in[i]) <= limit))
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "row %llu, column %llu holds %g, which the type cannot hold",
                           (unsigned long long)(i / row_elements), (unsigned long long)(i % row_elements), (double)in[i]);
    return GX_OK;
}

static gx_status float_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                              void *const parts[GX_PART_COUNT], void *scratch, gx_error *error)
{
    (void)importance;
    (void)scratch;
    if (scheme->dtype == GX_DTYPE_F32) {
        memcpy(parts[GX_PART_VALUES], in, rows * row_elements * sizeof *in);
        return GX_OK;
    }
    if (gx_kernels_get()->narrow(in, parts[GX_PART_VALUES], rows * row_elements))
        return GX_OK;
    return not_finite(in, rows, row_elements, LARGEST_FP16, error);
}

static void float_decode(const gx_scheme *scheme, const void *const parts[GX_PART_COUNT], uint64_t rows, uint64_t row_elements, float *out)
{
    gx_dtype_get(scheme->dtype)->decode(parts[GX_PART_VALUES], out, rows * row_elements);
}

/* ---- int8 rows ---- */

#define MIDDLE 128u /* the code of zero: signed bytes are the unsigned ones with the top bit turned */

static gx_status row_int8_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                                 void *const parts[GX_PART_COUNT], void *scratch, gx_error *error)
{
    (void)scheme;
    (void)importance;
    (void)scratch;
    (void)error;
    const gx_kernels *kernels = gx_kernels_get();
    const uint8_t zero_point = MIDDLE;
    uint8_t *values = parts[GX_PART_VALUES];
    float *scales = parts[GX_PART_SCALES];
    for (uint64_t r = 0; r < rows; r++, in += row_elements, values += row_elements) {
        scales[r] = kernels->magnitude(in, row_elements) / 127.0f;
        kernels->round(in, 1, (unsigned)row_elements, 255, &scales[r], &zero_point, values);
        for (uint64_t i = 0; i < row_elements; i++)
            values[i] ^= MIDDLE;
    }
    return GX_OK;
}

static void row_int8_decode(const gx_scheme *scheme, const void *const parts[GX_PART_COUNT], uint64_t rows, uint64_t row_elements,
                            float *out)
{
    (void)scheme;
    const int8_t *values = parts[GX_PART_VALUES];
    const float *scales = parts[GX_PART_SCALES];
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < row_elements; i++)
            out[r * row_elements + i] = (float)values[r * row_elements + i] * scales[r];
}

/* ---- the table ---- */

static const struct {
    uint64_t (*part_row_nbytes)(const gx_scheme *, gx_part, uint64_t);
    gx_status (*encode)(const gx_scheme *, const float *, uint64_t, uint64_t, const float *, void *const[GX_PART_COUNT], void *,
                        gx_error *);
    void (*decode)(const gx_scheme *, const void *const[GX_PART_COUNT], uint64_t, uint64_t, float *);
} kinds[] = {
    [GX_SCHEME_FLOAT] = {float_row_nbytes, float_encode, float_decode},
    [GX_SCHEME_BLOCK] = {block_row_nbytes, gx_block_encode, gx_block_decode},
    [GX_SCHEME_ROW_INT8] = {row_int8_nbytes, row_int8_encode, row_int8_decode},
};

uint64_t gx_scheme_part_row_nbytes(const gx_scheme *scheme, gx_part part, uint64_t row_elements)
{
    return kinds[scheme->kind].part_row_nbytes(scheme, part, row_elements);
}

size_t gx_scheme_scratch_nbytes(const gx_scheme *scheme, uint64_t row_elements)
{
    return scheme->kind == GX_SCHEME_BLOCK ? gx_block_scratch_nbytes(scheme, row_elements) : 0;
}

gx_status gx_scheme_encode_weighted(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                                    void *const parts[GX_PART_COUNT], void *scratch, gx_error *error)
{
    const bool checks_itself = scheme->kind == GX_SCHEME_FLOAT && scheme->dtype == GX_DTYPE_F16; /* for its smaller range */
    if (!checks_itself && !gx_kernels_get()->finite(in, rows * row_elements))
        return not_finite(in, rows, row_elements, FLT_MAX, error);
    return kinds[scheme->kind].encode(scheme, in, rows, row_elements, importance, parts, scratch, error);
}

gx_status gx_scheme_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, void *const parts[GX_PART_COUNT],
                           void *scratch, gx_error *error)
{
    return gx_scheme_encode_weighted(scheme, in, rows, row_elements, NULL, parts, scratch, error);
}

void gx_scheme_decode(const gx_scheme *scheme, const void *const parts[GX_PART_COUNT], uint64_t rows, uint64_t row_elements, float *out)
{
    kinds[scheme->kind].decode(scheme, parts, rows, row_elements, out);
}

void gx_scheme_name(const gx_scheme *scheme, char *out, size_t nbytes)
{
    switch (scheme->kind) {
    case GX_SCHEME_FLOAT: snprintf(out, nbytes, "%s", scheme->dtype == GX_DTYPE_F32 ? "fp32" : "fp16"); break;
    case GX_SCHEME_BLOCK:
        snprintf(out, nbytes, "int%u, blocks of %u%s", scheme->bits, scheme->block_size, scheme->zero_points ? ", zero points" : "");
        break;
    case GX_SCHEME_ROW_INT8: snprintf(out, nbytes, "int8, one scale a row%s", scheme->transposed ? ", transposed" : ""); break;
    }
}
