/*
 * Static caches addressed by slot: which slots a call writes, and which of them each of its queries sees. Layers with caches
 * alike share the answers.
 *
 * A full cache holds position p in slot p. A bounded one is a ring: position p in slot p mod length, so that slot s holds the
 * last position congruent to s that was written. Padding behind a short prompt is written like any other position; it is
 * overwritten before a query comes that would see it, in the ring because it is longer than the window by the longest call.
 */
#include "graph/builder.h"

static bool is_kind(const gx_cache_kind *kind, uint64_t length, const gx_layer *layer)
{
    return kind->length == length && kind->sliding_window == layer->sliding_window && kind->heads == layer->num_key_value_heads;
}

const gx_cache_kind *gx_builder_cache_kind(const gx_builder *b, const gx_layer *layer)
{
    const uint64_t length = gx_static_cache_length(b->form, b->profile, layer);
    for (unsigned i = 0; i < b->cache_kind_count; i++)
        if (is_kind(&b->cache_kinds[i], length, layer))
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
    if (!kind->ring)
        return count_slots(b, "slot_positions", kind->length, 0, 1);
    gx_graph *g = b->graph;
    const gx_dim one = gx_dim_number(1);
    const gx_value *first = gx_builder_reshape_to(b, "first", b->first_position, GX_SHAPE(b->batch, one, one, one));
    const gx_value *others = gx_graph_int64(g, gx_builder_name(b, "others"), b->sequence.number - 1);
    const gx_value *last = gx_builder_binary(b, "Add", "last", first, others);
    const gx_value *distances = count_slots(b, "distances", kind->length, (int64_t)kind->length, -1); /* positive */
    const gx_value *back = gx_graph_apply(g, "Add", gx_builder_name(b, "back"), GX_DTYPE_I64, GX_SHAPE(b->batch, one, one, gx_dim_number(kind->length)),
                                          GX_INPUTS(last, distances));
    const gx_value *age = wrap(b, "age", back, kind->length);
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

static const gx_value *make_bias(gx_builder *b, const gx_cache_kind *kind)
{
    gx_graph *g = b->graph;
    const gx_dim one = gx_dim_number(1);
    const gx_shape shape = GX_SHAPE(b->batch, one, b->sequence, gx_dim_number(kind->length));
    const gx_value *queries = gx_builder_reshape_to(b, "queries", b->positions, GX_SHAPE(b->batch, one, b->sequence, one));
    const gx_value *held = slot_positions(b, kind);
    const gx_value *visible = compare(b, "LessOrEqual", "not_later", held, queries, shape);
    if (kind->sliding_window)
        visible = compare(b, "And", "visible", visible, compare(b, "Greater", "in_window", held, too_old(b, kind, queries), shape), shape);
    const gx_value *seen = gx_graph_float(g, gx_builder_name(b, "seen"), 0), *hidden = gx_graph_float(g, gx_builder_name(b, "hidden"), GX_HIDDEN_KEY_BIAS);
    const gx_value *bias = gx_graph_apply(g, "Where", gx_builder_name(b, "bias"), GX_DTYPE_F32, shape, GX_INPUTS(visible, seen, hidden));
    return gx_builder_cast(b, "bias/cast", bias, b->activation);
}

/* TensorScatter: int64 [batch], the slot of the call's first id; a ring wraps by itself. */
const gx_value *gx_first_slots(gx_builder *b, const gx_cache_kind *kind)
{
    return kind->ring ? wrap(b, "first_slot", b->first_position, kind->length) : b->first_position;
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
    const gx_value *slots = kind->ring ? wrap(b, "slots", b->positions, kind->length) : b->positions;
    const gx_value *column = gx_builder_reshape_to(b, "slots_4d", slots, GX_SHAPE(b->batch, one, b->sequence, one));
    const gx_value *along = gx_graph_apply(g, "Mul", gx_builder_name(b, "slots_on_axis"), GX_DTYPE_I64, GX_SHAPE(b->batch, one, b->sequence, three),
                                           GX_INPUTS(column, axis));
    return gx_builder_binary(b, "Add", "slot_indices", rows, along);
}

void gx_block_cache_kinds(gx_builder *b)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++) {
        const gx_layer *layer = &b->model->layers[n];
        if (gx_builder_cache_kind(b, layer))
            continue;
        if (b->cache_kind_count == GX_MAX_CACHE_KINDS)
            GX_BUG("more kinds of caches than the builder holds");
        gx_cache_kind *kind = &b->cache_kinds[b->cache_kind_count];
        kind->length = gx_static_cache_length(b->form, b->profile, layer);
        kind->sliding_window = layer->sliding_window;
        kind->heads = layer->num_key_value_heads;
        kind->ring = kind->length < b->form->max_length;
        gx_builder_set_scope(b, "/model/caches.%u", b->cache_kind_count);
        kind->slots = b->profile->slots(b, kind);
        kind->bias = make_bias(b, kind);
        b->cache_kind_count++;
    }
}
