/*
 * Which rows go where, round by round. A dynamic graph goes through the experts that any row picked, each with its own rows: nothing is computed
 * in vain. A static one knows no such numbers. With few rows (decoding) it goes through the picks, one row each: still no weight is read in vain.
 * With many it goes through all experts and gives each all rows, 0 where they do not go there.
 */
#include "graph/experts_rounds.h"

/* Entry `number` (a scalar) of a list's first dimension, which leaves `shape`. */
static const gx_value *entry(gx_builder *b, const char *leaf, const gx_value *list, const gx_value *number, gx_shape shape)
{
    return gx_graph_apply(b->graph, "Gather", gx_builder_name(b, leaf), list->dtype, shape, GX_INPUTS(list, number));
}

/* Where the expert was picked: of e->picked's shape. */
static const gx_value *find_hits(gx_builder *b, const gx_experts *e, const gx_value *expert)
{
    return gx_graph_apply(b->graph, "Equal", gx_builder_name(b, "hit"), GX_DTYPE_BOOL, e->picked->shape, GX_INPUTS(e->picked, expert));
}

/* ---- dynamic: the experts that are used, each with its own rows ---- */

static gx_expert_round take_own_rows(gx_builder *b, const gx_expert_rounds *rounds, const gx_value *number)
{
    gx_graph *g = b->graph;
    const gx_experts *e = rounds->e;
    const gx_dim count = gx_dim_symbol("expert_rows"), one = gx_dim_number(1);
    gx_expert_round round = {.expert = entry(b, "number", rounds->experts, number, gx_shape_scalar)};
    const gx_value *places = gx_graph_apply(g, "NonZero", gx_builder_name(b, "places"), GX_DTYPE_I64, GX_SHAPE(gx_dim_number(2), count),
                                            GX_INPUTS(find_hits(b, e, round.expert)));
    gx_node *node = gx_graph_node(g, "Transpose", gx_builder_name(b, "row_and_place"), GX_INPUTS(places));
    gx_node_ints(g, node, "perm", 2, (const int64_t[]){1, 0});
    const gx_value *pairs = gx_node_output(g, node, NULL, GX_DTYPE_I64, GX_SHAPE(count, gx_dim_number(2)));
    const gx_value *parts[2];
    gx_builder_split(b, "row_and_place/split", pairs, 2, (const uint64_t[]){1, 1}, parts);
    round.rows = parts[0];
    round.x = gx_graph_apply(g, "GatherND", gx_builder_name(b, "own_rows"), e->x->dtype, GX_SHAPE(count, gx_dim_number(b->model->hidden_size)), GX_INPUTS(e->x, round.rows));
    const gx_value *own = gx_graph_apply(g, "GatherND", gx_builder_name(b, "own_shares"), GX_DTYPE_F32, GX_SHAPE(count), GX_INPUTS(e->shares, pairs));
    round.shares = gx_graph_apply(g, "Unsqueeze", gx_builder_name(b, "own_shares_2d"), GX_DTYPE_F32, GX_SHAPE(count, one), GX_INPUTS(own, rounds->row_axis));
    return round;
}

static const gx_value *row_axis(gx_builder *b)
{
    return gx_graph_int64_list(b->graph, gx_builder_name(b, "row_axis"), 1, (const int64_t[]){1});
}

static void list_used_experts(gx_builder *b, gx_expert_rounds *rounds)
{
    gx_graph *g = b->graph;
    rounds->row_axis = row_axis(b);
    gx_node *node = gx_graph_node(g, "Unique", gx_builder_name(b, "used"), GX_INPUTS(rounds->e->picked));
    gx_node_int(g, node, "sorted", 1);
    rounds->experts = gx_node_output(g, node, NULL, GX_DTYPE_I64, GX_SHAPE(gx_dim_symbol("used_experts")));
    const gx_value *first = gx_graph_int64(g, gx_builder_name(b, "first"), 0);
    const gx_value *shape = gx_graph_apply(g, "Shape", gx_builder_name(b, "used_shape"), GX_DTYPE_I64, GX_SHAPE(gx_dim_number(1)), GX_INPUTS(rounds->experts));
    rounds->count = entry(b, "rounds", shape, first, gx_shape_scalar);
    rounds->take = take_own_rows;
}

/* ---- static, few rows: the picks ---- */

