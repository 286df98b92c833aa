/*
 * AltUp (Gemma 3n): several residual streams, here one value [tokens, streams, hidden_size]. Before a layer each is predicted as itself plus a mix
 * of all; the layer works on the active one; after it all are corrected by a part of what it changed. The router and what it weighs are fp32.
 */
#include <stdio.h>

#include "graph/builder.h"

#define LEAST_SQUARE 1e-5

static gx_dim streams_dim(const gx_builder *b)
{
    return gx_dim_number(b->model->altup.streams);
}

static gx_dim hidden_dim(const gx_builder *b)
{
    return gx_dim_number(b->model->hidden_size);
}

static const gx_value *widen(gx_builder *b, const char *leaf, const gx_value *x)
{
    return gx_builder_cast(b, leaf, x, GX_DTYPE_F32);
}

/* [tokens, hidden_size] of stream `index`. */
static const gx_value *pick_stream(gx_builder *b, const char *leaf, uint32_t index)
{
    gx_graph *g = b->graph;
    gx_node *node = gx_graph_node(g, "Gather", gx_builder_name(b, leaf), GX_INPUTS(b->streams, gx_graph_int64(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/index")), index)));
    gx_node_int(g, node, "axis", 1);
    return gx_node_output(g, node, NULL, b->streams->dtype, GX_SHAPE(b->tokens, hidden_dim(b)));
}

/* [tokens, hidden_size] as [tokens, 1, hidden_size] */
static const gx_value *as_one_stream(gx_builder *b, const char *leaf, const gx_value *x)
{
    return gx_builder_reshape_to(b, leaf, x, GX_SHAPE(b->tokens, gx_dim_number(1), hidden_dim(b)));
}

/* ---- before the first layer and after the last ---- */

/* The root of the mean square along the last dimension of a [tokens, n, hidden_size] fp32 value. */
static const gx_value *root_mean_square(gx_builder *b, const char *leaf, const gx_value *x, double least)
{
    const gx_value *mean = gx_builder_mean_of_last(b, gx_builder_leaf(b, leaf, "/mean"), gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/squares"), x, x));
    if (least > 0)
        mean = gx_builder_binary(b, "Max", gx_builder_leaf(b, leaf, "/positive"), mean, gx_graph_float(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "/least")), least));
    return gx_builder_unary(b, "Sqrt", leaf, mean);
}

/* The first stream, and the others as large as it. first: [tokens, 1, hidden_size], others: [tokens, streams - 1, hidden_size] */
static const gx_value *join_streams(gx_builder *b, const gx_value *first, const gx_value *others)
{
    const gx_value *wide = widen(b, "others_fp32", others);
    const gx_value *size = root_mean_square(b, "size", widen(b, "first_fp32", first), 0);
    const gx_value *own = root_mean_square(b, "own_size", wide, LEAST_SQUARE);
    const gx_value *factor = gx_graph_apply(b->graph, "Div", gx_builder_name(b, "factor"), GX_DTYPE_F32, own->shape, GX_INPUTS(size, own));
    const gx_value *matched = gx_builder_cast(b, "matched/cast", gx_builder_binary(b, "Mul", "matched", wide, factor), b->activation);
    return gx_builder_concat(b, "streams", first, matched, 1);
}

void gx_block_altup_begin(gx_builder *b, const gx_value *embedded)
{
    const gx_altup *altup = &b->model->altup;
    const uint32_t others = altup->streams - 1;
    if (others == 0) {
        b->streams = as_one_stream(b, "streams", embedded);
        return;
    }
    const gx_weight *weights[GX_MAX_STREAMS];
    for (uint32_t i = 0; i < others; i++)
        weights[i] = &altup->in[i];
    const gx_value *projected = gx_block_linear(b, "projections", embedded, weights, others, GX_QUANT_ROLE_LAYER_INPUT, NULL);
    projected = gx_builder_reshape_to(b, "projections_3d", projected, GX_SHAPE(b->tokens, gx_dim_number(others), hidden_dim(b)));
    b->streams = join_streams(b, as_one_stream(b, "first", embedded), projected);
}

const gx_value *gx_block_altup_end(gx_builder *b)
{
    gx_graph *g = b->graph;
    const gx_altup *altup = &b->model->altup;
    const gx_value *first = as_one_stream(b, "first", pick_stream(b, "stream.0", 0)), *others = NULL;
    for (uint32_t i = 1; i < altup->streams; i++) {
        char leaf[32];
        snprintf(leaf, sizeof leaf, "stream.%u", i);
        const gx_weight *weight = &altup->out[i - 1];
        const gx_value *x = gx_block_linear(b, gx_builder_leaf(b, leaf, "/projection"), pick_stream(b, leaf, i), &weight, 1, GX_QUANT_ROLE_LAYER_INPUT, NULL);
        x = as_one_stream(b, gx_builder_leaf(b, leaf, "/one"), x);
        others = others ? gx_builder_concat(b, gx_builder_leaf(b, leaf, "/others"), others, x, 1) : x;
    }
    const gx_value *all = widen(b, "streams_fp32", others ? join_streams(b, first, others) : first);
    const gx_value *axis = gx_graph_int64_list(g, gx_builder_name(b, "axis"), 1, (const int64_t[]){1});
    gx_node *node = gx_graph_node(g, "ReduceSum", gx_builder_name(b, "sum"), GX_INPUTS(all, axis));
    gx_node_int(g, node, "keepdims", 0);
    const gx_value *sum = gx_node_output(g, node, NULL, GX_DTYPE_F32, GX_SHAPE(b->tokens, hidden_dim(b)));
    const gx_value *part = gx_graph_float(g, gx_builder_name(b, "part"), 1.0 / altup->streams);
    return gx_builder_cast(b, "mean/cast", gx_builder_binary(b, "Mul", "mean", sum, part), b->activation);
}

/* ---- around a layer ---- */

/* fp32 [tokens, rows of `role`]: what the router makes of x, by a small matrix. The norm's weight takes the division by hidden_size. */
static const gx_value *route(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, gx_role role)
{
    const gx_recipe scale = {.sources = {&layer->weights[GX_ROLE_ALTUP_ROUTER_NORM]}, .source_count = 1, .multiply = 1.0 / b->model->hidden_size};
    const gx_value *weight = gx_block_vector(b, gx_builder_leaf(b, leaf, "/norm/weight"), &scale, GX_DTYPE_F32);
    const gx_value *normed = b->profile->rms_norm(b, gx_builder_leaf(b, leaf, "/norm"), widen(b, gx_builder_leaf(b, leaf, "/x_fp32"), x), weight, b->model->rms_norm_eps);
    const gx_weight *router = &layer->weights[GX_ROLE_ALTUP_ROUTER], *matrix = &layer->weights[role];
    const gx_value *routed = gx_block_linear(b, gx_builder_leaf(b, leaf, "/router"), normed, &router, 1, GX_QUANT_ROLE_ROUTER, NULL);
    const gx_value *modalities = gx_builder_unary(b, "Tanh", gx_builder_leaf(b, leaf, "/modalities"), routed);
    return gx_block_linear(b, gx_builder_leaf(b, leaf, "/coefficients"), modalities, &matrix, 1, GX_QUANT_ROLE_ROUTER, NULL);
}

const gx_value *gx_block_altup_predict(gx_builder *b, const gx_layer *layer)
{
    gx_graph *g = b->graph;
    const gx_value *mix = route(b, "predict", pick_stream(b, "predict/active", b->model->altup.active), layer, GX_ROLE_ALTUP_PREDICTION);
    mix = gx_builder_reshape_to(b, "predict/mix", mix, GX_SHAPE(b->tokens, streams_dim(b), streams_dim(b)));
    const gx_value *wide = widen(b, "predict/streams_fp32", b->streams);
    const gx_value *mixed = gx_graph_apply(g, "MatMul", gx_builder_name(b, "predict/mixed"), GX_DTYPE_F32, wide->shape, GX_INPUTS(mix, wide));
    b->streams = gx_builder_cast(b, "predict/cast", gx_builder_binary(b, "Add", "predict/streams", wide, mixed), b->activation);
    return pick_stream(b, "predicted", b->model->altup.active);
}

/* 0 for the first stream, 1 for the others: [1, streams, 1] */
static const gx_value *others_only(gx_builder *b)
{
    float ones[GX_MAX_STREAMS] = {0};
    for (uint32_t i = 1; i < b->model->altup.streams; i++)
        ones[i] = 1;
    const gx_value *mask = gx_graph_constant(b->graph, gx_builder_name(b, "others_only"), GX_DTYPE_F32, GX_SHAPE(gx_dim_number(1), streams_dim(b), gx_dim_number(1)), ones,
                                             b->model->altup.streams * sizeof *ones);
    return gx_builder_cast(b, "others_only/cast", mask, b->activation);
}

void gx_block_altup_correct(gx_builder *b, const gx_value *predicted, const gx_value *output, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_value *parts = route(b, "correct", output, layer, GX_ROLE_ALTUP_CORRECTION);
    parts = gx_builder_binary(b, "Add", "correct/parts", parts, gx_graph_float(g, gx_builder_name(b, "correct/one"), 1));
    parts = gx_builder_reshape_to(b, "correct/parts_3d", parts, GX_SHAPE(b->tokens, streams_dim(b), gx_dim_number(1)));
    const gx_value *change = gx_builder_binary(b, "Sub", "correct/change", widen(b, "correct/output_fp32", output), widen(b, "correct/predicted_fp32", predicted));
    const gx_value *wide = widen(b, "correct/streams_fp32", b->streams);
    const gx_value *shares = gx_graph_apply(g, "Mul", gx_builder_name(b, "correct/shares"), GX_DTYPE_F32, wide->shape, GX_INPUTS(parts, as_one_stream(b, "correct/change_3d", change)));
    b->streams = gx_builder_cast(b, "correct/cast", gx_builder_binary(b, "Add", "correct/streams", wide, shares), b->activation);
    if (b->model->hidden_size_per_layer_input == 0)
        return;
    const gx_value *x = pick_stream(b, "corrected", b->model->altup.active);
    if (b->model->altup.correct_scale) {
        const gx_recipe scale = {.sources = {&layer->weights[GX_ROLE_ALTUP_CORRECT_SCALE]}, .source_count = 1, .multiply = 1};
        x = gx_builder_binary(b, "Mul", "corrected/scaled", x, gx_block_vector(b, "corrected/scale", &scale, b->activation));
    }
    const gx_value *input = as_one_stream(b, "layer_input_3d", gx_block_layer_input(b, x, layer, number));
    const gx_value *spread = gx_graph_apply(g, "Mul", gx_builder_name(b, "layer_input_spread"), input->dtype, b->streams->shape, GX_INPUTS(input, others_only(b)));
    b->streams = gx_builder_binary(b, "Add", "streams", b->streams, spread);
}
