/*
 * A quantisation scheme: how the values of a weight are chosen and packed. Rows are independent, so any run of rows can be
 * encoded alone and written to its place; every part gets the same number of bytes from each row.
 */
#ifndef GX_QUANT_SCHEME_H
#define GX_QUANT_SCHEME_H

#include "base/checked.h"
#include "tensor/dtype.h"

typedef enum gx_part { GX_PART_VALUES, GX_PART_SCALES, GX_PART_ZERO_POINTS, GX_PART_COUNT } gx_part;

typedef enum gx_scheme_kind {
    GX_SCHEME_FLOAT,    /* values as they are */
    GX_SCHEME_BLOCK,    /* blocks along the row: (code - zero point) * scale, in MatMulNBits' packing */
    GX_SCHEME_ROW_INT8, /* one scale a row: int8 * scale */
} gx_scheme_kind;
#define GX_SCHEME_KIND_COUNT 3u

/* By value; schemes that are equal field by field give equal bytes. */
typedef struct gx_scheme {
    gx_scheme_kind kind;
    gx_dtype dtype;      /* FLOAT: of the values, F32 or F16; else of the scales, F32 or F16 */
    unsigned bits;       /* BLOCK: 4 or 8 */
    unsigned block_size; /* BLOCK: 16, 32, 64, 128 or 256 elements; a row's last block may be short */
    bool zero_points;    /* BLOCK: one integer a block; without, the middle of the range */
    bool transposed;     /* ROW_INT8: stored [columns, rows] (the writer turns it), which is read fastest without packing */
} gx_scheme;

/* BLOCK: blocks of a row, the last one perhaps short. */
static inline uint64_t gx_scheme_blocks(const gx_scheme *scheme, uint64_t row_elements)
{
    return gx_ceil_div(row_elements, scheme->block_size);
}

/* Bytes that each row adds to a part; 0: the scheme has no such part. */
uint64_t gx_scheme_part_row_nbytes(const gx_scheme *scheme, gx_part part, uint64_t row_elements);

/* Memory that gx_scheme_encode needs for rows of this length. */
size_t gx_scheme_scratch_nbytes(const gx_scheme *scheme, uint64_t row_elements);

/* in: fp32 [rows, row_elements]; parts[i] receives rows * gx_scheme_part_row_nbytes bytes, aligned for the part's type.
 * A value that is NaN, infinite or beyond the type, or a block whose scale is, is GX_ERROR_UNSUPPORTED, naming row and
 * column. */
gx_status gx_scheme_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, void *const parts[GX_PART_COUNT],
                           void *scratch, gx_error *error) GX_MUST_USE;

/* The same, where a squared error in column i costs importance[i], positive (quant/importance.h). NULL: all alike. Only
 * blocks are searched, so it matters to them alone. */
gx_status gx_scheme_encode_weighted(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                                    void *const parts[GX_PART_COUNT], void *scratch, gx_error *error) GX_MUST_USE;

/* The values that the parts mean, [rows, row_elements]. */
void gx_scheme_decode(const gx_scheme *scheme, const void *const parts[GX_PART_COUNT], uint64_t rows, uint64_t row_elements, float *out);

/* "int4, blocks of 32, zero points" */
void gx_scheme_name(const gx_scheme *scheme, char *out, size_t nbytes);

#endif
