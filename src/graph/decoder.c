/* The straight line of a decoder, or of an encoder: inputs, embedding, layers, outputs; or the embedding and the rest as two graphs. */
#include "graph/builder.h"

/* One buffer may be bound as past and present where the operator knows how much of it is valid: from the attention mask's length. */
static bool shares_buffers(const gx_builder *b)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        if (gx_layer_has_own_cache(b->model, n) && gx_builder_attention_form(b, &b->model->layers[n])->by_bias)
            return false;
    return true;
}

bool gx_decoder_shares_caches(const gx_model *model, const gx_profile *profile, gx_dtype activation)
{
    return shares_buffers(&(gx_builder){.model = model, .profile = profile, .activation = activation});
}

static void describe(gx_builder *b)
{
    gx_graph *g = b->graph;
    gx_graph_metadata(g, "gemma_onnx.version", "%d.%d.%d", GX_VERSION_MAJOR, GX_VERSION_MINOR, GX_VERSION_PATCH);
    gx_graph_metadata(g, "gemma_onnx.family", "%s", b->model->family_name);
    gx_graph_metadata(g, "gemma_onnx.profile", "%s", b->profile->name);
    gx_graph_metadata(g, "gemma_onnx.precision", "%s", b->options->policy->name);
}

static void describe_layers(gx_builder *b)
{
    gx_graph_metadata(b->graph, "gemma_onnx.residual_scale", "%g", b->residual_scale);
    gx_graph_metadata(b->graph, "gemma_onnx.max_position_embeddings", "%u", b->model->max_position_embeddings);
}

static void describe_decoder(gx_builder *b)
{
    gx_graph_metadata(b->graph, "gemma_onnx.logits", "%s", b->options->all_logits ? "all" : "last");
    if (!b->form && shares_buffers(b))
        gx_graph_metadata(b->graph, "gemma_onnx.shared_cache", "1");
    describe_layers(b);
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

/* From what the tokens are, ids or their embedding, through all layers. */
static const gx_value *build_stream(gx_builder *b, const gx_value *tokens)
{
    gx_builder_set_scope(b, "/model/rotary_emb");
    gx_block_rope_tables(b);
    const bool body = b->options->piece == GX_DECODER_BODY;
    const embedded e = body ? take_embedded(b, tokens, b->residual_scale) : embed(b, tokens, b->residual_scale);
    gx_builder_set_scope(b, "/model/embed_tokens");
    const gx_value *stream = gx_builder_cast(b, "stream", e.rows, b->activation);
    gx_builder_set_scope(b, "/model/layer_inputs");
    if (e.layer_rows)
        gx_block_layer_inputs(b, e.layer_rows, stream);
    return gx_build_layers(b, stream);
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

static void build_decoder(gx_builder *b)
{
    describe_decoder(b);
    const gx_value *stream = build_stream(b, b->form ? gx_block_static_inputs(b) : gx_block_inputs(b));
    gx_builder_set_scope(b, "/lm_head");
    gx_block_head(b, stream);
    put_logits_first(b->graph);
}

static void build_encoder(gx_builder *b)
{
    describe_layers(b);
    const gx_value *stream = build_stream(b, gx_block_encoder_inputs(b));
    gx_builder_set_scope(b, "/sentence");
    gx_block_sentence(b, stream);
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

static void build(gx_builder *b)
{
    describe(b);
    if (b->options->piece == GX_DECODER_EMBEDDING)
        build_embedding(b);
    else if (b->model->bidirectional)
        build_encoder(b);
    else
        build_decoder(b);
    gx_graph_metadata(b->graph, "gemma_onnx.min_onnxruntime", "1.%u", b->onnxruntime);
}

gx_status gx_decoder_build(gx_graph **out, gx_arena *arena, const gx_model *model, const gx_decoder_options *options, gx_error *error)
{
    const bool is_embedding = options->piece == GX_DECODER_EMBEDDING;
    gx_graph *graph = gx_graph_new(arena, is_embedding ? "gemma_embedding" : model->bidirectional ? "gemma_encoder" : "gemma_decoder");
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
        .onnxruntime = blocks ? profile->block_onnxruntime : profile->onnxruntime,
        .batch = form ? gx_dim_number(form->batch_size) : gx_dim_symbol("batch_size"),
        .sequence = form ? gx_dim_number(form->sequence_length) : gx_dim_symbol("sequence_length"),
        .past = gx_dim_symbol("past_sequence_length"),
        .total = gx_dim_symbol("total_sequence_length"),
        .tokens = form ? gx_dim_number(form->batch_size * form->sequence_length) : gx_dim_symbol("batch_size*sequence_length"),
    };
    b.cache_length = model->bidirectional ? b.sequence : b.total;
    b.caches = GX_NEW_ARRAY(arena, gx_cache_values, model->num_hidden_layers);
    if (!b.caches)
        return gx_fail_memory(error);
    build(&b);
    GX_TRY(gx_graph_check(graph, error));
    *out = graph;
    return GX_OK;
}
