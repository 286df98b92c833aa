/*
 * THE table of element types: what checkpoints store (safetensors and GGUF) and what ONNX files hold. Block formats keep
 * `block_elements` elements in `block_nbytes` bytes along the innermost dimension. Decoding defines the meaning: it
 * equals what the Python package `gguf` gives, bit for bit.
 */
#ifndef GX_TENSOR_DTYPE_H
#define GX_TENSOR_DTYPE_H

#include "base/error.h"

typedef enum gx_dtype {
    GX_DTYPE_F32,
    GX_DTYPE_F16,
    GX_DTYPE_BF16,
    GX_DTYPE_F64,
    GX_DTYPE_I64,
    GX_DTYPE_I32,
    GX_DTYPE_I16,
    GX_DTYPE_I8,
    GX_DTYPE_U64,
    GX_DTYPE_U32,
    GX_DTYPE_U16,
    GX_DTYPE_U8,
    GX_DTYPE_U4, /* ONNX only: two to a byte, low nibble first */
    GX_DTYPE_BOOL,
    GX_DTYPE_F8_E4M3, /* named in safetensors headers; not decoded */
    GX_DTYPE_F8_E5M2,
    GX_DTYPE_Q4_0,
    GX_DTYPE_Q4_1,
    GX_DTYPE_Q5_0,
    GX_DTYPE_Q5_1,
    GX_DTYPE_Q8_0,
    GX_DTYPE_Q2_K,
    GX_DTYPE_Q3_K,
    GX_DTYPE_Q4_K,
    GX_DTYPE_Q5_K,
    GX_DTYPE_Q6_K,
    GX_DTYPE_COUNT,
} gx_dtype;

typedef struct gx_dtype_info {
    const char *name;             /* "F32", "Q4_K", as people write it */
    const char *safetensors_name; /* NULL: not in safetensors */
    int ggml_type;                /* -1: not in GGUF */
    int onnx_type;                /* TensorProto.DataType; 0: not in ONNX files of ours */
    uint32_t block_elements;      /* 1 for plain types */
    uint32_t block_nbytes;
    /* Decodes `blocks` consecutive blocks to fp32. NULL: cannot be a weight. */
    void (*decode)(const void *in, float *out, size_t blocks);
} gx_dtype_info;

const gx_dtype_info *gx_dtype_get(gx_dtype dtype); /* static storage; dtype < GX_DTYPE_COUNT */

bool gx_dtype_from_safetensors(const char *name, gx_dtype *out);
bool gx_dtype_from_ggml(uint32_t ggml_type, gx_dtype *out);
gx_dtype gx_dtype_from_onnx(int onnx_type); /* GX_DTYPE_COUNT: none of ours */

/* Bytes of a row of n elements; false when n is not a multiple of the block or the size overflows. */
bool gx_dtype_row_nbytes(gx_dtype dtype, uint64_t elements, uint64_t *out);

#endif
