/* The straight line of a decoder: inputs, embedding, layers, head; or the embedding and the rest as two graphs. */
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

static const gx_value *build_layers(gx_builder *b, const gx_value *stream)
{
    if (b->model->altup.streams)
        return build_layers_of_streams(b, stream);
    gx_builder_set_scope(b, "/model/layers.0");
    const gx_value *x = first_norm(b, stream, 0);
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        x = build_layer(b, &stream, x, n);
    return stream;
}

/* One buffer may be bound as past and present where the operator knows how much of it is valid: from the attention mask's length. */
static bool shares_buffers(const gx_builder *b)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        if (gx_layer_has_own_cache(b->model, n) && gx_builder_attention_form(b, &b->model->layers[n])->by_bias)
            return false;
    return true;
}

static void describe(gx_builder *b)
{
    gx_graph *g = b->graph;
    gx_graph_metadata(g, "gemma_onnx.version", "%d.%d.%d", GX_VERSION_MAJOR, GX_VERSION_MINOR, GX_VERSION_PATCH);
    gx_graph_metadata(g, "gemma_onnx.family", "%s", b->model->family_name);
    gx_graph_metadata(g, "gemma_onnx.profile", "%s", b->profile->name);
    gx_graph_metadata(g, "gemma_onnx.precision", "%s", b->options->policy->name);
}

static void describe_decoder(gx_builder *b)
{
    gx_graph *g = b->graph;
    gx_graph_metadata(g, "gemma_onnx.logits", "%s", b->options->all_logits ? "all" : "last");
    if (!b->form && shares_buffers(b))
        gx_graph_metadata(g, "gemma_onnx.shared_cache", "1");
    gx_graph_metadata(g, "gemma_onnx.residual_scale", "%g", b->residual_scale);
    gx_graph_metadata(g, "gemma_onnx.max_position_embeddings", "%u", b->model->max_position_embeddings);
}

/* What the ids become: fp32 [tokens, hidden_size], and where layers have inputs of their own fp32 [tokens, those of all layers]. */
typedef struct embedded {
    const gx_value *rows, *layer_rows;
} embedded;

static embedded embed(gx_builder *b, const gx_value *input_ids, double multiply)
{
    gx_builder_set_scope(b, "/model/embed_tokens");
    const gx_value *ids = gx_block_flat_ids(b, input_ids);
    embedded e = {.rows = gx_block_embedding(b, ids, multiply)};
    gx_builder_set_scope(b, "/model/layer_inputs");
    if (b->model->hidden_size_per_layer_input)
        e.layer_rows = gx_block_layer_embedding(b, ids);
    return e;
}

/* The same of inputs_embeds; layers' inputs in the shape of the graph's. */
static embedded take_embedded(gx_builder *b, const gx_value *inputs_embeds, double multiply)
{
    gx_builder_set_scope(b, "/model/embed_tokens");
    const gx_value *rows = gx_builder_reshape_to(b, "rows", inputs_embeds, GX_SHAPE(b->tokens, gx_dim_number(b->model->hidden_size)));
    if (multiply != 1)
        rows = gx_builder_binary(b, "Mul", "multiplied", rows, gx_graph_float(b->graph, gx_builder_name(b, "multiplier"), multiply));
    return (embedded){.rows = rows, .layer_rows = b->per_layer_inputs};
}

static void build_decoder(gx_builder *b)
{
    describe_decoder(b);
    const gx_value *tokens = b->form ? gx_block_static_inputs(b) : gx_block_inputs(b);
    gx_builder_set_scope(b, "/model/rotary_emb");
    gx_block_rope_tables(b);
    const bool body = b->options->piece == GX_DECODER_BODY;
    const embedded e = body ? take_embedded(b, tokens, b->residual_scale) : embed(b, tokens, b->residual_scale);
    gx_builder_set_scope(b, "/model/embed_tokens");
    const gx_value *stream = gx_builder_cast(b, "stream", e.rows, b->activation);
    gx_builder_set_scope(b, "/model/layer_inputs");
    if (e.layer_rows)
        gx_block_layer_inputs(b, e.layer_rows, stream);
    stream = build_layers(b, stream);
    gx_builder_set_scope(b, "/lm_head");
    gx_block_head(b, stream);
}

