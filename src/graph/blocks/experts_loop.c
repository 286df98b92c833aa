/*
 * A loop over experts: a round takes its rows, and picks its expert's weights out of the table of all. So a token reads what it needs, and no more.
 */
#include <string.h>

#include "graph/experts_rounds.h"

/* An expert's weight: its part of a table, by the scheme of the table. */
typedef struct table {
    const gx_value *values, *scales; /* [num_experts, out, …]; scales NULL: none */
    const gx_scheme *scheme;
    uint64_t out, in;
} table;

typedef struct loop {
    gx_expert_rounds rounds;
    table gate_up, down;
} loop;

/* Weights are stored in the graph around the body. */
static table make_table(gx_builder *b, gx_stored *stored, uint64_t experts)
{
    gx_graph *g = b->graph;
    const gx_scheme *scheme = &stored->scheme;
    const uint64_t in = gx_recipe_columns(&stored->recipe), out = gx_recipe_rows(&stored->recipe) / experts;
    const gx_dim e = gx_dim_number(experts), o = gx_dim_number(out);
    const char *values = gx_builder_leaf(b, stored->name, ".table"), *scales = gx_builder_leaf(b, stored->name, ".scales");
    table t = {.scheme = scheme, .out = out, .in = in};
    switch (scheme->kind) {
    case GX_SCHEME_FLOAT: t.values = gx_graph_stored_value(g, values, stored, GX_PART_VALUES, scheme->dtype, GX_SHAPE(e, o, gx_dim_number(in))); break;
    case GX_SCHEME_BLOCK: {
        const gx_dim blocks = gx_dim_number(gx_scheme_blocks(scheme, in)), block = gx_dim_number(scheme->block_size * scheme->bits / 8);
        t.values = gx_graph_stored_value(g, values, stored, GX_PART_VALUES, GX_DTYPE_U8, GX_SHAPE(e, o, blocks, block));
        t.scales = gx_graph_stored_value(g, scales, stored, GX_PART_SCALES, scheme->dtype, GX_SHAPE(e, o, blocks));
        break;
    }
    case GX_SCHEME_ROW_INT8:
        t.values = gx_graph_stored_value(g, values, stored, GX_PART_VALUES, GX_DTYPE_I8, GX_SHAPE(e, o, gx_dim_number(in)));
        t.scales = gx_graph_stored_value(g, scales, stored, GX_PART_SCALES, scheme->dtype, GX_SHAPE(e, o, gx_dim_number(1)));
        break;
    default: GX_BUG("a scheme that experts do not have");
    }
    return t;
}

/* Entry `index` (a scalar) of the first dimension. */
static const gx_value *entry(gx_builder *b, const char *leaf, const gx_value *from, const gx_value *index)
{
    if (b->graph->failed)
        return from;
    gx_shape shape = {.rank = from->shape.rank - 1};
    for (unsigned i = 0; i < shape.rank; i++)
        shape.dims[i] = from->shape.dims[i + 1];
    return gx_graph_apply(b->graph, "Gather", gx_builder_name(b, leaf), from->dtype, shape, GX_INPUTS(from, index));
}

/* x [rows, in] by the weight of expert `index`. */
static const gx_value *product(gx_builder *b, const char *leaf, const gx_value *x, const table *t, const gx_value *index)
{
    gx_graph *g = b->graph;
    const gx_shape result = GX_SHAPE(x->shape.dims[0], gx_dim_number(t->out));
    const gx_value *values = entry(b, gx_builder_leaf(b, leaf, "/values"), t->values, index);
    const gx_value *scales = t->scales ? gx_builder_cast(b, gx_builder_leaf(b, leaf, "/scales_cast"), entry(b, gx_builder_leaf(b, leaf, "/scales"), t->scales, index), x->dtype) : NULL;
    if (t->scheme->kind == GX_SCHEME_BLOCK) {
        gx_node *node = gx_graph_node(g, "com.microsoft:MatMulNBits", gx_builder_name(b, leaf), GX_INPUTS(x, values, scales));
        gx_node_int(g, node, "K", (int64_t)t->in);
        gx_node_int(g, node, "N", (int64_t)t->out);
        gx_node_int(g, node, "bits", t->scheme->bits);
        gx_node_int(g, node, "block_size", t->scheme->block_size);
        gx_node_int(g, node, "accuracy_level", b->options->accuracy_level);
        return gx_node_output(g, node, NULL, x->dtype, result);
    }
    const gx_value *weight = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/values_cast"), values, x->dtype);
    if (scales)
        weight = gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/weight"), weight, scales);
    gx_node *node = gx_graph_node(g, "Gemm", gx_builder_name(b, leaf), GX_INPUTS(x, weight));
    gx_node_int(g, node, "transB", 1);
    return gx_node_output(g, node, NULL, x->dtype, result);
}

