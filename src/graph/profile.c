/* The table of profiles. */
#include <string.h>

#include "graph/forms.h"
#include "graph/profile.h"

static gx_scheme as_it_is(const gx_scheme *scheme, uint64_t columns, gx_dtype activation)
{
    (void)columns, (void)activation;
    return *scheme;
}

/* DequantizeLinear gives the type of its scales, and wants zero points in the shape of the scales: rows of an odd number of
 * 4-bit zero points are padded in a file, so such a weight gets the middle of the range instead. */
static gx_scheme as_dequantize_linear_reads(const gx_scheme *scheme, uint64_t columns, gx_dtype activation)
{
    gx_scheme fitted = *scheme;
    if (scheme->kind == GX_SCHEME_FLOAT)
        return fitted;
    fitted.dtype = activation;
    fitted.transposed = false;
    if (scheme->kind == GX_SCHEME_BLOCK && scheme->bits == 4)
        fitted.zero_points = scheme->zero_points && gx_scheme_blocks(scheme, columns) % 2 == 0;
    return fitted;
}

static const gx_profile table[GX_PROFILE_COUNT] = {
    /* Fastest in ONNX Runtime. Opset 23 brings RMSNormalization and RotaryEmbedding; before 1.24 a window was one key too wide. */
    {
        .name = "ort",
        .opset = 23,
        .ir_version = 11,
        .block_opset = 23,
        .block_ir_version = 11,
        .onnxruntime = 24,
        .block_onnxruntime = 24,
        .microsoft_opset = 1,
        .window_slack = 16,
        .fit_scheme = as_it_is,
        .products = {[GX_SCHEME_FLOAT] = gx_float_product, [GX_SCHEME_BLOCK] = gx_block_nbits_product, [GX_SCHEME_ROW_INT8] = gx_row_int8_product},
        .rms_norm = gx_rms_norm_operator,
        .add_rms_norm = gx_add_rms_norm_fused,
        .gelu = gx_gelu_operator,
        .experts = gx_experts_loop,
        .attention = {.rotate = gx_rotate_rows_operator, .attend = gx_attend_grouped},
        .bias_attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_operator, .attend = gx_attend_primitives},
        .encoder_attention = {.by_bias = true, .rotate = gx_rotate_rows_operator, .attend = gx_attend_multi_head},
    },
    /* Operators of ai.onnx alone; TensorScatter is of opset 24. */
    {
        .name = "standard",
        .opset = 24,
        .ir_version = 12,
        .block_opset = 24,
        .block_ir_version = 12,
        .onnxruntime = 24,
        .block_onnxruntime = 24,
        .takes_position = true,
        .window_holds_call = true,
        .fit_scheme = as_dequantize_linear_reads,
        .products = {[GX_SCHEME_FLOAT] = gx_float_product, [GX_SCHEME_BLOCK] = gx_dequantised_blocks_product, [GX_SCHEME_ROW_INT8] = gx_dequantised_rows_product},
        .rms_norm = gx_rms_norm_operator,
        .add_rms_norm = gx_add_rms_norm_apart,
        .gelu = gx_gelu_operator,
        .experts = gx_experts_all,
        .attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_operator, .attend = gx_attend_operator},
        .bias_attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_operator, .attend = gx_attend_operator},
        .encoder_attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_operator, .attend = gx_attend_operator},
        .slots = gx_first_slots,
        .write_slots = gx_scatter_rows,
    },
    /* What compilers for accelerators know: products, sums, softmax, gathers. */
    {
        .name = "primitive",
        .opset = 17,
        .ir_version = 8,
        .block_opset = 21,
        .block_ir_version = 10,
        .onnxruntime = 15,
        .block_onnxruntime = 19,
        .takes_position = true,
        .window_holds_call = true,
        .fit_scheme = as_dequantize_linear_reads,
        .products = {[GX_SCHEME_FLOAT] = gx_float_product, [GX_SCHEME_BLOCK] = gx_dequantised_blocks_product, [GX_SCHEME_ROW_INT8] = gx_dequantised_rows_product},
        .rms_norm = gx_rms_norm_primitives,
        .add_rms_norm = gx_add_rms_norm_apart,
        .gelu = gx_gelu_primitives,
        .experts = gx_experts_all,
        .attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_primitives, .attend = gx_attend_primitives},
        .bias_attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_primitives, .attend = gx_attend_primitives},
        .encoder_attention = {.heads_first = true, .by_bias = true, .rotate = gx_rotate_heads_primitives, .attend = gx_attend_primitives},
        .slots = gx_slot_indices,
        .write_slots = gx_scatter_elements,
    },
};

const gx_profile *gx_profile_get(unsigned index)
{
    return &table[index];
}

const gx_profile *gx_profile_find(const char *name)
{
    for (unsigned i = 0; i < GX_PROFILE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}
