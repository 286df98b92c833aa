/*
 * What each query of a call sees of a cache, and which of its slots the call writes. Layers with caches alike share the answers.
 *
 * The cache of a dynamic graph holds all positions in order, padding in front included. Of a static graph, a full cache holds position p in slot p. A bounded one is a ring: position p in slot p mod length, so that slot s holds the
 * last position congruent to s that was written. Padding behind a short prompt is written like any other position; it is
 * overwritten before a query comes that would see it, in the ring because it is longer than the window by the longest call.
 */
#include "graph/builder.h"

/* Heads matter where places are counted out for each of them. */
static bool is_kind(const gx_builder *b, const gx_cache_kind *kind, const gx_layer *layer)
{
    if (kind->sliding_window != layer->sliding_window)
        return false;
    return !gx_builder_has_fixed_caches(b) || ((uint64_t)kind->length.number == gx_static_cache_length(b->form, b->profile, layer) && kind->heads == layer->num_key_value_heads);
}

const gx_cache_kind *gx_builder_cache_kind(const gx_builder *b, const gx_layer *layer)
{
    for (unsigned i = 0; i < b->cache_kind_count; i++)
        if (is_kind(b, &b->cache_kinds[i], layer))
            return &b->cache_kinds[i];
    return NULL;
}

/* x mod length, for x that is not negative. */
static const gx_value *wrap(gx_builder *b, const char *leaf, const gx_value *x, uint64_t length)
{
    const gx_value *divisor = gx_graph_int64(b->graph, gx_builder_name(b, gx_builder_leaf(b, leaf, "/length")), (int64_t)length);
    const gx_value *turns = gx_builder_binary(b, "Div", gx_builder_leaf(b, leaf, "/turns"), x, divisor);
    return gx_builder_binary(b, "Sub", leaf, x, gx_builder_binary(b, "Mul", gx_builder_leaf(b, leaf, "/whole"), turns, divisor));
}

/* int64 [1, 1, 1, length]: base, base + step, … */
static const gx_value *count_slots(gx_builder *b, const char *leaf, uint64_t length, int64_t base, int64_t step)
{
    int64_t *numbers = b->graph->failed ? NULL : GX_NEW_ARRAY(b->graph->arena, int64_t, length);
    b->graph->failed = !numbers;
    for (uint64_t i = 0; numbers && i < length; i++)
        numbers[i] = base + step * (int64_t)i;
    const gx_dim one = gx_dim_number(1);
    return gx_graph_constant(b->graph, gx_builder_name(b, leaf), GX_DTYPE_I64, GX_SHAPE(one, one, one, gx_dim_number(length)), numbers,
                             length * sizeof *numbers);
}

/* int64 [1 or batch, 1, 1, length]: the position that each slot holds after this call; negative: none yet. */
static const gx_value *slot_positions(gx_builder *b, const gx_cache_kind *kind)
{
    const uint64_t length = (uint64_t)kind->length.number;
    if (!kind->ring)
        return count_slots(b, "slot_positions", length, 0, 1);
    gx_graph *g = b->graph;
    const gx_dim one = gx_dim_number(1);
    const gx_value *first = gx_builder_reshape_to(b, "first", b->first_position, GX_SHAPE(b->batch, one, one, one));
    const gx_value *others = gx_graph_int64(g, gx_builder_name(b, "others"), b->sequence.number - 1);
    const gx_value *last = gx_builder_binary(b, "Add", "last", first, others);
    const gx_value *distances = count_slots(b, "distances", length, (int64_t)length, -1); /* positive */
    const gx_value *back = gx_graph_apply(g, "Add", gx_builder_name(b, "back"), GX_DTYPE_I64, GX_SHAPE(b->batch, one, one, kind->length),
                                          GX_INPUTS(last, distances));
    const gx_value *age = wrap(b, "age", back, length);
    return gx_graph_apply(g, "Sub", gx_builder_name(b, "slot_positions"), GX_DTYPE_I64, age->shape, GX_INPUTS(last, age));
}

