/*
 * A mixture of experts. The router works in fp32 whatever the precision: where two experts are about as likely, a rounding would pick the other
 * one. It reads the residual stream itself.
 */
#include <math.h>

#include "graph/builder.h"

/* fp32 [rows, num_experts] */
static const gx_value *make_probabilities(gx_builder *b, const gx_value *stream, const gx_layer *layer)
{
    gx_graph *g = b->graph;
    const gx_model *model = b->model;
    const gx_value *wide = gx_builder_cast(b, "router/stream_fp32", stream, GX_DTYPE_F32);
    const gx_recipe scale = {.sources = {&layer->weights[GX_ROLE_ROUTER_SCALE]}, .source_count = 1, .multiply = 1 / sqrt((double)model->hidden_size)};
    const gx_value *x = b->profile->rms_norm(b, "router/norm", wide, gx_block_vector(b, "router/scale", &scale, GX_DTYPE_F32),
                                             model->rms_norm_eps * b->residual_scale * b->residual_scale);
    const gx_recipe recipe = {.sources = {&layer->weights[GX_ROLE_ROUTER_PROJ]}, .source_count = 1, .multiply = 1};
    const gx_value *scores = gx_block_product(b, "router/proj", x, gx_builder_store(b, gx_builder_name(b, "router/proj"), &recipe, GX_QUANT_ROLE_ROUTER));
    gx_node *node = gx_graph_node(g, "Softmax", gx_builder_name(b, "router/probabilities"), GX_INPUTS(scores));
    gx_node_int(g, node, "axis", -1);
    return gx_node_output(g, node, NULL, GX_DTYPE_F32, scores->shape);
}

/* The largest probabilities over their sum, times each expert's own factor. */
static void pick(gx_builder *b, gx_experts *e)
{
    gx_graph *g = b->graph;
    const gx_shape shape = GX_SHAPE(b->tokens, gx_dim_number(e->layer->top_k_experts));
    const gx_value *count = gx_graph_int64_list(g, gx_builder_name(b, "router/count"), 1, (const int64_t[]){e->layer->top_k_experts});
    gx_node *node = gx_graph_node(g, "TopK", gx_builder_name(b, "router/largest"), GX_INPUTS(e->probabilities, count));
    gx_node_int(g, node, "axis", -1);
    const gx_value *largest = gx_node_output(g, node, NULL, GX_DTYPE_F32, shape);
    e->picked = gx_node_output(g, node, NULL, GX_DTYPE_I64, shape);

    const gx_value *axis = gx_graph_int64_list(g, gx_builder_name(b, "router/axis"), 1, (const int64_t[]){1});
    const gx_value *sum = gx_graph_apply(g, "ReduceSum", gx_builder_name(b, "router/sum"), GX_DTYPE_F32, GX_SHAPE(b->tokens, gx_dim_number(1)), GX_INPUTS(largest, axis));
    const gx_value *parts = gx_builder_binary(b, "Div", "router/parts", largest, sum);
    const gx_recipe recipe = {.sources = {&e->layer->weights[GX_ROLE_ROUTER_PER_EXPERT_SCALE]}, .source_count = 1, .multiply = 1};
    const gx_value *factors = gx_block_vector(b, "router/per_expert_scale", &recipe, GX_DTYPE_F32);
    const gx_value *own = gx_graph_apply(g, "Gather", gx_builder_name(b, "router/factors"), GX_DTYPE_F32, shape, GX_INPUTS(factors, e->picked));
    e->shares = gx_builder_binary(b, "Mul", "router/shares", parts, own);
}

static gx_stored *store(gx_builder *b, const char *leaf, const gx_layer *layer, gx_role role)
{
    const gx_recipe recipe = {.sources = {&layer->weights[role]}, .source_count = 1, .multiply = 1};
    return gx_builder_store(b, gx_builder_name(b, leaf), &recipe, GX_QUANT_ROLE_EXPERT);
}

const gx_value *gx_block_experts(gx_builder *b, const gx_value *stream, const gx_value *x, const gx_layer *layer)
{
    gx_experts e = {.layer = layer, .x = x, .probabilities = make_probabilities(b, stream, layer)};
    pick(b, &e);
    e.gate_up = store(b, "gate_up_proj", layer, GX_ROLE_EXPERTS_GATE_UP);
    e.down = store(b, "down_proj", layer, GX_ROLE_EXPERTS_DOWN);
    if (b->graph->failed)
        return x;
    const gx_value *sum = b->profile->experts(b, &e);
    return gx_builder_cast(b, "sum/cast", sum, b->activation);
}
