/* How a call's keys and values come into a cache: appended to what grows, or put into the slots of what is fixed. Written to the
 * buffer that it was read from, a fixed cache is updated in place. */
#include "graph/builder.h"

/* TensorScatter: from the kind's first slot on. */
const gx_value *gx_scatter_rows(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows)
{
    gx_graph *g = b->graph;
    const gx_value *past = gx_builder_past(b, layer, number, what);
    gx_node *node = gx_graph_node(g, "TensorScatter", gx_builder_name(b, gx_builder_leaf(b, what, "_cache")), GX_INPUTS(past, rows, kind->slots));
    gx_node_string(g, node, "mode", kind->ring ? "circular" : "linear"); /* along the default axis, -2: tinygrad knows no other */
    gx_builder_needs_onnxruntime(b, 25);
    return gx_builder_present(b, node, layer, number, what);
}

/* ScatterND: to the kind's places. */
const gx_value *gx_scatter_elements(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows)
{
    const gx_value *past = gx_builder_past(b, layer, number, what);
    gx_node *node = gx_graph_node(b->graph, "ScatterND", gx_builder_name(b, gx_builder_leaf(b, what, "_cache")), GX_INPUTS(past, kind->slots, rows));
    return gx_builder_present(b, node, layer, number, what);
}

const gx_value *gx_append_rows(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows)
{
    (void)kind;
    const gx_value *past = gx_builder_past(b, layer, number, what);
    gx_node *node = gx_graph_node(b->graph, "Concat", gx_builder_name(b, gx_builder_leaf(b, what, "_cache")), GX_INPUTS(past, rows));
    gx_node_int(b->graph, node, "axis", 2);
    return gx_builder_present(b, node, layer, number, what);
}