static const gx_value *compare(gx_builder *b, const char *op_type, const char *leaf, const gx_value *x, const gx_value *y, gx_shape shape)
{
    return gx_graph_apply(b->graph, op_type, gx_builder_name(b, leaf), GX_DTYPE_BOOL, shape, GX_INPUTS(x, y));
}

/* The last position that is too old for each query: in a ring, unwritten slots (negative) are, too. */
static const gx_value *too_old(gx_builder *b, const gx_cache_kind *kind, const gx_value *queries)
{
    gx_graph *g = b->graph;
    const gx_value *window = gx_graph_int64(g, gx_builder_name(b, "window"), (int64_t)kind->sliding_window);
    const gx_value *old = gx_builder_binary(b, "Sub", "too_old", queries, window);
    return kind->ring ? gx_builder_binary(b, "Max", "too_old_or_unwritten", old, gx_graph_int64(g, gx_builder_name(b, "unwritten"), -1)) : old;
}

/* A query at one of `queries` sees what lies at one of `held`, in a shape that both are broadcast to. */
static const gx_value *visible_slots(gx_builder *b, const gx_cache_kind *kind, const gx_value *held, const gx_value *queries, gx_shape shape)
{
    const gx_value *visible = compare(b, "LessOrEqual", "not_later", held, queries, shape);
    if (kind->sliding_window)
        visible = compare(b, "And", "visible", visible, compare(b, "Greater", "in_window", held, too_old(b, kind, queries), shape), shape);
    return visible;
}

static const gx_value *visible_of_fixed(gx_builder *b, const gx_cache_kind *kind, gx_shape shape)
{
    const gx_dim one = gx_dim_number(1);
    const gx_value *queries = gx_builder_reshape_to(b, "queries", b->positions, GX_SHAPE(b->batch, one, b->sequence, one));
    return visible_slots(b, kind, slot_positions(b, kind), queries, shape);
}

/* Where something stands in the cache, not its position, decides: padding may stand in front. */
static const gx_value *visible_of_growing(gx_builder *b, const gx_cache_kind *kind, gx_shape shape)
{
    const gx_shape plane = GX_SHAPE(b->sequence, b->cache_length);
    const gx_value *visible = visible_slots(b, kind, b->key_indices, b->query_indices, plane);
    return compare(b, "And", "visible_and_real", visible, b->real_keys, shape);
}

/* An encoder: as many keys behind the query as before it; in a full layer more than a text has. (ONNX Runtime's Attention wants a mask that has a
 * row for every query, even if all are alike.) */
static const gx_value *visible_both_ways(gx_builder *b, const gx_cache_kind *kind, gx_shape shape)
{
    const gx_shape plane = GX_SHAPE(b->sequence, b->sequence);
    const uint64_t reach = kind->sliding_window ? kind->sliding_window : (uint64_t)b->model->max_position_embeddings + 1;
    const gx_value *window = gx_graph_int64(b->graph, gx_builder_name(b, "window"), (int64_t)reach);
    const gx_value *after = compare(b, "Greater", "not_too_early", b->key_indices, gx_builder_binary(b, "Sub", "too_early", b->query_indices, window), plane);
    const gx_value *before = compare(b, "Greater", "not_too_late", gx_builder_binary(b, "Add", "too_late", b->query_indices, window), b->key_indices, plane);
    return compare(b, "And", "visible_and_real", compare(b, "And", "visible", after, before, plane), b->real_keys, shape);
}

static const gx_value *visible_keys(gx_builder *b, const gx_cache_kind *kind, gx_shape shape)
{
    if (!gx_builder_has_caches(b))
        return visible_both_ways(b, kind, shape);
    return b->form ? visible_of_fixed(b, kind, shape) : visible_of_growing(b, kind, shape);
}

