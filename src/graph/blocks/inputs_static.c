/* Inputs of a static graph, and the positions that follow from them. */
#include "graph/builder.h"

/* int64 [rows, sequence]: each row base, base + 1, … */
static const gx_value *count_ids(gx_builder *b, const char *leaf, gx_dim rows, int64_t base)
{
    const uint64_t sequence = (uint64_t)b->sequence.number, count = (uint64_t)rows.number * sequence;
    int64_t *numbers = b->graph->failed ? NULL : GX_NEW_ARRAY(b->graph->arena, int64_t, count);
    b->graph->failed = !numbers;
    for (uint64_t i = 0; numbers && i < count; i++)
        numbers[i] = base + (int64_t)(i % sequence);
    return gx_graph_constant(b->graph, gx_builder_name(b, leaf), GX_DTYPE_I64, GX_SHAPE(rows, b->sequence), numbers, count * sizeof *numbers);
}

/* Of the call's first id, row by row. */
static void take_position(gx_builder *b)
{
    b->first_position = gx_graph_input(b->graph, "position", GX_DTYPE_I64, GX_SHAPE(b->batch));
    const gx_value *column = gx_builder_reshape_to(b, "first_position", b->first_position, GX_SHAPE(b->batch, gx_dim_number(1)));
    b->positions = gx_graph_apply(b->graph, "Add", gx_builder_name(b, "positions"), GX_DTYPE_I64, GX_SHAPE(b->batch, b->sequence),
                                  GX_INPUTS(column, count_ids(b, "offsets", gx_dim_number(1), 0)));
}

/* One id: GroupQueryAttention takes each row's own length. Several: all rows end at total_sequence_length, padding included. */
static void take_lengths(gx_builder *b)
{
    b->seqlens_k = gx_graph_input(b->graph, "seqlens_k", GX_DTYPE_I32, GX_SHAPE(b->batch));
    b->total_sequence_length = gx_graph_input(b->graph, "total_sequence_length", GX_DTYPE_I32, GX_SHAPE(gx_dim_number(1)));
    if (b->sequence.number == 1) {
        const gx_value *position = gx_builder_cast(b, "position", b->seqlens_k, GX_DTYPE_I64);
        b->positions = gx_builder_reshape_to(b, "positions", position, GX_SHAPE(b->batch, b->sequence));
    } else {
        const gx_value *end = gx_builder_cast(b, "end", b->total_sequence_length, GX_DTYPE_I64);
        b->positions = gx_builder_binary(b, "Add", "positions", count_ids(b, "offsets_from_end", b->batch, -b->sequence.number), end);
    }
}

const gx_value *gx_block_static_inputs(gx_builder *b)
{
    const gx_value *input_ids = gx_graph_input(b->graph, "input_ids", GX_DTYPE_I64, GX_SHAPE(b->batch, b->sequence));
    gx_builder_set_scope(b, "/model/positions");
    if (b->profile->takes_position)
        take_position(b);
    else
        take_lengths(b);
    if (b->sequence.number > 1 && !b->options->all_logits)
        b->last_index = gx_graph_input(b->graph, "last_index", GX_DTYPE_I64, GX_SHAPE(b->batch));
    if (gx_builder_attends_by_bias(b, false))
        b->rows_shape = gx_graph_int64_list(b->graph, gx_builder_name(b, "rows_shape"), 3, (const int64_t[]){b->batch.number, b->sequence.number, -1});
    gx_block_cache_kinds(b);
    return input_ids;
}
