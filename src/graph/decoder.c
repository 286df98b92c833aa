/* The straight line of a decoder: inputs, embedding, layers, head. */
#include "graph/builder.h"

/* A sub-layer's output, through its post-norm if the family has one (which then carries the residual scale). */
static const gx_value *finish_sublayer(gx_builder *b, const char *leaf, const gx_value *output, const gx_weight *post_norm)
{
    return post_norm->tensor ? gx_block_norm(b, leaf, output, post_norm, 1, b->residual_scale, NULL) : output;
}

/* What a layer's output, added to the stream, is read by: the next layer's first norm. NULL: there is none. */
static const gx_value *enter_next_layer(gx_builder *b, const gx_value **stream, const gx_value *output, uint32_t number)
{
    const char *sum = gx_builder_name(b, "feedforward_residual");
    if (number + 1 == b->model->num_hidden_layers) {
        *stream = gx_graph_apply(b->graph, "Add", sum, output->dtype, output->shape, GX_INPUTS(*stream, output));
        return NULL;
    }
    gx_builder_set_scope(b, "/model/layers.%u", number + 1);
    return gx_block_add_norm(b, sum, "input_layernorm", stream, output, &b->model->layers[number + 1].weights[GX_ROLE_INPUT_NORM],
                             b->residual_scale * b->residual_scale, gx_builder_qkv_reader(b, number + 1));
}

/* x: the stream, normed for attention. Returns the same for the next layer. */
static const gx_value *build_layer(gx_builder *b, const gx_value **stream, const gx_value *x, uint32_t number)
{
    const gx_layer *layer = &b->model->layers[number];
    gx_builder_set_scope(b, "/model/layers.%u/self_attn", number);
    x = gx_block_attention(b, x, layer, number);
    gx_builder_set_scope(b, "/model/layers.%u", number);
    x = finish_sublayer(b, "post_attention_layernorm", x, &layer->weights[GX_ROLE_POST_ATTENTION_NORM]);
    x = gx_block_add_norm(b, gx_builder_name(b, "attention_residual"), "pre_feedforward_layernorm", stream, x,
                          &layer->weights[GX_ROLE_PRE_FEEDFORWARD_NORM], b->residual_scale * b->residual_scale, gx_builder_gate_up_reader(b, number));
    gx_builder_set_scope(b, "/model/layers.%u/mlp", number);
    x = gx_block_mlp(b, x, layer, number);
    gx_builder_set_scope(b, "/model/layers.%u", number);
    x = finish_sublayer(b, "post_feedforward_layernorm", x, &layer->weights[GX_ROLE_POST_FEEDFORWARD_NORM]);
    return enter_next_layer(b, stream, x, number);
}

static const gx_value *build_layers(gx_builder *b, const gx_value *stream)
{
    gx_builder_set_scope(b, "/model/layers.0");
    const gx_value *x = gx_block_norm(b, "input_layernorm", stream, &b->model->layers[0].weights[GX_ROLE_INPUT_NORM],
                                      b->residual_scale * b->residual_scale, 1, gx_builder_qkv_reader(b, 0));
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        x = build_layer(b, &stream, x, n);
    return stream;
}

static void describe(gx_builder *b)
{
    gx_graph *g = b->graph;
    gx_graph_metadata(g, "gemma_onnx.version", "%d.%d.%d", GX_VERSION_MAJOR, GX_VERSION_MINOR, GX_VERSION_PATCH);
    gx_graph_metadata(g, "gemma_onnx.family", "%s", b->model->family_name);
    gx_graph_metadata(g, "gemma_onnx.profile", "%s", b->profile->name);
    gx_graph_metadata(g, "gemma_onnx.precision", "%s", b->options->policy->name);
    gx_graph_metadata(g, "gemma_onnx.logits", "%s", b->options->all_logits ? "all" : "last");
    if (!b->form) /* one buffer may be bound as past and present: the length of the attention mask says how much of it is valid */
        gx_graph_metadata(g, "gemma_onnx.shared_cache", "1");
    gx_graph_metadata(g, "gemma_onnx.residual_scale", "%g", b->residual_scale);
    gx_graph_metadata(g, "gemma_onnx.max_position_embeddings", "%u", b->model->max_position_embeddings);
}

static void build(gx_builder *b)
{
    describe(b);
    const gx_value *input_ids = b->form ? gx_block_static_inputs(b) : gx_block_inputs(b);
    gx_builder_set_scope(b, "/model/rotary_emb");
    gx_block_rope_tables(b);
    gx_builder_set_scope(b, "/model/embed_tokens");
    const gx_value *stream = build_layers(b, gx_block_embedding(b, input_ids));
    gx_builder_set_scope(b, "/lm_head");
    gx_block_head(b, stream);
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
    gx_graph *graph = gx_graph_new(arena, "gemma_decoder");
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
    build(&b);
    GX_TRY(gx_graph_check(graph, error));
    put_logits_first(graph);
    *out = graph;
    return GX_OK;
}
