/* Last position, final norm, the product with the head's weight, softcap: the output "logits", fp32 in every precision. */
#include "graph/builder.h"

/* The hidden state of the last position of each row, [batch, hidden_size]. verify puts a Reshape in the place of this
 * Gather to see every position, so the two forms of the graph differ in this one node. */
static const gx_value *last_position(gx_builder *b, const gx_value *x)
{
    gx_graph *g = b->graph;
    const gx_dim hidden = gx_dim_number(b->model->hidden_size);
    const gx_value *rows = gx_builder_reshape(b, "rows", x, b->rows_shape, GX_SHAPE(b->batch, b->sequence, hidden));
    const gx_value *index = gx_graph_int64(g, gx_builder_name(b, "last_index"), -1);
    gx_node *node = gx_graph_node(g, "Gather", gx_builder_name(b, "last_position"), GX_INPUTS(rows, index));
    gx_node_int(g, node, "axis", 1);
    return gx_node_output(g, node, NULL, x->dtype, GX_SHAPE(b->batch, hidden));
}

/* The same of a static graph: the row that last_index names, of the ids that each row of the batch begins with. */
static const gx_value *indexed_position(gx_builder *b, const gx_value *x)
{
    gx_graph *g = b->graph;
    const uint64_t batch = (uint64_t)b->batch.number;
    int64_t *firsts = g->failed ? NULL : GX_NEW_ARRAY(g->arena, int64_t, batch);
    g->failed = !firsts;
    for (uint64_t r = 0; firsts && r < batch; r++)
        firsts[r] = (int64_t)r * b->sequence.number;
    const gx_value *first_rows = gx_graph_int64_list(g, gx_builder_name(b, "first_rows"), batch, firsts);
    const gx_value *rows = gx_builder_binary(b, "Add", "last_rows", b->last_index, first_rows);
    return gx_graph_apply(g, "Gather", gx_builder_name(b, "last_position"), x->dtype, GX_SHAPE(b->batch, gx_dim_number(b->model->hidden_size)),
                          GX_INPUTS(x, rows));
}

static const gx_value *pick_positions(gx_builder *b, const gx_value *x)
{
    if (b->options->all_logits || (b->form && b->sequence.number == 1))
        return x;
    return b->form ? indexed_position(b, x) : last_position(b, x);
}

static const gx_value *logits_shape(gx_builder *b)
{
    gx_graph *g = b->graph;
    const int64_t vocab = b->model->vocab_size;
    if (b->form)
        return gx_graph_int64_list(g, gx_builder_name(b, "logits_shape"), 3, (const int64_t[]){b->batch.number, -1, vocab});
    const gx_value *rest = gx_graph_int64_list(g, gx_builder_name(b, "logits_rest"), 2, (const int64_t[]){-1, vocab});
    gx_node *shape = gx_graph_node(g, "Concat", gx_builder_name(b, "logits_shape"), GX_INPUTS(b->batch_1d, rest));
    gx_node_int(g, shape, "axis", 0);
    return gx_node_output(g, shape, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(3)));
}

void gx_block_head(gx_builder *b, const gx_value *x)
{
    gx_graph *g = b->graph;
    const gx_model *model = b->model;
    x = pick_positions(b, x);
    x = gx_block_norm(b, "norm", x, &model->weights[GX_ROLE_FINAL_NORM], b->residual_scale * b->residual_scale, 1, NULL);
    const gx_recipe recipe = {.sources = {&model->weights[GX_ROLE_LM_HEAD]}, .source_count = 1, .multiply = 1, .importance = gx_builder_head_importance(b)};
    gx_stored *stored = gx_builder_store(b, gx_builder_name(b, "lm_head"), &recipe, GX_QUANT_ROLE_EMBEDDING);
    const gx_value *logits = gx_block_product(b, "lm_head", x, stored);
    logits = gx_builder_cast(b, "logits_fp32", logits, GX_DTYPE_F32);
    if (model->final_logit_softcapping != 0)
        logits = gx_block_softcap(b, "softcap", logits, model->final_logit_softcapping);
    gx_node *node = gx_graph_node(g, "Reshape", gx_builder_name(b, "logits"), GX_INPUTS(logits, logits_shape(b)));
    const gx_dim positions = b->options->all_logits ? b->sequence : gx_dim_number(1);
    gx_graph_output(g, gx_node_output(g, node, "logits", GX_DTYPE_F32, GX_SHAPE(b->batch, positions, gx_dim_number(model->vocab_size))));
}
