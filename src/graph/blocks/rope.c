/*
 * Rotary embedding without tables that grow with the context. A position is high * B + low; two small tables hold the
 * cosines and sines of high * B and of low, computed in double, and
 *     cos(a + b) = cos a cos b - sin a sin b,   sin(a + b) = sin a cos b + cos a sin b
 * gives those of the call's own positions, to 1.5e-7 of the exact value at 131,072 positions. All distinct bases of the
 * model stand side by side in one table, so that they cost one set of nodes.
 */
#include <math.h>
#include <stdio.h>

#include "graph/builder.h"

static void collect_ropes(gx_builder *b)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++) {
        const gx_rope *rope = &b->model->layers[n].rope;
        unsigned i = 0;
        while (i < b->rope_count && !gx_rope_equal(b->ropes[i], rope))
            i++;
        if (i == GX_MAX_ROPES)
            GX_BUG("more distinct ropes than the builder holds");
        if (i == b->rope_count)
            b->ropes[b->rope_count++] = rope;
    }
}

const gx_rope_values *gx_builder_rope(const gx_builder *b, const gx_layer *layer)
{
    for (unsigned i = 0; i < b->rope_count; i++)
        if (gx_rope_equal(b->ropes[i], &layer->rope))
            return &b->rope_values[i];
    GX_BUG("a layer's rope was not collected");
}

/* Of all ropes side by side: the half of each one's head_dim. */
static uint64_t table_width(const gx_builder *b)
{
    uint64_t width = 0;
    for (unsigned k = 0; k < b->rope_count; k++)
        width += b->ropes[k]->head_dim / 2;
    return width;
}

/* Pairs that do not turn keep the angle 0. */
static double frequency(const gx_rope *rope, uint32_t pair)
{
    return pair < gx_rope_pairs(rope) ? pow(rope->theta, -2.0 * pair / rope->head_dim) / rope->factor : 0;
}

/* Row r: the angles of position r * step, for every rope and pair. cosines and sines are [rows, width]. */
static void fill_tables(const gx_builder *b, uint64_t rows, uint64_t step, float *cosines, float *sines)
{
    uint64_t at = 0;
    for (uint64_t r = 0; r < rows; r++) {
        for (unsigned k = 0; k < b->rope_count; k++) {
            for (uint32_t i = 0; i < b->ropes[k]->head_dim / 2; i++, at++) {
                const double angle = (double)(r * step) * frequency(b->ropes[k], i);
                cosines[at] = (float)cos(angle);
                sines[at] = (float)sin(angle);
            }
        }
    }
}

typedef struct rope_table {
    const gx_value *cos, *sin; /* gathered: [batch, sequence, width] */
} rope_table;

static rope_table gather_table(gx_builder *b, const char *name, uint64_t rows, uint64_t step, const gx_value *index)
{
    gx_graph *g = b->graph;
    const uint64_t width = table_width(b);
    const size_t nbytes = rows * width * sizeof(float);
    float *cosines = g->failed ? NULL : gx_arena_alloc(g->arena, rows * width, sizeof(float));
    float *sines = g->failed ? NULL : gx_arena_alloc(g->arena, rows * width, sizeof(float));
    g->failed = !cosines || !sines;
    if (g->failed)
        return (rope_table){index, index};
    fill_tables(b, rows, step, cosines, sines);
    char leaf[64];
    const gx_shape table = GX_SHAPE(gx_dim_number(rows), gx_dim_number(width));
    const gx_shape gathered = GX_SHAPE(b->batch, b->sequence, gx_dim_number(width));
    snprintf(leaf, sizeof leaf, "cos_%s_table", name);
    const gx_value *cos_table = gx_graph_constant(g, gx_builder_name(b, leaf), GX_DTYPE_F32, table, cosines, nbytes);
    snprintf(leaf, sizeof leaf, "sin_%s_table", name);
    const gx_value *sin_table = gx_graph_constant(g, gx_builder_name(b, leaf), GX_DTYPE_F32, table, sines, nbytes);
    rope_table result;
    snprintf(leaf, sizeof leaf, "cos_%s", name);
    result.cos = gx_graph_apply(g, "Gather", gx_builder_name(b, leaf), GX_DTYPE_F32, gathered, GX_INPUTS(cos_table, index));
    snprintf(leaf, sizeof leaf, "sin_%s", name);
    result.sin = gx_graph_apply(g, "Gather", gx_builder_name(b, leaf), GX_DTYPE_F32, gathered, GX_INPUTS(sin_table, index));
    return result;
}

/* Cuts [batch, sequence, width] into one value per rope, of the activation type. */
static void split_ropes(gx_builder *b, const char *leaf, const gx_value *all, const gx_value **parts)
{
    uint64_t widths[GX_MAX_ROPES];
    for (unsigned k = 0; k < b->rope_count; k++)
        widths[k] = b->ropes[k]->head_dim / 2;
    all = gx_builder_cast(b, gx_builder_leaf(b, leaf, "/cast"), all, b->activation);
    if (b->rope_count > 1)
        gx_builder_split(b, gx_builder_leaf(b, leaf, "/split"), all, b->rope_count, widths, parts);
    else
        parts[0] = all;
}

/* A power of two near the root of the longest context: both tables stay small. */
static uint64_t low_rows(uint64_t positions)
{
    uint64_t rows = 64;
    while (rows * rows < positions)
        rows *= 2;
    return rows;
}

void gx_block_rope_tables(gx_builder *b)
{
    gx_graph *g = b->graph;
    collect_ropes(b);
    const uint64_t positions = b->form ? b->form->max_length : (uint64_t)b->model->max_position_embeddings + 1; /* Transformers.js counts from 1 */
    const uint64_t low = low_rows(positions), high = (positions + low - 1) / low;

    const gx_value *step = gx_graph_int64(g, gx_builder_name(b, "step"), (int64_t)low);
    const gx_value *high_index = gx_builder_binary(b, "Div", "high_index", b->positions, step);
    const gx_value *whole = gx_builder_binary(b, "Mul", "whole", high_index, step);
    const gx_value *low_index = gx_builder_binary(b, "Sub", "low_index", b->positions, whole);
    const rope_table h = gather_table(b, "high", high, low, high_index);
    const rope_table l = gather_table(b, "low", low, 1, low_index);

    const gx_value *cc = gx_builder_binary(b, "Mul", "cos_cos", h.cos, l.cos);
    const gx_value *ss = gx_builder_binary(b, "Mul", "sin_sin", h.sin, l.sin);
    const gx_value *sc = gx_builder_binary(b, "Mul", "sin_cos", h.sin, l.cos);
    const gx_value *cs = gx_builder_binary(b, "Mul", "cos_sin", h.cos, l.sin);
    const gx_value *cosines[GX_MAX_ROPES], *sines[GX_MAX_ROPES];
    split_ropes(b, "cos", gx_builder_binary(b, "Sub", "cos", cc, ss), cosines);
    split_ropes(b, "sin", gx_builder_binary(b, "Add", "sin", sc, cs), sines);
    for (unsigned i = 0; i < b->rope_count; i++)
        b->rope_values[i] = (gx_rope_values){cosines[i], sines[i]};
}
