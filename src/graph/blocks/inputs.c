/*
 * Inputs of a dynamic graph; lengths and mask, once for all layers, as far as their ways to attend ask for them. The attention mask may begin with
 * zeros (left padding): GroupQueryAttention knows right padding only, so every row gets the full length and padding is hidden by a bias.
 */
#include "graph/builder.h"

/* From a value [batch_size, sequence_length, …]. */
static void make_lengths(gx_builder *b, const gx_value *tokens)
{
    gx_graph *g = b->graph;
    b->batch_1d = gx_builder_dimension(b, "batch_size", tokens, 0);
    b->sequence_1d = gx_builder_dimension(b, "sequence_length", tokens, 1);
    gx_builder_know_length(b, b->batch, b->batch_1d);
    gx_builder_know_length(b, b->sequence, b->sequence_1d);
    const gx_value *rest = gx_graph_int64_list(g, gx_builder_name(b, "rest"), 1, (const int64_t[]){-1});
    gx_node *rows = gx_graph_node(g, "Concat", gx_builder_name(b, "rows_shape"), GX_INPUTS(b->batch_1d, b->sequence_1d, rest));
    gx_node_int(g, rows, "axis", 0);
    b->rows_shape = gx_node_output(g, rows, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(3)));
}

/* What GroupQueryAttention is told of the lengths. */
static void make_operator_lengths(gx_builder *b)
{
    gx_graph *g = b->graph;
    const gx_value *total = gx_builder_cast(b, "total_length/int32", b->total_1d, GX_DTYPE_I32);
    b->total_sequence_length = gx_builder_scalar(b, "total_sequence_length", total);

    const int32_t one = 1;
    const gx_value *one_value = gx_graph_constant(g, gx_builder_name(b, "one"), GX_DTYPE_I32, gx_shape_scalar, &one, sizeof one);
    const gx_value *last = gx_builder_binary(b, "Sub", "last_position", total, one_value);
    b->seqlens_k =
        gx_graph_apply(g, "Expand", gx_builder_name(b, "seqlens_k"), GX_DTYPE_I32, GX_SHAPE(b->batch), GX_INPUTS(last, b->batch_1d));
}

/* int64 [1]: what a cache holds after the call. Bound as one buffer before and after it, that is all of the buffer: its places beyond the last
 * query's are later ones, which no query sees. */
static const gx_value *make_cache_length(gx_builder *b)
{
    if (!gx_builder_attends_by_bias(b, false))
        return b->total_1d;
    b->cache_length = gx_dim_symbol("cache_length");
    const gx_value *room = gx_builder_dimension(b, "past_length", gx_builder_past(b, &b->model->layers[0], 0, "key"), 2);
    const gx_value *length = gx_builder_binary(b, "Max", "cache_length", b->total_1d, room);
    gx_builder_know_length(b, b->cache_length, length);
    return length;
}

/* Places in the caches: of all keys, and of this call's queries, the last ones that are filled. */
static void make_indices(gx_builder *b, const gx_value *cache_length)
{
    gx_graph *g = b->graph;
    const gx_value *zero = gx_graph_int64(g, gx_builder_name(b, "zero"), 0), *one = gx_graph_int64(g, gx_builder_name(b, "step"), 1);
    const gx_value *total = gx_builder_scalar(b, "total", b->total_1d), *sequence = gx_builder_scalar(b, "sequence", b->sequence_1d);
    const gx_value *past = gx_builder_binary(b, "Sub", "past", total, sequence);
    const gx_value *length = cache_length == b->total_1d ? total : gx_builder_scalar(b, "length", cache_length);
    b->key_indices = gx_graph_apply(g, "Range", gx_builder_name(b, "key_indices"), GX_DTYPE_I64, GX_SHAPE(b->cache_length), GX_INPUTS(zero, length, one));
    const gx_value *queries = gx_graph_apply(g, "Range", gx_builder_name(b, "query_range"), GX_DTYPE_I64, GX_SHAPE(b->sequence), GX_INPUTS(past, total, one));
    b->query_indices = gx_builder_reshape_to(b, "query_indices", queries, GX_SHAPE(b->sequence, gx_dim_number(1)));
}

/* The mask [batch, total], as long as the caches. */
static const gx_value *lengthen(gx_builder *b, const gx_value *mask, const gx_value *cache_length)
{
    if (cache_length == b->total_1d)
        return mask;
    gx_graph *g = b->graph;
    const gx_value *nothing = gx_graph_int64_list(g, gx_builder_name(b, "real/nothing"), 3, (const int64_t[]){0, 0, 0});
    const gx_value *missing = gx_builder_binary(b, "Sub", "real/missing", cache_length, b->total_1d);
    gx_node *pads = gx_graph_node(g, "Concat", gx_builder_name(b, "real/pads"), GX_INPUTS(nothing, missing));
    gx_node_int(g, pads, "axis", 0);
    const gx_value *pads_value = gx_node_output(g, pads, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(4)));
    return gx_graph_apply(g, "Pad", gx_builder_name(b, "real/padded"), mask->dtype, GX_SHAPE(b->batch, b->cache_length), GX_INPUTS(mask, pads_value));
}

