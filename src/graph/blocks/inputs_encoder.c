/* Inputs of an encoder: ids and which of them are no padding, on either side. Positions are counted from the first id, padding or not: rotation
 * knows distances alone. */
#include "graph/builder.h"

/* int64 [sequence]: 0, 1, … */
static const gx_value *count_positions(gx_builder *b)
{
    gx_graph *g = b->graph;
    if (!b->form) {
        const gx_value *zero = gx_graph_int64(g, gx_builder_name(b, "zero"), 0), *one = gx_graph_int64(g, gx_builder_name(b, "step"), 1);
        const gx_value *length = gx_builder_scalar(b, "length", b->sequence_1d);
        return gx_graph_apply(g, "Range", gx_builder_name(b, "places"), GX_DTYPE_I64, GX_SHAPE(b->sequence), GX_INPUTS(zero, length, one));
    }
    const uint64_t count = (uint64_t)b->sequence.number;
    int64_t *numbers = g->failed ? NULL : GX_NEW_ARRAY(g->arena, int64_t, count);
    g->failed = !numbers;
    for (uint64_t i = 0; numbers && i < count; i++)
        numbers[i] = (int64_t)i;
    return gx_graph_int64_list(g, gx_builder_name(b, "places"), count, numbers);
}

/* int64 [2]: batch_size, sequence_length */
static const gx_value *make_rows_shape(gx_builder *b, const gx_value *input_ids)
{
    gx_graph *g = b->graph;
    if (b->form) {
        b->rows_shape = gx_graph_int64_list(g, gx_builder_name(b, "rows_shape"), 3, (const int64_t[]){b->batch.number, b->sequence.number, -1});
        return gx_graph_int64_list(g, gx_builder_name(b, "ids_shape"), 2, (const int64_t[]){b->batch.number, b->sequence.number});
    }
    b->batch_1d = gx_builder_dimension(b, "batch_size", input_ids, 0);
    b->sequence_1d = gx_builder_dimension(b, "sequence_length", input_ids, 1);
    gx_builder_know_length(b, b->batch, b->batch_1d);
    gx_builder_know_length(b, b->sequence, b->sequence_1d);
    const gx_value *rest = gx_graph_int64_list(g, gx_builder_name(b, "rest"), 1, (const int64_t[]){-1});
    gx_node *rows = gx_graph_node(g, "Concat", gx_builder_name(b, "rows_shape"), GX_INPUTS(b->batch_1d, b->sequence_1d, rest));
    gx_node_int(g, rows, "axis", 0);
    b->rows_shape = gx_node_output(g, rows, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(3)));
    return gx_builder_shape_value(b, "ids_shape", GX_SHAPE(b->batch, b->sequence));
}

const gx_value *gx_block_encoder_inputs(gx_builder *b)
{
    gx_graph *g = b->graph;
    const gx_dim one = gx_dim_number(1);
    const gx_shape ids = GX_SHAPE(b->batch, b->sequence);
    const gx_value *input_ids = gx_graph_input(g, "input_ids", GX_DTYPE_I64, ids);
    b->attention_mask = gx_graph_input(g, "attention_mask", GX_DTYPE_I64, ids);
    gx_builder_set_scope(b, "/model/positions");
    const gx_value *shape = make_rows_shape(b, input_ids);
    b->key_indices = count_positions(b);
    b->query_indices = gx_builder_reshape_to(b, "query_places", b->key_indices, GX_SHAPE(b->sequence, one));
    b->positions = gx_graph_apply(g, "Expand", gx_builder_name(b, "positions"), GX_DTYPE_I64, ids, GX_INPUTS(b->key_indices, shape));
    gx_builder_set_scope(b, "/model/attention_mask");
    const gx_value *mask = gx_builder_reshape_to(b, "mask", b->attention_mask, GX_SHAPE(b->batch, one, one, b->sequence));
    b->real_keys = gx_builder_cast(b, "real", mask, GX_DTYPE_BOOL);
    gx_block_cache_kinds(b);
    return input_ids;
}
