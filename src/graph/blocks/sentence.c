/* From hidden states to the embedding of a text: the mean over what is no padding, dense layers, length 1; all but the products in fp32. */
#include <stdio.h>

#include "graph/builder.h"

static const gx_value *sum_along(gx_builder *b, const char *leaf, const gx_value *x, gx_shape shape)
{
    const gx_value *axis = gx_graph_int64_list(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "/axis")), 1, (const int64_t[]){1});
    return gx_graph_apply(b->graph, "ReduceSum", gx_builder_name(b, leaf), x->dtype, shape, GX_INPUTS(x, axis));
}

/* hidden: fp32 [batch, sequence, hidden_size]. A text of padding alone gives zeros. */
static const gx_value *mean(gx_builder *b, const gx_value *hidden)
{
    gx_graph *g = b->graph;
    const gx_dim one = gx_dim_number(1), width = gx_dim_number(b->model->hidden_size);
    const gx_value *mask = gx_builder_cast(b, "mask", b->attention_mask, GX_DTYPE_F32);
    const gx_value *row = gx_builder_reshape_to(b, "mask_3d", mask, GX_SHAPE(b->batch, one, b->sequence));
    const gx_value *sum = gx_graph_apply(g, "MatMul", gx_builder_name(b, "sum"), GX_DTYPE_F32, GX_SHAPE(b->batch, one, width), GX_INPUTS(row, hidden));
    const gx_value *sum_2d = gx_builder_reshape_to(b, "sum_2d", sum, GX_SHAPE(b->batch, width));
    const gx_value *count = sum_along(b, "count", mask, GX_SHAPE(b->batch, one));
    const gx_value *positive = gx_builder_binary(b, "Max", "positive_count", count, gx_graph_float(g, gx_builder_name(b, "least_count"), 1e-9));
    return gx_builder_binary(b, "Div", "mean", sum_2d, positive);
}

/* Of the last layer only the rows that are wanted. */
static const gx_value *dense(gx_builder *b, const gx_value *x, unsigned index, uint64_t dimension)
{
    const gx_sentence *sentence = &b->model->sentence;
    gx_weight *weight = b->graph->failed ? NULL : GX_NEW(b->graph->arena, gx_weight);
    b->graph->failed = !weight;
    if (!weight)
        return x;
    *weight = sentence->dense[index];
    if (index + 1 == sentence->dense_count)
        weight->rows = dimension;
    char leaf[24];
    snprintf(leaf, sizeof leaf, "dense_%u", index);
    const gx_recipe recipe = {.sources = {weight}, .source_count = 1, .multiply = 1};
    const gx_value *typed = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/input"), x, b->activation);
    const gx_value *product = gx_block_product(b, leaf, typed, gx_builder_store(b, gx_builder_name(b, leaf), &recipe, GX_QUANT_ROLE_DENSE));
    return gx_builder_cast(b, gx_builder_leaf(b, leaf, "/fp32"), product, GX_DTYPE_F32);
}

static const gx_value *normalize(gx_builder *b, const gx_value *x)
{
    gx_graph *g = b->graph;
    const gx_value *squares = sum_along(b, "squares", gx_builder_binary(b, "Mul", "squared", x, x), GX_SHAPE(b->batch, gx_dim_number(1)));
    const gx_value *length = gx_builder_unary(b, "Sqrt", "length", squares);
    const gx_value *positive = gx_builder_binary(b, "Max", "positive_length", length, gx_graph_float(g, gx_builder_name(b, "least_length"), 1e-12));
    return gx_graph_apply(g, "Div", "sentence_embedding", GX_DTYPE_F32, x->shape, GX_INPUTS(x, positive));
}

static const gx_value *leading(gx_builder *b, const gx_value *x, uint64_t dimension)
{
    const gx_value *parts[2];
    const uint64_t rest = (uint64_t)x->shape.dims[1].number - dimension;
    if (rest == 0)
        return x;
    gx_builder_split(b, "leading", x, 2, (const uint64_t[]){dimension, rest}, parts);
    return parts[0];
}

void gx_block_sentence(gx_builder *b, const gx_value *x)
{
    gx_graph *g = b->graph;
    const gx_sentence *sentence = &b->model->sentence;
    const uint64_t dimension = b->options->embedding_dim ? b->options->embedding_dim : sentence->dimension;
    x = gx_block_norm(b, "norm", x, &b->model->weights[GX_ROLE_FINAL_NORM], b->residual_scale * b->residual_scale, 1, NULL);
    x = gx_builder_cast(b, "hidden_fp32", x, GX_DTYPE_F32);
    const gx_shape rows = GX_SHAPE(b->batch, b->sequence, gx_dim_number(b->model->hidden_size));
    const gx_value *hidden = gx_graph_apply(g, "Reshape", "last_hidden_state", GX_DTYPE_F32, rows, GX_INPUTS(x, b->rows_shape));
    gx_graph_output(g, hidden);
    x = mean(b, hidden);
    for (unsigned i = 0; i < sentence->dense_count; i++)
        x = dense(b, x, i, dimension);
    if (!g->failed)
        x = leading(b, x, dimension);
    x = sentence->normalize ? normalize(b, x) : gx_graph_apply(g, "Identity", "sentence_embedding", GX_DTYPE_F32, x->shape, GX_INPUTS(x));
    gx_graph_output(g, x);
}
