/*
 * The inputs of single layers (Gemma 3n, 4). For each id every layer has a row of its own in a second embedding, which is stored as a table for each
 * layer: at a vocabulary of 262,144 no file then needs to be larger than 2 GB. To it comes a projection of the first embedding, normed. The sum should be
 * divided by sqrt(2), which what a layer makes of it up to its norm passes through: there it is an epsilon times 2.
 */
#include <math.h>
#include <stdio.h>

#include "graph/builder.h"

/* Ids that the tables do not have are looked up as id 0. */
static const gx_value *known_ids(gx_builder *b, const gx_value *ids)
{
    gx_graph *g = b->graph;
    const gx_model *model = b->model;
    if (model->vocab_size_per_layer_input >= model->vocab_size)
        return ids;
    const gx_value *limit = gx_graph_int64(g, gx_builder_name(b, "vocab_size"), model->vocab_size_per_layer_input);
    const gx_value *known = gx_graph_apply(g, "Less", gx_builder_name(b, "known"), GX_DTYPE_BOOL, ids->shape, GX_INPUTS(ids, limit));
    return gx_graph_apply(g, "Where", gx_builder_name(b, "known_ids"), ids->dtype, ids->shape, GX_INPUTS(known, ids, gx_graph_int64(g, gx_builder_name(b, "other_id"), 0)));
}

const gx_value *gx_block_layer_embedding(gx_builder *b, const gx_value *ids)
{
    gx_graph *g = b->graph;
    const uint32_t layers = b->model->num_hidden_layers, width = b->model->hidden_size_per_layer_input;
    gx_stored **tables = g->failed ? NULL : GX_NEW_ARRAY(g->arena, gx_stored *, layers);
    g->failed = !tables;
    for (uint32_t n = 0; tables && n < layers; n++) {
        const gx_recipe recipe = {.sources = {&b->model->weights[GX_ROLE_PER_LAYER_EMBEDDING]}, .source_count = 1, .multiply = 1,
                                  .first_column = (uint64_t)n * width, .column_count = width};
        char leaf[32];
        snprintf(leaf, sizeof leaf, "embed_tokens.%u", n);
        tables[n] = gx_builder_store(b, gx_builder_name(b, leaf), &recipe, GX_QUANT_ROLE_LAYER_EMBEDDING);
    }
    const gx_value *rows = gx_block_lookup(b, known_ids(b, ids), tables, layers);
    return gx_builder_binary(b, "Mul", "multiplied", rows, gx_graph_float(g, gx_builder_name(b, "multiplier"), sqrt(width)));
}

/* The projection is of x / sqrt(hidden_size): under the norm that is an epsilon times hidden_size. */
static const gx_value *project(gx_builder *b, const gx_value *stream)
{
    const gx_model *model = b->model;
    const gx_weight *projection = &model->weights[GX_ROLE_PER_LAYER_MODEL_PROJECTION];
    const gx_value *x = gx_block_linear(b, "model_projection", stream, &projection, 1, GX_QUANT_ROLE_LAYER_INPUT, NULL);
    x = gx_builder_reshape_to(b, "projection_3d", x, GX_SHAPE(b->tokens, gx_dim_number(model->num_hidden_layers), gx_dim_number(model->hidden_size_per_layer_input)));
    return gx_block_norm(b, "projection_norm", x, &model->weights[GX_ROLE_PER_LAYER_PROJECTION_NORM], model->hidden_size * b->residual_scale * b->residual_scale, 1, NULL);
}

void gx_block_layer_inputs(gx_builder *b, const gx_value *embedded, const gx_value *stream)
{
    const gx_value *projected = project(b, stream);
    embedded = gx_builder_reshape_to(b, "embedded_3d", embedded, projected->shape);
    b->layer_inputs = gx_builder_binary(b, "Add", "inputs", gx_builder_cast(b, "projected_fp32", projected, GX_DTYPE_F32), embedded);
}

/* fp32 [tokens, width] of layer `number`. */
static const gx_value *pick(gx_builder *b, uint32_t number)
{
    const gx_value *index = gx_graph_int64(b->graph, gx_builder_name(b, "layer"), number);
    gx_node *node = gx_graph_node(b->graph, "Gather", gx_builder_name(b, "own_input"), GX_INPUTS(b->layer_inputs, index));
    gx_node_int(b->graph, node, "axis", 1);
    return gx_node_output(b->graph, node, NULL, b->layer_inputs->dtype, GX_SHAPE(b->tokens, gx_dim_number(b->model->hidden_size_per_layer_input)));
}

const gx_value *gx_block_layer_input(gx_builder *b, const gx_value *stream, const gx_layer *layer, uint32_t number)
{
    const gx_weight *gate = &layer->weights[GX_ROLE_PER_LAYER_INPUT_GATE], *projection = &layer->weights[GX_ROLE_PER_LAYER_PROJECTION];
    const gx_recipe recipe = {.sources = {gate}, .source_count = 1, .multiply = 1 / b->residual_scale}; /* reads the stream itself, not through a norm */
    gx_stored *stored = gx_builder_store(b, gx_builder_name(b, "per_layer_input_gate"), &recipe, GX_QUANT_ROLE_LAYER_INPUT);
    const gx_value *x = gx_builder_cast(b, "gate_fp32", gx_block_product(b, "per_layer_input_gate", stream, stored), GX_DTYPE_F32);
    x = gx_builder_cast(b, "gated/cast", gx_builder_binary(b, "Mul", "gated", b->profile->gelu(b, x), pick(b, number)), b->activation);
    x = gx_block_linear(b, "per_layer_projection", x, &projection, 1, GX_QUANT_ROLE_LAYER_INPUT, NULL);
    return gx_block_norm(b, "post_per_layer_input_norm", x, &layer->weights[GX_ROLE_POST_PER_LAYER_INPUT_NORM], 2, b->residual_scale, NULL);
}
