/*
 * Inputs of a dynamic graph; lengths and mask, once for all layers. The attention mask may begin with zeros (left padding): GroupQueryAttention
 * knows right padding only, so every row gets the full length and padding is hidden by a bias.
 */
#include "graph/builder.h"

/* int64 [1]: dimension `axis` of x. */
static const gx_value *dimension_of(gx_builder *b, const char *leaf, const gx_value *x, int64_t axis)
{
    gx_node *node = gx_graph_node(b->graph, "Shape", gx_builder_name(b, leaf), GX_INPUTS(x));
    gx_node_int(b->graph, node, "start", axis);
    gx_node_int(b->graph, node, "end", axis + 1);
    return gx_node_output(b->graph, node, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(1)));
}

static void make_lengths(gx_builder *b, const gx_value *input_ids, const gx_value *attention_mask)
{
    gx_graph *g = b->graph;
    b->batch_1d = dimension_of(b, "batch_size", input_ids, 0);
    b->sequence_1d = dimension_of(b, "sequence_length", input_ids, 1);
    b->total_1d = dimension_of(b, "total_length", attention_mask, 1);

    const gx_value *rest = gx_graph_int64_list(g, gx_builder_name(b, "rest"), 1, (const int64_t[]){-1});
    gx_node *rows = gx_graph_node(g, "Concat", gx_builder_name(b, "rows_shape"), GX_INPUTS(b->batch_1d, b->sequence_1d, rest));
    gx_node_int(g, rows, "axis", 0);
    b->rows_shape = gx_node_output(g, rows, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(3)));

    const gx_value *total = gx_builder_cast(b, "total_length/int32", b->total_1d, GX_DTYPE_I32);
    const int64_t no_dims[1] = {0};
    const gx_value *scalar_shape =
        gx_graph_constant(g, gx_builder_name(b, "scalar_shape"), GX_DTYPE_I64, GX_SHAPE(gx_dim_number(0)), no_dims, 0);
    b->total_sequence_length = gx_builder_reshape(b, "total_sequence_length", total, scalar_shape, gx_shape_scalar);

    const int32_t one = 1;
    const gx_value *one_value = gx_graph_constant(g, gx_builder_name(b, "one"), GX_DTYPE_I32, gx_shape_scalar, &one, sizeof one);
    const gx_value *last = gx_builder_binary(b, "Sub", "last_position", total, one_value);
    b->seqlens_k =
        gx_graph_apply(g, "Expand", gx_builder_name(b, "seqlens_k"), GX_DTYPE_I32, GX_SHAPE(b->batch), GX_INPUTS(last, b->batch_1d));
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

    const int64_t axes[2] = {1, 2};
    const gx_value *axes_value = gx_graph_int64_list(g, gx_builder_name(b, "mask/axes"), 2, axes);
    const gx_dim one_dim = gx_dim_number(1);
    const gx_value *wide = gx_graph_apply(g, "Unsqueeze", gx_builder_name(b, "mask/unsqueeze"), b->activation,
                                          GX_SHAPE(b->batch, one_dim, one_dim, b->total), GX_INPUTS(typed, axes_value));
    const int64_t ones[1] = {1};
    const gx_value *heads = gx_graph_int64_list(g, gx_builder_name(b, "mask/heads"), 1, ones);
    gx_node *shape = gx_graph_node(g, "Concat", gx_builder_name(b, "mask/shape"), GX_INPUTS(b->batch_1d, heads, b->sequence_1d, b->total_1d));
    gx_node_int(g, shape, "axis", 0);
    const gx_value *shape_value = gx_node_output(g, shape, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(4)));
    b->attention_bias = gx_graph_apply(g, "Expand", gx_builder_name(b, "attention_bias"), b->activation,
                                       GX_SHAPE(b->batch, one_dim, b->sequence, b->total), GX_INPUTS(wide, shape_value));
}

const gx_value *gx_block_inputs(gx_builder *b)
{
    gx_graph *g = b->graph;
    const gx_value *input_ids = gx_graph_input(g, "input_ids", GX_DTYPE_I64, GX_SHAPE(b->batch, b->sequence));
    const gx_value *attention_mask = gx_graph_input(g, "attention_mask", GX_DTYPE_I64, GX_SHAPE(b->batch, b->total));
    b->positions = gx_graph_input(g, "position_ids", GX_DTYPE_I64, GX_SHAPE(b->batch, b->sequence));
    gx_builder_set_scope(b, "/model/lengths");
    make_lengths(b, input_ids, attention_mask);
    gx_builder_set_scope(b, "/model/attention_mask");
    make_attention_bias(b, attention_mask);
    return input_ids;
}
