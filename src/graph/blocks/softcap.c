/* The smooth limit on logits, and in some families on attention scores. */
#include "graph/builder.h"

const gx_value *gx_block_softcap(gx_builder *b, const char *leaf, const gx_value *x, double cap)
{
    gx_graph *g = b->graph;
    const gx_value *down = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/inverse")), 1.0 / cap);
    const gx_value *up = gx_graph_float(g, gx_builder_name(b, gx_builder_leaf(b, leaf, "/cap")), cap);
    const gx_value *small = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/down"), x, down);
    return gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/up"), gx_builder_unary(b, "Tanh", gx_builder_leaf(b, leaf, "/tanh"), small), up);
}
