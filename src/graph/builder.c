/* Names and the shorthands that every block uses. */
#include "graph/builder.h"

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
