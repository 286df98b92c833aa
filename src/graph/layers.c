/* From the embedded stream through all layers: what each reads of it, and adds to it. */
#include <math.h>

#include "graph/builder.h"

/* A sub-layer's output, through its post-norm if the family has one (which then carries the residual scale). */
static const gx_value *finish_sublayer(gx_builder *b, const char *leaf, const gx_value *output, const gx_weight *post_norm)
{
    return post_norm->tensor ? gx_block_norm(b, leaf, output, post_norm, 1, b->residual_scale, NULL) : output;
}

static double stream_epsilon(const gx_builder *b)
{
    return b->residual_scale * b->residual_scale;
}

/* The stream after the MLP, and what the next layer reads of it: its first norm. NULL: there is no next one. */
static const gx_value *enter_next_layer(gx_builder *b, const gx_value **stream, const gx_value *output, uint32_t number)
{
    const gx_model *model = b->model;
    const gx_layer *layer = &model->layers[number];
    const char *sum = gx_builder_name(b, "feedforward_residual");
    const bool last = number + 1 == model->num_hidden_layers;
    const bool more = model->hidden_size_per_layer_input || layer->weights[GX_ROLE_LAYER_SCALAR].tensor;
    if (last || more)
        *stream = gx_graph_apply(b->graph, "Add", sum, output->dtype, output->shape, GX_INPUTS(*stream, output));
    if (model->hidden_size_per_layer_input)
        *stream = gx_builder_binary(b, "Add", "layer_input_residual", *stream, gx_block_layer_input(b, *stream, layer, number));
    if (layer->weights[GX_ROLE_LAYER_SCALAR].tensor) {
        const gx_recipe recipe = {.sources = {&layer->weights[GX_ROLE_LAYER_SCALAR]}, .source_count = 1, .multiply = 1};
        *stream = gx_builder_binary(b, "Mul", "layer_scalar", *stream, gx_block_vector(b, "scalar", &recipe, b->activation));
    }
    if (last)
        return NULL;
    const gx_weight *norm = &model->layers[number + 1].weights[GX_ROLE_INPUT_NORM];
    const gx_stream_reader *reader = gx_builder_qkv_reader(b, number + 1);
    gx_builder_set_scope(b, "/model/layers.%u", number + 1);
    return more ? gx_block_norm(b, "input_layernorm", *stream, norm, stream_epsilon(b), 1, reader)
                : gx_block_add_norm(b, sum, "input_layernorm", stream, output, norm, stream_epsilon(b), reader);
}

/* The MLP, and experts beside it. x: the stream, normed for the MLP. */
static const gx_value *build_feedforward(gx_builder *b, const gx_value *stream, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    gx_builder_set_scope(b, "/model/layers.%u/mlp", number);
    x = gx_block_mlp(b, x, layer, number);
    gx_builder_set_scope(b, "/model/layers.%u", number);
    if (layer->num_experts == 0)
        return x;
    x = gx_block_norm(b, "post_feedforward_layernorm_1", x, &layer->weights[GX_ROLE_POST_MLP_NORM], 1, 1, NULL);
    const gx_value *input = gx_block_norm(b, "pre_feedforward_layernorm_2", stream, &layer->weights[GX_ROLE_PRE_EXPERTS_NORM], stream_epsilon(b), 1, NULL);
    gx_builder_set_scope(b, "/model/layers.%u/experts", number);
    const gx_value *given = gx_block_experts(b, stream, input, layer);
    gx_builder_set_scope(b, "/model/layers.%u", number);
    given = gx_block_norm(b, "post_feedforward_layernorm_2", given, &layer->weights[GX_ROLE_POST_EXPERTS_NORM], 1, 1, NULL);
    return gx_builder_binary(b, "Add", "mlp_and_experts", x, given);
}

/* The stream with what attention adds to it, and that normed for the MLP. x: the stream, normed for attention. */
static const gx_value *build_attention(gx_builder *b, const gx_value **stream, const gx_value *x, const gx_layer *layer, uint32_t number)
{
    const gx_weight *next_norm = &layer->weights[GX_ROLE_PRE_FEEDFORWARD_NORM];
    const gx_stream_reader *reader = gx_builder_gate_up_reader(b, number);
    gx_builder_set_scope(b, "/model/layers.%u/self_attn", number);
    const gx_value *output = gx_block_attention(b, x, layer, number);
    gx_builder_set_scope(b, "/model/layers.%u", number);
    output = finish_sublayer(b, "post_attention_layernorm", output, &layer->weights[GX_ROLE_POST_ATTENTION_NORM]);
    if (!layer->weights[GX_ROLE_LAUREL_LEFT].tensor)
        return gx_block_add_norm(b, gx_builder_name(b, "attention_residual"), "pre_feedforward_layernorm", stream, output, next_norm, stream_epsilon(b), reader);
    output = gx_builder_binary(b, "Add", "attention_and_laurel", output, gx_block_laurel(b, x, layer));
    const gx_value *half = gx_builder_cast(b, "root_half/cast", gx_graph_float(b->graph, gx_builder_name(b, "root_half"), M_SQRT1_2), b->activation);
    *stream = gx_builder_binary(b, "Mul", "attention_residual", gx_builder_binary(b, "Add", "attention_sum", *stream, output), half);
    return gx_block_norm(b, "pre_feedforward_layernorm", *stream, next_norm, stream_epsilon(b), 1, reader);
}

/* x: the stream, normed for attention. Returns the same for the next layer. */
static const gx_value *build_layer(gx_builder *b, const gx_value **stream, const gx_value *x, uint32_t number)
{
    const gx_layer *layer = &b->model->layers[number];
    x = build_attention(b, stream, x, layer, number);
    x = build_feedforward(b, *stream, x, layer, number);
    x = finish_sublayer(b, "post_feedforward_layernorm", x, &layer->weights[GX_ROLE_POST_FEEDFORWARD_NORM]);
    return enter_next_layer(b, stream, x, number);
}

static const gx_value *first_norm(gx_builder *b, const gx_value *stream, uint32_t number)
{
    return gx_block_norm(b, "input_layernorm", stream, &b->model->layers[number].weights[GX_ROLE_INPUT_NORM], stream_epsilon(b), 1, gx_builder_qkv_reader(b, number));
}

/* Of several streams, each layer works on the active one. */
static const gx_value *build_layers_of_streams(gx_builder *b, const gx_value *embedded)
{
    gx_builder_set_scope(b, "/model/altup");
    gx_block_altup_begin(b, embedded);
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++) {
        const gx_layer *layer = &b->model->layers[n];
        gx_builder_set_scope(b, "/model/layers.%u", n);
        const gx_value *predicted = gx_block_altup_predict(b, layer), *stream = predicted;
        const gx_value *x = build_attention(b, &stream, first_norm(b, stream, n), layer, n);
        x = build_feedforward(b, stream, x, layer, n);
        x = finish_sublayer(b, "post_feedforward_layernorm", x, &layer->weights[GX_ROLE_POST_FEEDFORWARD_NORM]);
        stream = gx_builder_binary(b, "Add", "feedforward_residual", stream, x);
        gx_block_altup_correct(b, predicted, stream, layer, n);
    }
    gx_builder_set_scope(b, "/model/altup_end");
    return gx_block_altup_end(b);
}

const gx_value *gx_build_layers(gx_builder *b, const gx_value *stream)
{
    if (b->model->altup.streams)
        return build_layers_of_streams(b, stream);
    gx_builder_set_scope(b, "/model/layers.0");
    const gx_value *x = first_norm(b, stream, 0);
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        x = build_layer(b, &stream, x, n);
    return stream;
}
