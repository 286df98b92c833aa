/*
 * Products with a weight, and how each scheme says them in ONNX: one row of a table per kind of scheme. A weight is
 * always [out, in] as in the checkpoint.
 */
#include "graph/builder.h"

typedef struct product {
    const char *leaf;
    const char *name; /* of the weight's initializers */
    const gx_value *x; /* [rows, in] */
    gx_stored *stored;
    uint64_t in, out;
    gx_shape result;
} product;

static const char *part_name(gx_builder *b, const product *p, const char *part)
{
    const char *name = b->graph->failed ? NULL : gx_arena_printf(b->graph->arena, "%s.%s", p->name, part);
    b->graph->failed = name == NULL;
    return name ? name : "";
}

static const gx_value *gemm(gx_builder *b, const product *p, const gx_value *weight)
{
    gx_node *node = gx_graph_node(b->graph, "Gemm", gx_builder_name(b, p->leaf), GX_INPUTS(p->x, weight));
    gx_node_int(b->graph, node, "transB", 1);
    return gx_node_output(b->graph, node, NULL, p->x->dtype, p->result);
}

/* Weight and activation may differ in type (an embedding kept in more or fewer bits than the rest): the wider one decides. */
static const gx_value *float_product(gx_builder *b, const product *p)
{
    const gx_shape shape = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(p->in));
    const gx_dtype stored = p->stored->scheme.dtype, wider = stored == GX_DTYPE_F32 ? stored : p->x->dtype;
    const gx_value *weight = gx_graph_stored_value(b->graph, part_name(b, p, "weight"), p->stored, GX_PART_VALUES, stored, shape);
    product wide = *p;
    wide.x = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/x_fp32"), p->x, wider);
    return gemm(b, &wide, gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/weight_fp32"), weight, wider)); /* the weight's is folded when the session opens */
}

/* MatMulNBits: blocks along `in`, packed low nibble first; scales and packed zero points per block. */
static const gx_value *block_product(gx_builder *b, const product *p)
{
    gx_graph *g = b->graph;
    const gx_scheme *scheme = &p->stored->scheme;
    const uint64_t blocks = (p->in + scheme->block_size - 1) / scheme->block_size;
    const gx_dim out = gx_dim_number(p->out);
    const gx_value *values =
        gx_graph_stored_value(g, part_name(b, p, "weight_packed"), p->stored, GX_PART_VALUES, GX_DTYPE_U8,
                              GX_SHAPE(out, gx_dim_number(blocks), gx_dim_number(scheme->block_size * scheme->bits / 8)));
    const gx_value *scales = gx_graph_stored_value(g, part_name(b, p, "weight_scales"), p->stored, GX_PART_SCALES, scheme->dtype,
                                                   GX_SHAPE(out, gx_dim_number(blocks)));
    scales = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/scales_cast"), scales, p->x->dtype); /* folded when the session opens */
    const gx_value *zero_points = NULL;
    if (scheme->zero_points)
        zero_points = gx_graph_stored_value(g, part_name(b, p, "weight_zero_points"), p->stored, GX_PART_ZERO_POINTS, GX_DTYPE_U8,
                                            GX_SHAPE(out, gx_dim_number((blocks * scheme->bits + 7) / 8)));
    gx_node *node = gx_graph_node(g, "com.microsoft:MatMulNBits", gx_builder_name(b, p->leaf), scheme->zero_points ? 4 : 3,
                                  (const gx_value *[]){p->x, values, scales, zero_points});
    gx_node_int(g, node, "K", (int64_t)p->in);
    gx_node_int(g, node, "N", (int64_t)p->out);
    gx_node_int(g, node, "bits", scheme->bits);
    gx_node_int(g, node, "block_size", scheme->block_size);
    gx_node_int(g, node, "accuracy_level", b->options->accuracy_level);
    return gx_node_output(g, node, NULL, p->x->dtype, p->result);
}

/* int8 rows that unfold to fp32 when the session opens (constant folding): the bytes of int8, the speed of fp32. */
static const gx_value *unfolding_product(gx_builder *b, const product *p)
{
    gx_graph *g = b->graph;
    const gx_shape shape = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(p->in));
    const gx_value *values = gx_graph_stored_value(g, part_name(b, p, "weight_int8"), p->stored, GX_PART_VALUES, GX_DTYPE_I8, shape);
    const gx_value *scales = gx_graph_stored_value(g, part_name(b, p, "weight_scales"), p->stored, GX_PART_SCALES, GX_DTYPE_F32,
                                                   GX_SHAPE(gx_dim_number(p->out), gx_dim_number(1)));
    const gx_value *wide = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/unfold"), values, GX_DTYPE_F32);
    return gemm(b, p, gx_builder_binary(b, "Mul", gx_builder_leaf(b, p->leaf, "/scale"), wide, scales));
}

typedef struct quantised {
    const gx_value *codes;      /* uint8 [rows, in], around 128 */
    const gx_value *scales;     /* fp32 [rows, 1] */
    const gx_value *zero_point; /* uint8 scalar: 128 */
} quantised;

