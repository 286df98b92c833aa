/* THE table of element types. */
#include <string.h>

#include "base/checked.h"
#include "tensor/blocks.h"

static const gx_dtype_info table[GX_DTYPE_COUNT] = {
    /*                    name       safetensors ggml onnx elements bytes decode */
    [GX_DTYPE_F32] = {"F32", "F32", 0, 1, 1, 4, gx_decode_f32},
    [GX_DTYPE_F16] = {"F16", "F16", 1, 10, 1, 2, gx_decode_f16},
    [GX_DTYPE_BF16] = {"BF16", "BF16", 30, 16, 1, 2, gx_decode_bf16},
    [GX_DTYPE_F64] = {"F64", "F64", 28, 11, 1, 8, NULL},
    [GX_DTYPE_I64] = {"I64", "I64", 27, 7, 1, 8, NULL},
    [GX_DTYPE_I32] = {"I32", "I32", 26, 6, 1, 4, NULL},
    [GX_DTYPE_I16] = {"I16", "I16", 25, 5, 1, 2, NULL},
    [GX_DTYPE_I8] = {"I8", "I8", 24, 3, 1, 1, NULL},
    [GX_DTYPE_U64] = {"U64", "U64", -1, 13, 1, 8, NULL},
    [GX_DTYPE_U32] = {"U32", "U32", -1, 12, 1, 4, NULL},
    [GX_DTYPE_U16] = {"U16", "U16", -1, 4, 1, 2, NULL},
    [GX_DTYPE_U8] = {"U8", "U8", -1, 2, 1, 1, NULL},
    [GX_DTYPE_U4] = {"U4", NULL, -1, 21, 2, 1, NULL},
    [GX_DTYPE_BOOL] = {"BOOL", "BOOL", -1, 9, 1, 1, NULL},
    [GX_DTYPE_F8_E4M3] = {"F8_E4M3", "F8_E4M3", -1, 0, 1, 1, NULL},
    [GX_DTYPE_F8_E5M2] = {"F8_E5M2", "F8_E5M2", -1, 0, 1, 1, NULL},
    [GX_DTYPE_Q4_0] = {"Q4_0", NULL, 2, 0, 32, Q4_0_NBYTES, gx_decode_q4_0},
    [GX_DTYPE_Q4_1] = {"Q4_1", NULL, 3, 0, 32, Q4_1_NBYTES, gx_decode_q4_1},
    [GX_DTYPE_Q5_0] = {"Q5_0", NULL, 6, 0, 32, Q5_0_NBYTES, gx_decode_q5_0},
    [GX_DTYPE_Q5_1] = {"Q5_1", NULL, 7, 0, 32, Q5_1_NBYTES, gx_decode_q5_1},
    [GX_DTYPE_Q8_0] = {"Q8_0", NULL, 8, 0, 32, Q8_0_NBYTES, gx_decode_q8_0},
    [GX_DTYPE_Q2_K] = {"Q2_K", NULL, 10, 0, 256, Q2_K_NBYTES, gx_decode_q2_k},
    [GX_DTYPE_Q3_K] = {"Q3_K", NULL, 11, 0, 256, Q3_K_NBYTES, gx_decode_q3_k},
    [GX_DTYPE_Q4_K] = {"Q4_K", NULL, 12, 0, 256, Q4_K_NBYTES, gx_decode_q4_k},
    [GX_DTYPE_Q5_K] = {"Q5_K", NULL, 13, 0, 256, Q5_K_NBYTES, gx_decode_q5_k},
    [GX_DTYPE_Q6_K] = {"Q6_K", NULL, 14, 0, 256, Q6_K_NBYTES, gx_decode_q6_k},
};

const gx_dtype_info *gx_dtype_get(gx_dtype dtype)
{
    return &table[dtype];
}

bool gx_dtype_from_safetensors(const char *name, gx_dtype *out)
{
    for (int i = 0; i < GX_DTYPE_COUNT; i++) {
        if (table[i].safetensors_name && strcmp(table[i].safetensors_name, name) == 0) {
            *out = (gx_dtype)i;
            return true;
        }
    }
    return false;
}

gx_dtype gx_dtype_from_onnx(int onnx_type)
{
    for (int i = 0; i < GX_DTYPE_COUNT; i++)
        if (table[i].onnx_type && table[i].onnx_type == onnx_type)
            return (gx_dtype)i;
    return GX_DTYPE_COUNT;
}

bool gx_dtype_from_ggml(uint32_t ggml_type, gx_dtype *out)
{
    for (int i = 0; i < GX_DTYPE_COUNT; i++) {
        if (table[i].ggml_type >= 0 && (uint32_t)table[i].ggml_type == ggml_type) {
            *out = (gx_dtype)i;
            return true;
        }
    }
    return false;
}

bool gx_dtype_row_nbytes(gx_dtype dtype, uint64_t elements, uint64_t *out)
{
    const gx_dtype_info *info = &table[dtype];
    return elements % info->block_elements == 0 && gx_mul_u64(elements / info->block_elements, info->block_nbytes, out);
}
