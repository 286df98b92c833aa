/* The decoders of the table: `blocks` consecutive blocks to fp32, bit for bit as the Python package `gguf` does. Input may
 * stand at any byte. */
#ifndef GX_TENSOR_BLOCKS_H
#define GX_TENSOR_BLOCKS_H

#include "tensor/dtype.h"

/* Bytes of a block, part by part in the order in which they are stored. */
enum {
    Q4_0_NBYTES = 2 + 16,                /* d, nibbles */
    Q4_1_NBYTES = 2 + 2 + 16,            /* d, m, nibbles */
    Q5_0_NBYTES = 2 + 4 + 16,            /* d, fifth bits, nibbles */
    Q5_1_NBYTES = 2 + 2 + 4 + 16,        /* d, m, fifth bits, nibbles */
    Q8_0_NBYTES = 2 + 32,                /* d, signed bytes */
    Q2_K_NBYTES = 16 + 64 + 2 + 2,       /* scales and minima, 2-bit values, d, dmin */
    Q3_K_NBYTES = 32 + 64 + 12 + 2,      /* third bits, 2-bit values, scales, d */
    Q4_K_NBYTES = 2 + 2 + 12 + 128,      /* d, dmin, scales and minima, nibbles */
    Q5_K_NBYTES = 2 + 2 + 12 + 32 + 128, /* d, dmin, scales and minima, fifth bits, nibbles */
    Q6_K_NBYTES = 128 + 64 + 16 + 2,     /* nibbles, high 2 bits, signed scales, d */
};
_Static_assert(Q4_0_NBYTES == 18 && Q4_1_NBYTES == 20 && Q5_0_NBYTES == 22 && Q5_1_NBYTES == 24 && Q8_0_NBYTES == 34, "ggml's sizes");
_Static_assert(Q2_K_NBYTES == 84 && Q3_K_NBYTES == 110 && Q4_K_NBYTES == 144 && Q5_K_NBYTES == 176 && Q6_K_NBYTES == 210, "ggml's sizes");

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