static const gx_value *for_all_heads_and_queries(gx_builder *b, const char *leaf, const gx_value *row)
{
    const int64_t axes[2] = {1, 2};
    const gx_value *axes_value = gx_graph_int64_list(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "/axes")), 2, axes);
    const gx_dim one = gx_dim_number(1);
    return gx_graph_apply(b->graph, "Unsqueeze", gx_builder_name(b, gx_builder_leaf(b, leaf, "/unsqueeze")), row->dtype,
                          GX_SHAPE(b->batch, one, one, row->shape.dims[1]), GX_INPUTS(row, axes_value));
}

static void make_attention_bias(gx_builder *b, const gx_value *attention_mask)
{
    gx_graph *g = b->graph;
    const gx_value *mask = gx_builder_cast(b, "mask/float", attention_mask, GX_DTYPE_F32);
    const gx_value *one = gx_graph_float(g, gx_builder_name(b, "mask/one"), 1.0);
    const gx_value *hide = gx_graph_float(g, gx_builder_name(b, "mask/hide"), GX_HIDDEN_KEY_BIAS);
    const gx_value *padding = gx_graph_apply(g, "Sub", gx_builder_name(b, "mask/padding"), GX_DTYPE_F32, mask->shape, GX_INPUTS(one, mask));
    const gx_value *row = gx_builder_binary(b, "Mul", "mask/bias", padding, hide);
    const gx_value *typed = gx_builder_cast(b, "mask/bias/cast", row, b->activation);

    const gx_value *wide = for_all_heads_and_queries(b, "mask", typed);
    const int64_t ones[1] = {1};
    const gx_value *heads = gx_graph_int64_list(g, gx_builder_name(b, "mask/heads"), 1, ones);
    gx_node *shape = gx_graph_node(g, "Concat", gx_builder_name(b, "mask/shape"), GX_INPUTS(b->batch_1d, heads, b->sequence_1d, b->total_1d));
    gx_node_int(g, shape, "axis", 0);
    const gx_value *shape_value = gx_node_output(g, shape, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(4)));
    b->attention_bias = gx_graph_apply(g, "Expand", gx_builder_name(b, "attention_bias"), b->activation,
                                       GX_SHAPE(b->batch, gx_dim_number(1), b->sequence, b->total), GX_INPUTS(wide, shape_value));
}

static const gx_value *declare_ids(gx_builder *b)
{
    return gx_graph_input(b->graph, "input_ids", GX_DTYPE_I64, GX_SHAPE(b->batch, b->sequence));
}

/* What another graph made of the ids. */
static const gx_value *declare_embedded(gx_builder *b)
{
    const gx_model *model = b->model;
    const gx_value *embedded = gx_graph_input(b->graph, "inputs_embeds", GX_DTYPE_F32, GX_SHAPE(b->batch, b->sequence, gx_dim_number(model->hidden_size)));
    if (model->hidden_size_per_layer_input)
        b->per_layer_inputs = gx_graph_input(b->graph, "per_layer_inputs", GX_DTYPE_F32,
                                             GX_SHAPE(b->batch, b->sequence, gx_dim_number(model->num_hidden_layers), gx_dim_number(model->hidden_size_per_layer_input)));
    return embedded;
}

const gx_value *gx_block_embedding_inputs(gx_builder *b)
{
    const gx_value *input_ids = declare_ids(b);
    gx_builder_set_scope(b, "/model/lengths");
    make_lengths(b, input_ids);
    return input_ids;
}

const gx_value *gx_block_inputs(gx_builder *b)
{
    gx_graph *g = b->graph;
    const gx_value *tokens = b->options->piece == GX_DECODER_BODY ? declare_embedded(b) : declare_ids(b);
    const gx_value *attention_mask = gx_graph_input(g, "attention_mask", GX_DTYPE_I64, GX_SHAPE(b->batch, b->total));
    b->positions = gx_graph_input(g, "position_ids", GX_DTYPE_I64, GX_SHAPE(b->batch, b->sequence));
    gx_builder_set_scope(b, "/model/lengths");
    make_lengths(b, tokens);
    b->total_1d = gx_builder_dimension(b, "total_length", attention_mask, 1);
    gx_builder_know_length(b, b->total, b->total_1d);
    if (gx_builder_attends_by_bias(b, false)) {
        make_operator_lengths(b);
        gx_builder_set_scope(b, "/model/attention_mask");
        make_attention_bias(b, attention_mask);
    }
    if (gx_builder_attends_by_bias(b, true)) {
        gx_builder_set_scope(b, "/model/attention_mask");
        const gx_value *cache_length = make_cache_length(b);
        make_indices(b, cache_length);
        const gx_value *real = gx_builder_cast(b, "real", lengthen(b, attention_mask, cache_length), GX_DTYPE_BOOL);
        b->real_keys = for_all_heads_and_queries(b, "real_keys", real);
    }
    gx_block_cache_kinds(b);
    return tokens;
}
