/* Blocks along the row in MatMulNBits' packing: codes low nibble first, a scale and (packed alike) a zero point a block. */
#ifndef GX_QUANT_BLOCK_H
#define GX_QUANT_BLOCK_H

#include "quant/scheme.h"

size_t gx_block_scratch_nbytes(const gx_scheme *scheme, uint64_t row_elements);
gx_status gx_block_encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t row_elements, const float *importance,
                          void *const parts[GX_PART_COUNT], void *scratch, gx_error *error) GX_MUST_USE;
void gx_block_decode(const gx_scheme *scheme, const void *const parts[GX_PART_COUNT], uint64_t rows, uint64_t row_elements, float *out);

#endif