/* Row by row, not as a whole: the rows of a batch do not see each other. */
static quantised quantise_rows(gx_builder *b, const char *leaf, const gx_value *x)
{
    gx_graph *g = b->graph;
    const gx_shape column = GX_SHAPE(x->shape.dims[0], gx_dim_number(1));
    const gx_value *magnitude = gx_graph_apply(g, "Abs", gx_builder_name(b, gx_builder_leaf(b, leaf, "/abs")), GX_DTYPE_F32, x->shape, GX_INPUTS(x));
    const gx_value *axis = gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/axis")), 1, (const int64_t[]){1});
    const gx_value *largest = gx_graph_apply(g, "ReduceMax", gx_builder_name(b, gx_builder_leaf(b, leaf, "/largest")), GX_DTYPE_F32, column, GX_INPUTS(magnitude, axis));
    const gx_value *least = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/least")), 1e-30);
    const gx_value *positive = gx_builder_binary(b, "Max", gx_builder_leaf(b, leaf, "/positive"), largest, least);
    const gx_value *step = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/step")), 1.0 / 127);
    quantised result = {.scales = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/scales"), positive, step)};
    const gx_value *scaled = gx_builder_binary(b, "Div", gx_builder_leaf(b, leaf, "/scaled"), x, result.scales);
    const gx_value *rounded = gx_graph_apply(g, "Round", gx_builder_name(b, gx_builder_leaf(b, leaf, "/rounded")), GX_DTYPE_F32, x->shape, GX_INPUTS(scaled));
    const gx_value *middle = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/middle")), 128);
    const gx_value *shifted = gx_builder_binary(b, "Add", gx_builder_leaf(b, leaf, "/shifted"), rounded, middle);
    result.codes = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/codes"), shifted, GX_DTYPE_U8);
    const uint8_t zero_point = 128;
    result.zero_point = gx_graph_constant(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/zero_point")), GX_DTYPE_U8, gx_shape_scalar, &zero_point, 1);
    return result;
}

/* Integer product with a matrix stored [in, out], both sides uint8 around 128: with signed weights, processors without
 * 8-bit dot products saturate their 16-bit sums. */
static const gx_value *integer_product(gx_builder *b, const product *p)
{
    gx_graph *g = b->graph;
    const quantised x = quantise_rows(b, gx_builder_leaf(b, p->leaf, "/input"), p->x);
    const gx_value *values = gx_graph_stored_value(g, part_name(b, p, "weight_uint8"), p->stored, GX_PART_VALUES, GX_DTYPE_U8,
                                                   GX_SHAPE(gx_dim_number(p->in), gx_dim_number(p->out)));
    const gx_value *scales = gx_graph_stored_value(g, part_name(b, p, "weight_scales"), p->stored, GX_PART_SCALES, GX_DTYPE_F32,
                                                   GX_SHAPE(gx_dim_number(p->out)));
    const gx_value *sum = gx_graph_apply(g, "MatMulInteger", gx_builder_name(b, gx_builder_leaf(b, p->leaf, "/integer")), GX_DTYPE_I32, p->result,
                                         GX_INPUTS(x.codes, values, x.zero_point, x.zero_point));
    const gx_value *wide = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/cast"), sum, GX_DTYPE_F32);
    const gx_value *row_scaled = gx_builder_binary(b, "Mul", gx_builder_leaf(b, p->leaf, "/row_scaled"), wide, x.scales);
    return gx_builder_binary(b, "Mul", p->leaf, row_scaled, scales);
}

static const gx_value *row_int8_product(gx_builder *b, const product *p)
{
    return p->stored->scheme.transposed ? integer_product(b, p) : unfolding_product(b, p);
}

static const gx_value *(*const products[])(gx_builder *, const product *) = {
    [GX_SCHEME_FLOAT] = float_product,
    [GX_SCHEME_BLOCK] = block_product,
    [GX_SCHEME_ROW_INT8] = row_int8_product,
};

gx_stored *gx_builder_store(gx_builder *b, const char *name, const gx_recipe *recipe, gx_quant_role role)
{
    char rule[160];
    const gx_scheme scheme = gx_policy_select(b->options->policy, role, rule, sizeof rule);
    return gx_graph_store(b->graph, name, recipe, &scheme, rule);
}

const gx_value *gx_block_product(gx_builder *b, const char *leaf, const gx_value *x, gx_stored *stored)
{
    if (b->graph->failed)
        return x;
    const uint64_t rows = gx_recipe_rows(&stored->recipe);
    const product p = {.leaf = leaf,
                       .name = stored->name,
                       .x = x,
                       .stored = stored,
                       .in = gx_recipe_columns(&stored->recipe),
                       .out = rows,
                       .result = GX_SHAPE(x->shape.dims[0], gx_dim_number(rows))};
    return products[stored->scheme.kind](b, &p);
}

const gx_value *gx_block_linear(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *const *weights, unsigned weight_count,
                                gx_quant_role role, const gx_stream_reader *reader)
{
    gx_recipe recipe = {.source_count = weight_count, .multiply = 1};
    if (reader) {
        recipe.column_scales = reader->balance;
        recipe.importance = reader->importance;
    }
    for (unsigned i = 0; i < weight_count; i++)
        recipe.sources[i] = weights[i];
    return gx_block_product(b, leaf, x, gx_builder_store(b, gx_builder_name(b, leaf), &recipe, role));
}