static void output_as(gx_builder *b, const char *name, const gx_value *x, const gx_value *dims, gx_shape shape)
{
    gx_node *node = gx_graph_node(b->graph, "Reshape", gx_builder_name(b, name), GX_INPUTS(x, dims));
    gx_graph_output(b->graph, gx_node_output(b->graph, node, name, x->dtype, shape));
}

static void build_embedding(gx_builder *b)
{
    const gx_model *model = b->model;
    const embedded e = embed(b, gx_block_embedding_inputs(b), 1);
    gx_builder_set_scope(b, "/model/outputs");
    output_as(b, "inputs_embeds", e.rows, b->rows_shape, GX_SHAPE(b->batch, b->sequence, gx_dim_number(model->hidden_size)));
    if (!e.layer_rows)
        return;
    const gx_dim layers = gx_dim_number(model->num_hidden_layers), width = gx_dim_number(model->hidden_size_per_layer_input);
    const gx_value *of_each = gx_graph_int64_list(b->graph, gx_builder_name(b, "layers"), 2, (const int64_t[]){layers.number, width.number});
    gx_node *dims = gx_graph_node(b->graph, "Concat", gx_builder_name(b, "layers_shape"), GX_INPUTS(b->batch_1d, b->sequence_1d, of_each));
    gx_node_int(b->graph, dims, "axis", 0);
    const gx_value *dims_value = gx_node_output(b->graph, dims, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(4)));
    output_as(b, "per_layer_inputs", e.layer_rows, dims_value, GX_SHAPE(b->batch, b->sequence, layers, width));
}

/* The contract lists logits first; the layers declared their caches before. */
static void put_logits_first(gx_graph *graph)
{
    if (graph->output_count == 0)
        return;
    const gx_value *logits = graph->outputs[graph->output_count - 1];
    for (size_t i = graph->output_count - 1; i > 0; i--)
        graph->outputs[i] = graph->outputs[i - 1];
    graph->outputs[0] = logits;
}

gx_status gx_decoder_build(gx_graph **out, gx_arena *arena, const gx_model *model, const gx_decoder_options *options, gx_error *error)
{
    const bool is_embedding = options->piece == GX_DECODER_EMBEDDING;
    gx_graph *graph = gx_graph_new(arena, is_embedding ? "gemma_embedding" : "gemma_decoder");
    if (!graph)
        return gx_fail_memory(error);
    const gx_profile *profile = options->profile;
    const gx_static_form *form = options->form;
    const bool blocks = gx_policy_has_blocks(options->policy);
    graph->ir_version = blocks ? profile->block_ir_version : profile->ir_version;
    graph->opset = blocks ? profile->block_opset : profile->opset;
    graph->microsoft_opset = profile->microsoft_opset;
    graph->describes_values = form != NULL;
    gx_builder b = {
        .graph = graph,
        .model = model,
        .options = options,
        .profile = profile,
        .form = form,
        .activation = options->policy->activation,
        .residual_scale = options->residual_scale,
        .batch = form ? gx_dim_number(form->batch_size) : gx_dim_symbol("batch_size"),
        .sequence = form ? gx_dim_number(form->sequence_length) : gx_dim_symbol("sequence_length"),
        .past = gx_dim_symbol("past_sequence_length"),
        .total = gx_dim_symbol("total_sequence_length"),
        .tokens = form ? gx_dim_number(form->batch_size * form->sequence_length) : gx_dim_symbol("batch_size*sequence_length"),
    };
    b.cache_length = b.total;
    b.caches = GX_NEW_ARRAY(arena, gx_cache_values, model->num_hidden_layers);
    if (!b.caches)
        return gx_fail_memory(error);
    describe(&b);
    if (is_embedding)
        build_embedding(&b);
    else
        build_decoder(&b);
    GX_TRY(gx_graph_check(graph, error));
    if (!is_embedding)
        put_logits_first(graph);
    *out = graph;
    return GX_OK;
}