static void make_bias(gx_builder *b, gx_cache_kind *kind)
{
    gx_graph *g = b->graph;
    const gx_shape shape = GX_SHAPE(b->batch, gx_dim_number(1), b->sequence, kind->length);
    const gx_value *visible = visible_keys(b, kind, shape);
    const gx_value *seen = gx_graph_float(g, gx_builder_name(b, "seen"), 0), *hidden = gx_graph_float(g, gx_builder_name(b, "hidden"), GX_HIDDEN_KEY_BIAS);
    kind->bias_fp32 = gx_graph_apply(g, "Where", gx_builder_name(b, "bias"), GX_DTYPE_F32, shape, GX_INPUTS(visible, seen, hidden));
    kind->bias = gx_builder_cast(b, "bias/cast", kind->bias_fp32, b->activation);
}

/* TensorScatter: int64 [batch], the slot of the call's first id; a ring wraps by itself. */
const gx_value *gx_first_slots(gx_builder *b, const gx_cache_kind *kind)
{
    return kind->ring ? wrap(b, "first_slot", b->first_position, (uint64_t)kind->length.number) : b->first_position;
}

/* ScatterND: int64 [batch, heads, sequence, 3], of each (row, head, id) its place in the cache. */
const gx_value *gx_slot_indices(gx_builder *b, const gx_cache_kind *kind)
{
    gx_graph *g = b->graph;
    const int64_t batch = b->batch.number, heads = (int64_t)kind->heads, sequence = b->sequence.number;
    int64_t *places = g->failed ? NULL : GX_NEW_ARRAY(g->arena, int64_t, (uint64_t)(batch * heads * sequence * 3));
    g->failed = !places;
    for (int64_t i = 0; places && i < batch * heads * sequence; i++) {
        places[3 * i] = i / (heads * sequence);
        places[3 * i + 1] = i / sequence % heads;
    }
    const gx_dim one = gx_dim_number(1), three = gx_dim_number(3);
    const gx_value *rows = gx_graph_constant(g, gx_builder_name(b, "rows_and_heads"), GX_DTYPE_I64, GX_SHAPE(b->batch, gx_dim_number(kind->heads), b->sequence, three),
                                             places, (size_t)(batch * heads * sequence * 3) * sizeof *places);
    const int64_t third[3] = {0, 0, 1};
    const gx_value *axis = gx_graph_constant(g, gx_builder_name(b, "slot_axis"), GX_DTYPE_I64, GX_SHAPE(one, one, one, three), third, sizeof third);
    const gx_value *slots = kind->ring ? wrap(b, "slots", b->positions, (uint64_t)kind->length.number) : b->positions;
    const gx_value *column = gx_builder_reshape_to(b, "slots_4d", slots, GX_SHAPE(b->batch, one, b->sequence, one));
    const gx_value *along = gx_graph_apply(g, "Mul", gx_builder_name(b, "slots_on_axis"), GX_DTYPE_I64, GX_SHAPE(b->batch, one, b->sequence, three),
                                           GX_INPUTS(column, axis));
    return gx_builder_binary(b, "Add", "slot_indices", rows, along);
}

static void make_kind(gx_builder *b, const gx_layer *layer)
{
    if (b->cache_kind_count == GX_MAX_CACHE_KINDS)
        GX_BUG("more kinds of caches than the builder holds");
    gx_cache_kind *kind = &b->cache_kinds[b->cache_kind_count];
    *kind = (gx_cache_kind){.length = b->cache_length, .sliding_window = layer->sliding_window, .heads = layer->num_key_value_heads};
    gx_builder_set_scope(b, "/model/caches.%u", b->cache_kind_count);
    if (gx_builder_has_fixed_caches(b)) {
        kind->length = gx_dim_number(gx_static_cache_length(b->form, b->profile, layer));
        kind->ring = (uint64_t)kind->length.number < b->form->max_length;
        kind->slots = b->profile->slots ? b->profile->slots(b, kind) : NULL;
    }
    make_bias(b, kind);
    b->cache_kind_count++;
}

void gx_block_cache_kinds(gx_builder *b)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++) {
        const gx_layer *layer = &b->model->layers[n];
        if (gx_builder_attention_form(b, layer)->by_bias && !gx_builder_cache_kind(b, layer))
            make_kind(b, layer);
    }
}
