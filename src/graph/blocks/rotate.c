/* Rotation of q and k by their positions' angles: pairs are (i, i + head_dim / 2). */
#include "graph/builder.h"

static const gx_value *rotary_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t num_heads)
{
    const gx_rope_values *rope = gx_builder_rope(b, layer);
    gx_node *node = gx_graph_node(b->graph, "RotaryEmbedding", gx_builder_name(b, leaf), GX_INPUTS(x, rope->cos, rope->sin));
    if (num_heads)
        gx_node_int(b->graph, node, "num_heads", num_heads);
    return gx_node_output(b->graph, node, NULL, x->dtype, x->shape);
}

/* x: [batch, sequence, heads * head_dim] */
const gx_value *gx_rotate_rows_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads)
{
    return rotary_operator(b, leaf, x, layer, heads);
}

/* x: [batch, heads, sequence, head_dim] */
const gx_value *gx_rotate_heads_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads)
{
    (void)heads;
    return rotary_operator(b, leaf, x, layer, 0);
}

/* [batch, 1, sequence, head_dim / 2], the same for all heads. */
static const gx_value *for_all_heads(gx_builder *b, const char *leaf, const gx_value *x)
{
    return gx_builder_reshape_to(b, leaf, x, GX_SHAPE(x->shape.dims[0], gx_dim_number(1), x->shape.dims[1], x->shape.dims[2]));
}

const gx_value *gx_rotate_heads_primitives(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads)
{
    (void)heads;
    const gx_rope_values *rope = gx_builder_rope(b, layer);
    const gx_value *cos = for_all_heads(b, gx_builder_leaf(b, leaf, "/cos"), rope->cos);
    const gx_value *sin = for_all_heads(b, gx_builder_leaf(b, leaf, "/sin"), rope->sin);
    const uint64_t half = layer->head_dim / 2;
    const gx_value *parts[2];
    gx_builder_split(b, gx_builder_leaf(b, leaf, "/halves"), x, 2, (const uint64_t[]){half, half}, parts);
    const gx_value *first_cos = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/first_cos"), parts[0], cos);
    const gx_value *second_sin = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/second_sin"), parts[1], sin);
    const gx_value *second_cos = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/second_cos"), parts[1], cos);
    const gx_value *first_sin = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/first_sin"), parts[0], sin);
    const gx_value *first = gx_builder_binary(b, "Sub", gx_builder_leaf(b, leaf, "/first"), first_cos, second_sin);
    const gx_value *second = gx_builder_binary(b, "Add", gx_builder_leaf(b, leaf, "/second"), second_cos, first_sin);
    return gx_builder_concat(b, leaf, first, second, x->shape.rank - 1);
}
