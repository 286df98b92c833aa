/*
 * Token embedding: the rows of the very bytes that the head's product reads, unpacked by standard operators on those few
 * rows (GatherBlockQuantized has no kernel in the web build that Transformers.js loads), times sqrt(hidden_size) in fp32.
 */
#include <stdio.h>

#include "graph/builder.h"

/* Graphs in fp32 are for GPUs without fp16, too: they widen scales before they gather them, which is folded when the session opens. */
static gx_dtype scales_dtype(const gx_builder *b, gx_dtype stored)
{
    return b->activation == GX_DTYPE_F32 ? GX_DTYPE_F32 : stored;
}

/* The rows `ids` [tokens] of tables that are stored alike, side by side. */
typedef struct lookup {
    const gx_value *ids;
    gx_stored *const *stored; /* [count] */
    unsigned count;
    const gx_scheme *scheme; /* of each */
    uint64_t rows, columns;  /* of each */
} lookup;

static const gx_value *gather_one(gx_builder *b, const char *leaf, const lookup *l, unsigned index, gx_part part, gx_dtype dtype, uint64_t width)
{
    gx_graph *g = b->graph;
    const gx_value *table = gx_graph_stored_value(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "_table")), l->stored[index], part, dtype,
                                                  GX_SHAPE(gx_dim_number(l->rows), gx_dim_number(width)));
    if (part == GX_PART_SCALES)
        table = gx_builder_cast(b, gx_builder_leaf(b, leaf, "_wide"), table, scales_dtype(b, dtype));
    return gx_graph_apply(g, "Gather", gx_builder_name(b, leaf), table->dtype, GX_SHAPE(b->tokens, gx_dim_number(width)), GX_INPUTS(table, l->ids));
}

/* [tokens, count * width] of one part. */
static const gx_value *gather(gx_builder *b, const char *leaf, const lookup *l, gx_part part, gx_dtype dtype, uint64_t width)
{
    gx_graph *g = b->graph;
    if (l->count == 1)
        return gather_one(b, leaf, l, 0, part, dtype, width);
    const gx_value **rows = g->failed ? NULL : GX_NEW_ARRAY(g->arena, const gx_value *, l->count);
    g->failed = !rows;
    for (unsigned i = 0; rows && i < l->count; i++) {
        char number[16];
        snprintf(number, sizeof number, "/%u", i);
        rows[i] = gather_one(b, gx_builder_leaf(b, leaf, number), l, i, part, dtype, width);
    }
    gx_node *node = gx_graph_node(g, "Concat", gx_builder_name(b, leaf), rows ? l->count : 0, rows);
    gx_node_int(g, node, "axis", 1);
    return gx_node_output(g, node, NULL, rows ? rows[0]->dtype : dtype, GX_SHAPE(b->tokens, gx_dim_number(l->count * width)));
}

static const gx_value *float_rows(gx_builder *b, const lookup *l)
{
    const gx_value *rows = gather(b, "rows", l, GX_PART_VALUES, l->scheme->dtype, l->columns);
    return gx_builder_cast(b, "rows_fp32", rows, GX_DTYPE_F32);
}

/* uint8 [tokens, n] holding two nibbles each, low first → fp32 [tokens, 2n]. In floating point: GPUs have no 8-bit integers. */
static const gx_value *unpack_nibbles(gx_builder *b, const char *leaf, const gx_value *bytes, uint64_t nbytes)
{
    gx_graph *g = b->graph;
    const gx_dim n = gx_dim_number(nbytes);
    const gx_value *byte = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/byte"), bytes, GX_DTYPE_F32);
    const gx_value *sixteenth = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/sixteenth")), 1.0 / 16);
    const gx_value *sixteen = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/sixteen")), 16);
    const gx_value *shifted = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/shifted"), byte, sixteenth);
    const gx_value *high = gx_graph_apply(g, "Floor", gx_builder_name(b, gx_builder_leaf(b, leaf, "/high")), GX_DTYPE_F32, byte->shape, GX_INPUTS(shifted));
    const gx_value *high_part = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/high_part"), high, sixteen);
    const gx_value *low = gx_builder_binary(b, "Sub", gx_builder_leaf(b, leaf, "/low"), byte, high_part);

    const gx_value *axis = gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/pair_axis")), 1, (const int64_t[]){2});
    const gx_shape single = GX_SHAPE(b->tokens, n, gx_dim_number(1));
    const gx_value *low_column = gx_graph_apply(g, "Unsqueeze", gx_builder_name(b, gx_builder_leaf(b, leaf, "/low_column")), GX_DTYPE_F32, single, GX_INPUTS(low, axis));
    const gx_value *high_column = gx_graph_apply(g, "Unsqueeze", gx_builder_name(b, gx_builder_leaf(b, leaf, "/high_column")), GX_DTYPE_F32, single, GX_INPUTS(high, axis));
    gx_node *pairs = gx_graph_node(g, "Concat", gx_builder_name(b, gx_builder_leaf(b, leaf, "/pairs")), GX_INPUTS(low_column, high_column));
    gx_node_int(g, pairs, "axis", 2);
    return gx_node_output(g, pairs, NULL, GX_DTYPE_F32, GX_SHAPE(b->tokens, n, gx_dim_number(2)));
}

