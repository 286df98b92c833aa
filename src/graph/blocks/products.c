/*
 * How each scheme's weight is multiplied in ONNX Runtime's own way. A weight is always [out, in] as in the checkpoint.
 */
#include "graph/builder.h"

const char *gx_product_part(gx_builder *b, const gx_product *p, const char *part)
{
    return gx_builder_leaf(b, gx_builder_leaf(b, p->name, "."), part);
}

const gx_value *gx_product_gemm(gx_builder *b, const gx_product *p, const gx_value *weight)
{
    gx_node *node = gx_graph_node(b->graph, "Gemm", gx_builder_name(b, p->leaf), GX_INPUTS(p->x, weight));
    gx_node_int(b->graph, node, "transB", 1);
    return gx_node_output(b->graph, node, NULL, p->x->dtype, p->result);
}

const gx_value *gx_float_weight(gx_builder *b, const gx_product *p)
{
    const gx_shape shape = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(p->in));
    return gx_graph_stored_value(b->graph, gx_product_part(b, p, "weight"), p->stored, GX_PART_VALUES, p->stored->scheme.dtype, shape);
}

/* Weight and activation may differ in type (an embedding kept in more or fewer bits than the rest): the wider one decides. */
const gx_value *gx_float_product(gx_builder *b, const gx_product *p)
{
    const gx_dtype stored = p->stored->scheme.dtype, wider = stored == GX_DTYPE_F32 ? stored : p->x->dtype;
    const gx_value *weight = gx_float_weight(b, p);
    gx_product wide = *p;
    wide.x = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/x_fp32"), p->x, wider);
    return gx_product_gemm(b, &wide, gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/weight_fp32"), weight, wider)); /* the weight's is folded when the session opens */
}

/* MatMulNBits: blocks along `in`, packed low nibble first; scales and packed zero points per block. */
const gx_value *gx_block_nbits_product(gx_builder *b, const gx_product *p)
{
    gx_graph *g = b->graph;
    const gx_scheme *scheme = &p->stored->scheme;
    const uint64_t blocks = gx_scheme_blocks(scheme, p->in);
    const gx_dim out = gx_dim_number(p->out);
    const gx_value *values =
        gx_graph_stored_value(g, gx_product_part(b, p, "weight_packed"), p->stored, GX_PART_VALUES, GX_DTYPE_U8,
                              GX_SHAPE(out, gx_dim_number(blocks), gx_dim_number(scheme->block_size * scheme->bits / 8)));
    const gx_value *scales = gx_graph_stored_value(g, gx_product_part(b, p, "weight_scales"), p->stored, GX_PART_SCALES, scheme->dtype,
                                                   GX_SHAPE(out, gx_dim_number(blocks)));
    scales = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/scales_cast"), scales, p->x->dtype); /* folded when the session opens */
    const gx_value *zero_points = NULL;
    if (scheme->zero_points)
        zero_points = gx_graph_stored_value(g, gx_product_part(b, p, "weight_zero_points"), p->stored, GX_PART_ZERO_POINTS, GX_DTYPE_U8,
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

/* int8 rows that unfold to fp32 when the session opens (constant folding): the bytes of int8, the speed of fp32. The scales come behind the
 * product: put into the weight, they would be a second copy of it while the session opens, which WebAssembly's heap never gives back. */
static const gx_value *unfolding_product(gx_builder *b, const gx_product *p)
{
    gx_graph *g = b->graph;
    const gx_shape shape = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(p->in));
    const gx_value *values = gx_graph_stored_value(g, gx_product_part(b, p, "weight_int8"), p->stored, GX_PART_VALUES, GX_DTYPE_I8, shape);
    const gx_value *scales = gx_graph_stored_value(g, gx_product_part(b, p, "weight_scales"), p->stored, GX_PART_SCALES, GX_DTYPE_F32,
                                                   GX_SHAPE(gx_dim_number(p->out)));
    gx_product plain = *p;
    plain.leaf = gx_builder_leaf(b, p->leaf, "/plain");
    const gx_value *product = gx_product_gemm(b, &plain, gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/unfold"), values, GX_DTYPE_F32));
    return gx_builder_binary(b, "Mul", p->leaf, product, scales);
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
static const gx_value *integer_product(gx_builder *b, const gx_product *p)
{
    gx_graph *g = b->graph;
    const quantised x = quantise_rows(b, gx_builder_leaf(b, p->leaf, "/input"), p->x);
    const gx_value *values = gx_graph_stored_value(g, gx_product_part(b, p, "weight_uint8"), p->stored, GX_PART_VALUES, GX_DTYPE_U8,
                                                   GX_SHAPE(gx_dim_number(p->in), gx_dim_number(p->out)));
    const gx_value *scales = gx_graph_stored_value(g, gx_product_part(b, p, "weight_scales"), p->stored, GX_PART_SCALES, GX_DTYPE_F32,
                                                   GX_SHAPE(gx_dim_number(p->out)));
    const gx_value *sum = gx_graph_apply(g, "MatMulInteger", gx_builder_name(b, gx_builder_leaf(b, p->leaf, "/integer")), GX_DTYPE_I32, p->result,
                                         GX_INPUTS(x.codes, values, x.zero_point, x.zero_point));
    const gx_value *wide = gx_builder_cast(b, gx_builder_leaf(b, p->leaf, "/cast"), sum, GX_DTYPE_F32);
    const gx_value *row_scaled = gx_builder_binary(b, "Mul", gx_builder_leaf(b, p->leaf, "/row_scaled"), wide, x.scales);
    return gx_builder_binary(b, "Mul", p->leaf, row_scaled, scales);
}

const gx_value *gx_row_int8_product(gx_builder *b, const gx_product *p)
{
    return p->stored->scheme.transposed ? integer_product(b, p) : unfolding_product(b, p);
}
