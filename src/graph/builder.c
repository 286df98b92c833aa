/* Names and the shorthands that every block uses. */
#include <stdarg.h>
#include <stdio.h>

#include "graph/builder.h"

void gx_builder_set_scope(gx_builder *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(b->scope, sizeof b->scope, format, arguments);
    va_end(arguments);
}

const char *gx_builder_name(gx_builder *b, const char *leaf)
{
    const char *name = b->graph->failed ? NULL : gx_arena_printf(b->graph->arena, "%s/%s", b->scope, leaf);
    b->graph->failed = name == NULL;
    return name ? name : "";
}

const char *gx_builder_leaf(gx_builder *b, const char *leaf, const char *suffix)
{
    const char *name = b->graph->failed ? NULL : gx_arena_printf(b->graph->arena, "%s%s", leaf, suffix);
    b->graph->failed = name == NULL;
    return name ? name : "";
}

void gx_builder_needs_onnxruntime(gx_builder *b, unsigned minor)
{
    if (b->onnxruntime < minor)
        b->onnxruntime = minor;
}

const gx_value *gx_builder_cast(gx_builder *b, const char *leaf, const gx_value *x, gx_dtype dtype)
{
    if (x->dtype == dtype)
        return x;
    gx_node *node = gx_graph_node(b->graph, "Cast", gx_builder_name(b, leaf), GX_INPUTS(x));
    gx_node_int(b->graph, node, "to", gx_dtype_get(dtype)->onnx_type);
    return gx_node_output(b->graph, node, NULL, dtype, x->shape);
}

const gx_value *gx_builder_reshape(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *shape, gx_shape result)
{
    return gx_graph_apply(b->graph, "Reshape", gx_builder_name(b, leaf), x->dtype, result, GX_INPUTS(x, shape));
}

const gx_value *gx_builder_binary(gx_builder *b, const char *op_type, const char *leaf, const gx_value *x, const gx_value *y)
{
    return gx_graph_apply(b->graph, op_type, gx_builder_name(b, leaf), x->dtype, x->shape, GX_INPUTS(x, y));
}

const gx_value *gx_builder_unary(gx_builder *b, const char *op_type, const char *leaf, const gx_value *x)
{
    return gx_graph_apply(b->graph, op_type, gx_builder_name(b, leaf), x->dtype, x->shape, GX_INPUTS(x));
}

const gx_value *gx_builder_transpose(gx_builder *b, const char *leaf, const gx_value *x, const int64_t *order)
{
    gx_shape shape = x->shape;
    for (unsigned i = 0; i < shape.rank; i++)
        shape.dims[i] = x->shape.dims[order[i]];
    gx_node *node = gx_graph_node(b->graph, "Transpose", gx_builder_name(b, leaf), GX_INPUTS(x));
    gx_node_ints(b->graph, node, "perm", shape.rank, order);
    return gx_node_output(b->graph, node, NULL, x->dtype, shape);
}

const gx_value *gx_builder_concat(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *y, unsigned axis)
{
    if (b->graph->failed) /* values then have no dimensions */
        return x;
    gx_shape shape = x->shape;
    shape.dims[axis].number += y->shape.dims[axis].number;
    gx_node *node = gx_graph_node(b->graph, "Concat", gx_builder_name(b, leaf), GX_INPUTS(x, y));
    gx_node_int(b->graph, node, "axis", axis);
    return gx_node_output(b->graph, node, NULL, x->dtype, shape);
}

void gx_builder_split(gx_builder *b, const char *leaf, const gx_value *x, unsigned count, const uint64_t *widths, const gx_value **parts)
{
    int64_t numbers[GX_NODE_MAX_OUTPUTS];
    gx_shape shape = x->shape;
    for (unsigned i = 0; i < count; i++)
        parts[i] = x;
    if (b->graph->failed)
        return;
    for (unsigned i = 0; i < count; i++)
        numbers[i] = (int64_t)widths[i];
    const gx_value *sizes = gx_graph_int64_list(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "_widths")), count, numbers);
    gx_node *node = gx_graph_node(b->graph, "Split", gx_builder_name(b, leaf), GX_INPUTS(x, sizes));
    gx_node_int(b->graph, node, "axis", (int64_t)shape.rank - 1);
    for (unsigned i = 0; i < count; i++) {
        shape.dims[shape.rank - 1] = gx_dim_number(widths[i]);
        parts[i] = gx_node_output(b->graph, node, NULL, x->dtype, shape);
    }
}

/* Until opset 17 the axes are an attribute. */
const gx_value *gx_builder_mean_of_last(gx_builder *b, const char *leaf, const gx_value *x)
{
    gx_graph *g = b->graph;
    if (g->failed)
        return x;
    const int64_t axes[1] = {(int64_t)x->shape.rank - 1};
    const gx_value *axes_value = g->opset < 18 ? NULL : gx_graph_int64_list(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "_axes")), 1, axes);
    gx_node *node = gx_graph_node(g, "ReduceMean", gx_builder_name(b, leaf), GX_INPUTS(x, axes_value));
    if (!axes_value)
        gx_node_ints(g, node, "axes", 1, axes);
    gx_node_int(g, node, "keepdims", 1);
    gx_shape shape = x->shape;
    shape.dims[shape.rank - 1] = gx_dim_number(1);
    return gx_node_output(g, node, NULL, x->dtype, shape);
}

const gx_value *gx_builder_dimension(gx_builder *b, const char *leaf, const gx_value *x, int64_t axis)
{
    gx_node *node = gx_graph_node(b->graph, "Shape", gx_builder_name(b, leaf), GX_INPUTS(x));
    gx_node_int(b->graph, node, "start", axis);
    gx_node_int(b->graph, node, "end", axis + 1);
    return gx_node_output(b->graph, node, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(1)));
}

const gx_value *gx_builder_scalar(gx_builder *b, const char *leaf, const gx_value *x)
{
    const int64_t no_dims[1] = {0};
    const gx_value *shape = gx_graph_constant(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "/shape")), GX_DTYPE_I64, GX_SHAPE(gx_dim_number(0)), no_dims, 0);
    return gx_builder_reshape(b, leaf, x, shape, gx_shape_scalar);
}