/* [tokens, count, width] of x, whose elements per token are at least count * width. */
static const gx_value *regroup(gx_builder *b, const char *leaf, const gx_value *x, uint64_t count, uint64_t width)
{
    const gx_value *shape =
        gx_graph_int64_list(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "_shape")), 3, (const int64_t[]){-1, (int64_t)count, (int64_t)width});
    return gx_builder_reshape(b, leaf, x, shape, GX_SHAPE(b->tokens, gx_dim_number(count), gx_dim_number(width)));
}

/* The first `count` of the last axis. */
static const gx_value *first(gx_builder *b, const char *leaf, const gx_value *x, uint64_t count)
{
    gx_graph *g = b->graph;
    if (g->failed)
        return x;
    const int64_t last[1] = {(int64_t)x->shape.rank - 1};
    const gx_value *start = gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/start")), 1, (const int64_t[]){0});
    const gx_value *end = gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/end")), 1, (const int64_t[]){(int64_t)count});
    const gx_value *axis = gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/axis")), 1, last);
    gx_shape shape = x->shape;
    shape.dims[shape.rank - 1] = gx_dim_number(count);
    return gx_graph_apply(g, "Slice", gx_builder_name(b, leaf), x->dtype, shape, GX_INPUTS(x, start, end, axis));
}

/* [tokens, blocks, 1], or a scalar. */
static const gx_value *block_zero_points(gx_builder *b, const lookup *l, uint64_t blocks)
{
    const gx_scheme *scheme = l->scheme;
    const uint64_t nbytes = (blocks * scheme->bits + 7) / 8;
    if (!scheme->zero_points) /* the middle of the range */
        return gx_graph_float(b->graph, gx_builder_name(b, "zero_point"), (double)(1u << (scheme->bits - 1)));
    const gx_value *packed = gather(b, "zero_points", l, GX_PART_ZERO_POINTS, GX_DTYPE_U8, nbytes);
    if (scheme->bits == 8)
        return regroup(b, "zero_points_3d", gx_builder_cast(b, "zero_points_fp32", packed, GX_DTYPE_F32), l->count * blocks, 1);
    const gx_value *all = regroup(b, "zero_points_3d", unpack_nibbles(b, "zero_points", packed, l->count * nbytes), l->count, nbytes * 2);
    const gx_value *used = blocks % 2 == 0 ? all : first(b, "zero_points_used", all, blocks);
    return regroup(b, "zero_points_blocks", used, l->count * blocks, 1);
}

static const gx_value *block_rows(gx_builder *b, const lookup *l)
{
    const gx_scheme *scheme = l->scheme;
    const uint64_t blocks = gx_scheme_blocks(scheme, l->columns), padded = blocks * scheme->block_size, all = l->count * blocks;
    const gx_value *packed = gather(b, "rows", l, GX_PART_VALUES, GX_DTYPE_U8, padded * scheme->bits / 8);
    const gx_value *scales = gather(b, "scales", l, GX_PART_SCALES, scheme->dtype, blocks);
    scales = regroup(b, "scales_3d", gx_builder_cast(b, "scales_fp32", scales, GX_DTYPE_F32), all, 1);
    const gx_value *codes = scheme->bits == 8 ? gx_builder_cast(b, "rows_fp32", packed, GX_DTYPE_F32)
                                              : unpack_nibbles(b, "rows", packed, l->count * padded / 2);
    codes = regroup(b, "blocks", codes, all, scheme->block_size);
    const gx_value *centred = gx_builder_binary(b, "Sub", "centred", codes, block_zero_points(b, l, blocks));
    const gx_value *scaled = gx_builder_binary(b, "Mul", "scaled", centred, scales);
    if (padded != l->columns)
        scaled = first(b, "used", regroup(b, "padded", scaled, l->count, padded), l->columns);
    return gx_builder_reshape_to(b, "flat", scaled, GX_SHAPE(b->tokens, gx_dim_number(l->count * l->columns)));
}