/* The loop's body: `sum` plus what the expert of this round gives. */
static const gx_value *add_expert(gx_builder *b, const loop *l, const gx_value *number, const gx_value *sum)
{
    gx_graph *g = b->graph;
    const uint64_t width = l->rounds.e->layer->moe_intermediate_size;
    const gx_expert_round round = l->rounds.take(b, &l->rounds, number);
    const gx_value *parts[2];
    const gx_value *both = gx_builder_cast(b, "gate_up_fp32", product(b, "gate_up_proj", round.x, &l->gate_up, round.expert), GX_DTYPE_F32);
    gx_builder_split(b, "gate_up", both, 2, (const uint64_t[]){width, width}, parts);
    const gx_value *gated = gx_builder_cast(b, "gated/cast", gx_builder_binary(b, "Mul", "gated", b->profile->gelu(b, parts[0]), parts[1]), b->activation);
    const gx_value *given = gx_builder_cast(b, "given_fp32", product(b, "down_proj", gated, &l->down, round.expert), GX_DTYPE_F32);
    given = gx_builder_binary(b, "Mul", "shared", given, round.shares);
    gx_node *node = gx_graph_node(g, "ScatterND", gx_builder_name(b, "new_sum"), GX_INPUTS(sum, round.rows, given));
    gx_node_string(g, node, "reduction", "add");
    return gx_node_output(g, node, NULL, GX_DTYPE_F32, sum->shape);
}

/* Names of a body's values are as unique as any. */
static gx_graph *make_body(gx_builder *b, const loop *l, gx_shape sum_shape)
{
    gx_graph *around = b->graph, *body = around->failed ? NULL : gx_graph_new(around->arena, gx_builder_name(b, "body"));
    around->failed = !body;
    if (!body)
        return NULL;
    body->opset = around->opset;
    body->describes_values = around->describes_values;
    char scope[sizeof b->scope];
    memcpy(scope, b->scope, sizeof scope);
    b->graph = body;
    gx_builder_set_scope(b, "%.80s/body", scope);
    const gx_value *round = gx_graph_input(body, gx_builder_name(b, "round"), GX_DTYPE_I64, gx_shape_scalar);
    const gx_value *going = gx_graph_input(body, gx_builder_name(b, "going"), GX_DTYPE_BOOL, gx_shape_scalar);
    const gx_value *sum = gx_graph_input(body, gx_builder_name(b, "sum"), GX_DTYPE_F32, sum_shape);
    gx_graph_output(body, gx_builder_unary(b, "Identity", "still_going", going));
    gx_graph_output(body, add_expert(b, l, round, sum));
    b->graph = around;
    memcpy(b->scope, scope, sizeof scope);
    return body;
}

/* fp32 zeros like x */
static const gx_value *no_sum(gx_builder *b, const gx_value *x)
{
    gx_graph *g = b->graph;
    const gx_value *shape = gx_graph_apply(g, "Shape", gx_builder_name(b, "sum_shape"), GX_DTYPE_I64, GX_SHAPE(gx_dim_number(2)), GX_INPUTS(x));
    return gx_graph_apply(g, "ConstantOfShape", gx_builder_name(b, "no_sum"), GX_DTYPE_F32, x->shape, GX_INPUTS(shape));
}

const gx_value *gx_experts_loop(gx_builder *b, const gx_experts *e)
{
    gx_graph *g = b->graph;
    const uint64_t experts = e->layer->num_experts;
    const loop l = {.rounds = gx_make_expert_rounds(b, e), .gate_up = make_table(b, e->gate_up, experts), .down = make_table(b, e->down, experts)};
    const gx_value *zeros = no_sum(b, e->x);
    const gx_graph *body = make_body(b, &l, e->x->shape);
    gx_node *node = gx_graph_node(g, "Loop", gx_builder_name(b, "sum"), GX_INPUTS(l.rounds.count, NULL, zeros));
    if (body)
        gx_node_body(g, node, "body", body);
    return gx_node_output(g, node, NULL, GX_DTYPE_F32, e->x->shape);
}
