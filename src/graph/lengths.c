/*
 * Lengths that only a call knows, as values, and shapes made of them. Reshape is told every one: what is left to it (-1) or copied (0) an engine must
 * divide out of products of unknowns, which tract and OpenCV do not.
 */
#include <stdio.h>
#include <string.h>

#include "graph/builder.h"

void gx_builder_know_length(gx_builder *b, gx_dim dim, const gx_value *value)
{
    if (b->length_count == GX_MAX_LENGTHS)
        GX_BUG("more lengths than the builder holds");
    b->lengths[b->length_count++] = (gx_length){dim.symbol, value};
}

static const gx_value *length_called(const gx_builder *b, const char *symbol)
{
    for (unsigned i = 0; i < b->length_count; i++)
        if (strcmp(b->lengths[i].symbol, symbol) == 0)
            return b->lengths[i].value;
    return NULL;
}

gx_dim gx_builder_times_sequence(gx_builder *b, uint64_t factor)
{
    if (b->form)
        return gx_dim_number(factor * (uint64_t)b->sequence.number);
    if (factor == 1)
        return b->sequence;
    char leaf[32];
    snprintf(leaf, sizeof leaf, "sequence_times_%u", (unsigned)factor);
    const gx_dim dim = gx_dim_symbol(gx_builder_leaf(b, leaf, ""));
    if (!length_called(b, dim.symbol)) {
        const gx_value *number = gx_graph_int64_list(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "/factor")), 1, (const int64_t[]){(int64_t)factor});
        gx_builder_know_length(b, dim, gx_builder_binary(b, "Mul", leaf, b->sequence_1d, number));
    }
    return dim;
}

static bool same_shape(const gx_shape *a, const gx_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (unsigned i = 0; i < a->rank; i++) {
        const gx_dim x = a->dims[i], y = b->dims[i];
        if (x.number != y.number || !x.symbol != !y.symbol || (x.symbol && strcmp(x.symbol, y.symbol) != 0))
            return false;
    }
    return true;
}

const gx_value *gx_builder_shape_value(gx_builder *b, const char *leaf, gx_shape shape)
{
    const gx_value *parts[GX_GRAPH_MAX_RANK];
    for (unsigned i = 0; i < b->shape_count; i++)
        if (same_shape(&b->shapes[i].shape, &shape))
            return b->shapes[i].value;
    if (b->shape_count == GX_MAX_SHAPES)
        GX_BUG("more shapes than the builder holds");
    for (unsigned i = 0; i < shape.rank; i++) {
        char number[16];
        snprintf(number, sizeof number, "/%u", i);
        const gx_dim dim = shape.dims[i];
        parts[i] = dim.symbol ? length_called(b, dim.symbol)
                              : gx_graph_int64_list(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, number)), 1, (const int64_t[]){dim.number});
    }
    gx_node *node = gx_graph_node(b->graph, "Concat", gx_builder_name(b, leaf), shape.rank, parts);
    gx_node_int(b->graph, node, "axis", 0);
    const gx_value *value = gx_node_output(b->graph, node, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(shape.rank)));
    b->shapes[b->shape_count++] = (gx_shape_value){shape, value};
    return value;
}

/* To Reshape, -1 is what is left. */
const gx_value *gx_builder_reshape_to(gx_builder *b, const char *leaf, const gx_value *x, gx_shape shape)
{
    int64_t numbers[GX_GRAPH_MAX_RANK];
    unsigned symbols = 0;
    const char *shape_leaf = gx_builder_leaf(b, leaf, "_shape");
    for (unsigned i = 0; i < shape.rank; i++) {
        symbols += shape.dims[i].symbol != NULL;
        numbers[i] = shape.dims[i].symbol ? -1 : shape.dims[i].number;
    }
    const gx_value *value = symbols > 1 ? gx_builder_shape_value(b, shape_leaf, shape) : gx_graph_int64_list(b->graph, gx_builder_name(b, shape_leaf), shape.rank, numbers);
    return gx_builder_reshape(b, leaf, x, value, shape);
}