static const gx_value *row_int8_rows(gx_builder *b, const lookup *l)
{
    const gx_value *rows = gather(b, "rows", l, GX_PART_VALUES, GX_DTYPE_I8, l->columns);
    const gx_value *wide = gx_builder_cast(b, "rows_fp32", rows, GX_DTYPE_F32);
    const gx_value *scales = gx_builder_cast(b, "scales_fp32", gather(b, "scales", l, GX_PART_SCALES, l->scheme->dtype, 1), GX_DTYPE_F32);
    if (l->count == 1)
        return gx_builder_binary(b, "Mul", "scaled", wide, scales);
    const gx_value *scaled = gx_builder_binary(b, "Mul", "scaled", regroup(b, "rows_3d", wide, l->count, l->columns), regroup(b, "scales_3d", scales, l->count, 1));
    return gx_builder_reshape_to(b, "flat", scaled, GX_SHAPE(b->tokens, gx_dim_number(l->count * l->columns)));
}

/* The matrix is stored [columns, rows], uint8 around 128, as the integer product wants it: gather columns, then turn them. */
static const gx_value *transposed_int8_rows(gx_builder *b, const lookup *l)
{
    gx_graph *g = b->graph;
    const gx_dim columns = gx_dim_number(l->columns);
    const gx_value *table = gx_graph_stored_value(g, gx_builder_name(b, "rows_table"), l->stored[0], GX_PART_VALUES, GX_DTYPE_U8,
                                                  GX_SHAPE(columns, gx_dim_number(l->rows)));
    gx_node *node = gx_graph_node(g, "Gather", gx_builder_name(b, "columns"), GX_INPUTS(table, l->ids));
    gx_node_int(g, node, "axis", 1);
    const gx_value *gathered = gx_node_output(g, node, NULL, GX_DTYPE_U8, GX_SHAPE(columns, b->tokens));
    const gx_value *wide = gx_builder_cast(b, "columns_fp32", gathered, GX_DTYPE_F32);
    node = gx_graph_node(g, "Transpose", gx_builder_name(b, "rows"), GX_INPUTS(wide));
    gx_node_ints(g, node, "perm", 2, (const int64_t[]){1, 0});
    const gx_value *rows = gx_node_output(g, node, NULL, GX_DTYPE_F32, GX_SHAPE(b->tokens, columns));
    const gx_value *middle = gx_graph_float(g, gx_builder_name(b, "middle"), 128);
    const gx_value *centred = gx_builder_binary(b, "Sub", "centred", rows, middle);
    return gx_builder_binary(b, "Mul", "scaled", centred, gather(b, "scales", l, GX_PART_SCALES, GX_DTYPE_F32, 1));
}

static const gx_value *int8_rows(gx_builder *b, const lookup *l)
{
    return l->scheme->transposed ? transposed_int8_rows(b, l) : row_int8_rows(b, l);
}

static const gx_value *(*const lookups[])(gx_builder *, const lookup *) = {
    [GX_SCHEME_FLOAT] = float_rows,
    [GX_SCHEME_BLOCK] = block_rows,
    [GX_SCHEME_ROW_INT8] = int8_rows,
};

const gx_value *gx_block_lookup(gx_builder *b, const gx_value *ids, gx_stored *const *stored, unsigned stored_count)
{
    if (b->graph->failed)
        return ids;
    const gx_recipe *recipe = &stored[0]->recipe;
    const lookup l = {.ids = ids, .stored = stored, .count = stored_count, .scheme = &stored[0]->scheme, .rows = gx_recipe_rows(recipe), .columns = gx_recipe_columns(recipe)};
    return lookups[l.scheme->kind](b, &l);
}

const gx_value *gx_block_flat_ids(gx_builder *b, const gx_value *input_ids)
{
    const gx_value *flat_shape = gx_graph_int64_list(b->graph, gx_builder_name(b, "ids_shape"), 1, (const int64_t[]){-1});
    return gx_builder_reshape(b, "ids", input_ids, flat_shape, GX_SHAPE(b->tokens));
}

const gx_value *gx_block_embedding(gx_builder *b, const gx_value *ids, double multiply)
{
    const gx_recipe recipe = {.sources = {&b->model->weights[GX_ROLE_EMBEDDING]}, .source_count = 1, .multiply = 1, .importance = gx_builder_head_importance(b)};
    const gx_quant_role role = gx_builder_has_caches(b) ? GX_QUANT_ROLE_EMBEDDING : GX_QUANT_ROLE_LOOKUP;
    gx_stored *stored = gx_builder_store(b, gx_builder_name(b, "embed_tokens"), &recipe, role);
    const gx_value *rows = gx_block_lookup(b, ids, &stored, 1);
    const gx_value *multiplier = gx_graph_float(b->graph, gx_builder_name(b, "multiplier"), b->model->embedding_multiplier * multiply);
    return gx_builder_binary(b, "Mul", "multiplied", rows, multiplier);
}
