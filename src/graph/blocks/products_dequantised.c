/*
 * DequantizeLinear in front of Gemm: the form in which compilers for accelerators take quantised weights. The bytes are those
 * that MatMulNBits reads: codes along a row two to a byte, low nibble first.
 */
#include <string.h>

#include "graph/builder.h"

/* Codes around the middle of their range, where the scheme has no zero points of its own; weights of one shape share it. */
static const gx_value *middles(gx_builder *b, const gx_product *p, gx_dtype dtype, uint64_t blocks)
{
    gx_graph *g = b->graph;
    const bool nibbles = dtype == GX_DTYPE_U4;
    const uint64_t count = p->out * blocks, nbytes = nibbles ? gx_ceil_div(count, 2) : count;
    const char *name = g->failed ? NULL : gx_arena_printf(g->arena, "zero_points.%llu.%llu.%s", (unsigned long long)p->out, (unsigned long long)blocks, gx_dtype_get(dtype)->name);
    g->failed = !name;
    for (const gx_initializer *i = g->initializers; !g->failed && i; i = i->next)
        if (strcmp(i->value.name, name) == 0)
            return &i->value;
    uint8_t *codes = g->failed ? NULL : gx_arena_alloc(g->arena, nbytes, 1);
    g->failed = !codes;
    if (g->failed)
        return p->x;
    memset(codes, nibbles ? 0x88 : 0x80, nbytes);
    return gx_graph_constant(g, name, dtype, GX_SHAPE(gx_dim_number(p->out), gx_dim_number(blocks)), codes, nbytes);
}

/* The first `columns` of each row: codes fill their last block, activations do not. */
static const gx_value *cut_columns(gx_builder *b, const char *leaf, const gx_value *x, uint64_t columns)
{
    if ((uint64_t)x->shape.dims[1].number == columns)
        return x;
    const uint64_t widths[2] = {columns, (uint64_t)x->shape.dims[1].number - columns};
    const gx_value *parts[2];
    gx_builder_split(b, leaf, x, 2, widths, parts);
    return parts[0];
}

const gx_value *gx_dequantised_blocks(gx_builder *b, const gx_product *p)
{
    gx_graph *g = b->graph;
    const gx_scheme *scheme = &p->stored->scheme;
    const gx_dtype dtype = scheme->bits == 4 ? GX_DTYPE_U4 : GX_DTYPE_U8;
    const uint64_t blocks = gx_scheme_blocks(scheme, p->in);
    const gx_shape grid = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(blocks));
    const gx_shape padded = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(blocks * scheme->block_size));
    const gx_value *codes = gx_graph_stored_value(g, gx_product_part(b, p, "weight_codes"), p->stored, GX_PART_VALUES, dtype, padded);
    const gx_value *scales = gx_graph_stored_value(g, gx_product_part(b, p, "weight_scales"), p->stored, GX_PART_SCALES, scheme->dtype, grid);
    const gx_value *zero_points = scheme->zero_points ? gx_graph_stored_value(g, gx_product_part(b, p, "weight_zero_points"), p->stored, GX_PART_ZERO_POINTS, dtype, grid)
                                                      : middles(b, p, dtype, blocks);
    gx_node *node = gx_graph_node(g, "DequantizeLinear", gx_builder_name(b, gx_builder_leaf(b, p->leaf, "/weight")), GX_INPUTS(codes, scales, zero_points));
    gx_node_int(g, node, "axis", 1);
    gx_node_int(g, node, "block_size", scheme->block_size);
    const gx_value *weight = gx_node_output(g, node, NULL, scheme->dtype, padded);
    return cut_columns(b, gx_builder_leaf(b, p->leaf, "/weight_used"), weight, p->in);
}

const gx_value *gx_dequantised_blocks_product(gx_builder *b, const gx_product *p)
{
    return gx_product_gemm(b, p, gx_dequantised_blocks(b, p));
}

const gx_value *gx_dequantised_rows(gx_builder *b, const gx_product *p)
{
    gx_graph *g = b->graph;
    const gx_shape shape = GX_SHAPE(gx_dim_number(p->out), gx_dim_number(p->in));
    const gx_value *codes = gx_graph_stored_value(g, gx_product_part(b, p, "weight_codes"), p->stored, GX_PART_VALUES, GX_DTYPE_I8, shape);
    const gx_value *scales = gx_graph_stored_value(g, gx_product_part(b, p, "weight_scales"), p->stored, GX_PART_SCALES, p->stored->scheme.dtype, GX_SHAPE(gx_dim_number(p->out)));
    gx_node *node = gx_graph_node(g, "DequantizeLinear", gx_builder_name(b, gx_builder_leaf(b, p->leaf, "/weight")), GX_INPUTS(codes, scales));
    gx_node_int(g, node, "axis", 0);
    return gx_node_output(g, node, NULL, p->stored->scheme.dtype, shape);
}

const gx_value *gx_dequantised_rows_product(gx_builder *b, const gx_product *p)
{
    return gx_product_gemm(b, p, gx_dequantised_rows(b, p));
}
