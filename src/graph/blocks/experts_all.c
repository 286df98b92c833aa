/*
 * Every expert on every row, times its share, which is 0 where the row does not go. The shapes are known beforehand, as compilers want them, at the
 * price of reading all weights.
 */
#include "graph/builder.h"

static const gx_value *(*const weights[GX_SCHEME_KIND_COUNT])(gx_builder *, const gx_product *) = {
    [GX_SCHEME_FLOAT] = gx_float_weight,
    [GX_SCHEME_BLOCK] = gx_dequantised_blocks,
    [GX_SCHEME_ROW_INT8] = gx_dequantised_rows,
};

/* fp32 [rows, num_experts] */
static const gx_value *spread_shares(gx_builder *b, const gx_experts *e)
{
    gx_graph *g = b->graph;
    const gx_value *zeros = gx_builder_binary(b, "Mul", "no_shares", e->probabilities, gx_graph_float(g, gx_builder_name(b, "zero"), 0));
    gx_node *node = gx_graph_node(g, "ScatterElements", gx_builder_name(b, "all_shares"), GX_INPUTS(zeros, e->picked, e->shares));
    gx_node_int(g, node, "axis", 1);
    return gx_node_output(g, node, NULL, GX_DTYPE_F32, e->probabilities->shape);
}

/* [num_experts, hidden_size, moe_intermediate_size], of the activation type */
static const gx_value *down_weights(gx_builder *b, const gx_experts *e)
{
    const gx_layer *layer = e->layer;
    const gx_product p = {.leaf = "down_proj", .name = e->down->name, .x = e->x, .stored = e->down, .in = layer->moe_intermediate_size, .out = gx_recipe_rows(&e->down->recipe)};
    const gx_value *flat = gx_builder_cast(b, "down_proj/weight_cast", weights[e->down->scheme.kind](b, &p), b->activation);
    return gx_builder_reshape_to(b, "down_proj/experts", flat,
                                 GX_SHAPE(gx_dim_number(layer->num_experts), gx_dim_number(b->model->hidden_size), gx_dim_number(layer->moe_intermediate_size)));
}

const gx_value *gx_experts_all(gx_builder *b, const gx_experts *e)
{
    gx_graph *g = b->graph;
    const uint64_t width = e->layer->moe_intermediate_size;
    const gx_dim experts = gx_dim_number(e->layer->num_experts), hidden = gx_dim_number(b->model->hidden_size), one = gx_dim_number(1);
    const gx_value *both = gx_builder_cast(b, "gate_up_fp32", gx_block_product(b, "gate_up_proj", e->x, e->gate_up), GX_DTYPE_F32);
    both = gx_builder_reshape_to(b, "gate_up_experts", both, GX_SHAPE(b->tokens, experts, gx_dim_number(2 * width)));
    const gx_value *parts[2];
    gx_builder_split(b, "gate_up", both, 2, (const uint64_t[]){width, width}, parts);
    const gx_value *gated = gx_builder_binary(b, "Mul", "gated", b->profile->gelu(b, parts[0]), parts[1]);
    const gx_value *shares = gx_builder_reshape_to(b, "all_shares_3d", spread_shares(b, e), GX_SHAPE(b->tokens, experts, one));
    gated = gx_builder_cast(b, "shared/cast", gx_builder_binary(b, "Mul", "shared", gated, shares), b->activation);

    const gx_value *columns = gx_builder_transpose(b, "shared_columns", gated, (const int64_t[]){1, 2, 0});
    const gx_value *given = gx_graph_apply(g, "MatMul", gx_builder_name(b, "down_proj"), b->activation, GX_SHAPE(experts, hidden, b->tokens),
                                           GX_INPUTS(down_weights(b, e), columns));
    given = gx_builder_cast(b, "given_fp32", given, GX_DTYPE_F32);
    const gx_value *axis = gx_graph_int64_list(g, gx_builder_name(b, "axis"), 1, (const int64_t[]){0});
    gx_node *node = gx_graph_node(g, "ReduceSum", gx_builder_name(b, "sum_columns"), GX_INPUTS(given, axis));
    gx_node_int(g, node, "keepdims", 0);
    return gx_builder_transpose(b, "sum", gx_node_output(g, node, NULL, GX_DTYPE_F32, GX_SHAPE(hidden, b->tokens)), (const int64_t[]){1, 0});
}
