/* The decoders of the table: `blocks` consecutive blocks to fp32, bit for bit as the Python package `gguf` does. Input may
 * stand at any byte. */
#ifndef GX_TENSOR_BLOCKS_H
#define GX_TENSOR_BLOCKS_H

#include "tensor/dtype.h"

void gx_decode_f32(const void *in, float *out, size_t blocks);
void gx_decode_f16(const void *in, float *out, size_t blocks);
void gx_decode_bf16(const void *in, float *out, size_t blocks);
void gx_decode_q4_0(const void *in, float *out, size_t blocks);
void gx_decode_q4_1(const void *in, float *out, size_t blocks);
void gx_decode_q5_0(const void *in, float *out, size_t blocks);
void gx_decode_q5_1(const void *in, float *out, size_t blocks);
void gx_decode_q8_0(const void *in, float *out, size_t blocks);
void gx_decode_q2_k(const void *in, float *out, size_t blocks);
void gx_decode_q3_k(const void *in, float *out, size_t blocks);
void gx_decode_q4_k(const void *in, float *out, size_t blocks);
void gx_decode_q5_k(const void *in, float *out, size_t blocks);
void gx_decode_q6_k(const void *in, float *out, size_t blocks);

#endif
