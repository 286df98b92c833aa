/* LAuReL (Gemma 3n): a low-rank branch beside attention. x, plus what it becomes through a narrow place, normed. */
#include "graph/builder.h"

const gx_value *gx_block_laurel(gx_builder *b, const gx_value *x, const gx_layer *layer)
{
    const gx_weight *left = &layer->weights[GX_ROLE_LAUREL_LEFT], *right = &layer->weights[GX_ROLE_LAUREL_RIGHT];
    const gx_value *narrow = gx_block_linear(b, "laurel/left", x, &left, 1, GX_QUANT_ROLE_LAYER_INPUT, NULL);
    const gx_value *branch = gx_block_linear(b, "laurel/right", narrow, &right, 1, GX_QUANT_ROLE_LAYER_INPUT, NULL);
    return gx_builder_binary(b, "Add", "laurel", x, gx_block_norm(b, "laurel/post_norm", branch, &layer->weights[GX_ROLE_POST_LAUREL_NORM], 1, 1, NULL));
}