static gx_expert_round take_one_row(gx_builder *b, const gx_expert_rounds *rounds, const gx_value *number)
{
    const gx_experts *e = rounds->e;
    const gx_dim one = gx_dim_number(1);
    gx_expert_round round = {
        .expert = entry(b, "number", rounds->experts, number, gx_shape_scalar),
        .rows = entry(b, "row", rounds->rows, number, GX_SHAPE(one, one)),
        .shares = entry(b, "share", rounds->shares, number, GX_SHAPE(one, one)),
    };
    round.x = gx_graph_apply(b->graph, "GatherND", gx_builder_name(b, "own_row"), e->x->dtype, GX_SHAPE(one, gx_dim_number(b->model->hidden_size)), GX_INPUTS(e->x, round.rows));
    return round;
}

/* int64, of this shape: each number 0, 1, … `repeats` times. */
static const gx_value *count_up(gx_builder *b, const char *leaf, uint64_t count, uint64_t repeats, gx_shape shape)
{
    int64_t *numbers = b->graph->failed ? NULL : GX_NEW_ARRAY(b->graph->arena, int64_t, count);
    b->graph->failed = !numbers;
    for (uint64_t i = 0; numbers && i < count; i++)
        numbers[i] = (int64_t)(i / repeats);
    return gx_graph_constant(b->graph, gx_builder_name(b, leaf), GX_DTYPE_I64, shape, numbers, count * sizeof *numbers);
}

static void list_picks(gx_builder *b, gx_expert_rounds *rounds)
{
    const gx_experts *e = rounds->e;
    const uint64_t picks = (uint64_t)b->tokens.number * e->layer->top_k_experts;
    const gx_dim count = gx_dim_number(picks), one = gx_dim_number(1);
    rounds->experts = gx_builder_reshape_to(b, "picks", e->picked, GX_SHAPE(count));
    rounds->shares = gx_builder_reshape_to(b, "pick_shares", e->shares, GX_SHAPE(count, one, one));
    rounds->rows = count_up(b, "pick_rows", picks, e->layer->top_k_experts, GX_SHAPE(count, one, one));
    rounds->count = gx_graph_int64(b->graph, gx_builder_name(b, "rounds"), (int64_t)picks);
    rounds->take = take_one_row;
}

/* ---- static, many rows: all experts, all rows ---- */

static const gx_value *reduce_places(gx_builder *b, const gx_expert_rounds *rounds, const char *op_type, const char *leaf, const gx_value *x)
{
    return gx_graph_apply(b->graph, op_type, gx_builder_name(b, leaf), x->dtype, GX_SHAPE(b->tokens, gx_dim_number(1)), GX_INPUTS(x, rounds->row_axis));
}

/* Rows that do not go to the expert are 0 before it, too: what it made of them could be infinite in fp16. */
static gx_expert_round take_every_row(gx_builder *b, const gx_expert_rounds *rounds, const gx_value *number)
{
    const gx_experts *e = rounds->e;
    const gx_value *hits = gx_builder_cast(b, "hit/cast", find_hits(b, e, number), GX_DTYPE_F32);
    const gx_value *shares = gx_builder_binary(b, "Mul", "hit_shares", hits, e->shares);
    const gx_value *mask = gx_builder_cast(b, "mask/cast", reduce_places(b, rounds, "ReduceMax", "mask", hits), e->x->dtype);
    return (gx_expert_round){
        .expert = number,
        .rows = rounds->rows,
        .x = gx_builder_binary(b, "Mul", "masked_rows", e->x, mask),
        .shares = reduce_places(b, rounds, "ReduceSum", "own_shares", shares),
    };
}

static void list_all_experts(gx_builder *b, gx_expert_rounds *rounds)
{
    rounds->row_axis = row_axis(b);
    rounds->count = gx_graph_int64(b->graph, gx_builder_name(b, "rounds"), rounds->e->layer->num_experts);
    rounds->rows = count_up(b, "all_rows", (uint64_t)b->tokens.number, 1, GX_SHAPE(b->tokens, gx_dim_number(1)));
    rounds->take = take_every_row;
}

gx_expert_rounds gx_make_expert_rounds(gx_builder *b, const gx_experts *e)
{
    gx_expert_rounds rounds = {.e = e};
    if (!b->form)
        list_used_experts(b, &rounds);
    else if ((uint64_t)b->tokens.number * e->layer->top_k_experts <= e->layer->num_experts)
        list_picks(b, &rounds);
    else
        list_all_experts(b, &rounds);
    return rounds;
}
