/* The gated MLP: gate and up as one product. In fp16 graphs gelu and the gated product are computed in fp32: CPU kernels
 * of Gelu are fp32 only, and the product is where checkpoints overflow first. */
#include "graph/builder.h"

/* fp32: what lies above a row's mean by so many standard deviations, less that; else 0. */
static const gx_value *cut(gx_builder *b, const gx_value *gate, double deviations)
{
    gx_graph *g = b->graph;
    const gx_value *mean = gx_builder_mean_of_last(b, "sparse/mean", gate);
    const gx_value *centred = gx_builder_binary(b, "Sub", "sparse/centred", gate, mean);
    const gx_value *variance = gx_builder_mean_of_last(b, "sparse/variance", gx_builder_binary(b, "Mul", "sparse/squares", centred, centred));
    const gx_value *deviation = gx_builder_unary(b, "Sqrt", "sparse/deviation", variance);
    const gx_value *limit = gx_builder_binary(b, "Mul", "sparse/limit", deviation, gx_graph_float(g, gx_builder_name(b, "sparse/deviations"), deviations));
    return gx_builder_unary(b, "Relu", "sparse/gate", gx_builder_binary(b, "Sub", "sparse/above", centred, limit));
}

const gx_value *gx_block_mlp(gx_builder *b, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    const gx_weight *weights[2] = {&layer->weights[GX_ROLE_GATE_PROJ], &layer->weights[GX_ROLE_UP_PROJ]};
    const gx_weight *down = &layer->weights[GX_ROLE_DOWN_PROJ];
    const gx_value *both = gx_block_linear(b, "gate_up_proj", x, weights, 2, GX_QUANT_ROLE_MLP_GATE_UP, gx_builder_gate_up_reader(b, number));
    both = gx_builder_cast(b, "gate_up_fp32", both, GX_DTYPE_F32);
    const gx_value *parts[2];
    gx_builder_split(b, "gate_up", both, 2, (const uint64_t[]){weights[0]->rows, weights[1]->rows}, parts);
    if (layer->sparse_gate)
        parts[0] = cut(b, parts[0], layer->gate_cutoff);
    const gx_value *product = gx_builder_binary(b, "Mul", "gated", b->profile->gelu(b, parts[0]), parts[1]);
    product = gx_builder_cast(b, "gated_cast", product, b->activation);
    return gx_block_linear(b, "down_proj", product, &down, 1, GX_QUANT_ROLE_MLP_DOWN, NULL);
}
