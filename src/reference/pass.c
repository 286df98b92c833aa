/* The memory of one forward pass: who stands in which row, and room for a layer's values. */
#include <inttypes.h>

#include "base/checked.h"
#include "reference/state.h"

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static gx_status check_sequence(const gx_model *model, const gx_reference_sequence *sequence, size_t index, gx_error *error)
{
    if (sequence->count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "sequence %zu is empty, expected at least one token id", index);
    if (sequence->cache && sequence->cache->model != model)
        return gx_fail(error, GX_ERROR_ARGUMENT, "the cache of sequence %zu belongs to another model", index);
    for (size_t i = 0; i < sequence->count; i++)
        if (sequence->ids[i] < 0 || sequence->ids[i] >= (int64_t)model->vocab_size)
            return gx_fail(error, GX_ERROR_ARGUMENT, "token id %" PRId64 " at place %zu of sequence %zu: expected 0 to %" PRIu32,
                           sequence->ids[i], i, index, model->vocab_size - 1);
    return GX_OK;
}

/* Totals over the sequences; caches get their room. */
static gx_status measure(gx_pass *pass, gx_error *error)
{
    uint64_t total = 0;
    for (size_t s = 0; s < pass->sequence_count; s++) {
        const gx_reference_sequence *sequence = &pass->sequences[s];
        GX_TRY(check_sequence(pass->reference->model, sequence, s, error));
        const size_t past = sequence->cache ? sequence->cache->length : 0;
        uint64_t length;
        if (!gx_add_u64(past, sequence->count, &length) || !gx_add_u64(total, sequence->count, &total))
            return gx_fail_memory(error);
        if (sequence->cache)
            GX_TRY(gx_reference_cache_reserve(sequence->cache, (size_t)length, error));
        pass->pasts[s] = past;
        pass->longest = largest(pass->longest, (size_t)length);
    }
    pass->row_count = (size_t)total;
    return GX_OK;
}

static void place_rows(gx_pass *pass)
{
    size_t row = 0;
    for (size_t s = 0; s < pass->sequence_count; s++) {
        pass->first_rows[s] = row;
        for (size_t i = 0; i < pass->sequences[s].count; i++)
            pass->rows[row++] = (gx_pass_row){s, pass->pasts[s] + i};
    }
}

typedef struct widths {
    size_t query, key, wide;
} widths;

static widths widest(const gx_model *model)
{
    widths w = {0};
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        const gx_layer *layer = &model->layers[n];
        w.query = largest(w.query, (size_t)layer->num_attention_heads * layer->head_dim);
        w.key = largest(w.key, (size_t)layer->num_key_value_heads * layer->head_dim);
        w.wide = largest(w.wide, layer->intermediate_size);
    }
    w.wide = largest(largest(w.wide, w.key), largest(model->hidden_size_per_layer_input, model->altup.laurel_rank));
    return w;
}

/* Layers that others read keep theirs to the end. */
static gx_status assign_slots(gx_pass *pass, gx_error *error)
{
    const gx_model *model = pass->reference->model;
    pass->borrow_slots = 1;
    pass->slots = gx_alloc(model->num_hidden_layers, sizeof *pass->slots);
    if (!pass->slots)
        return gx_fail_memory(error);
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        const uint32_t giver = model->layers[n].cache_layer;
        if (giver != n && pass->slots[giver] == 0)
            pass->slots[giver] = pass->borrow_slots++;
        pass->slots[n] = pass->slots[giver];
    }
    return GX_OK;
}

static gx_status borrow_key_values(gx_pass *pass, size_t width, gx_error *error)
{
    pass->borrowed = gx_alloc(pass->sequence_count * pass->borrow_slots, sizeof *pass->borrowed);
    if (!pass->borrowed)
        return gx_fail_memory(error);
    for (size_t s = 0; s < pass->sequence_count; s++) {
        for (size_t slot = 0; !pass->sequences[s].cache && slot < pass->borrow_slots; slot++) {
            gx_key_values *borrowed = &pass->borrowed[s * pass->borrow_slots + slot];
            GX_TRY(gx_floats_alloc(&borrowed->keys, pass->sequences[s].count, width, error));
            GX_TRY(gx_floats_alloc(&borrowed->values, pass->sequences[s].count, width, error));
        }
    }
    return GX_OK;
}

gx_key_values gx_pass_key_values(const gx_pass *pass, size_t sequence, uint32_t layer)
{
    const gx_reference_cache *cache = pass->sequences[sequence].cache;
    return cache ? cache->layers[pass->reference->model->layers[layer].cache_layer] : pass->borrowed[sequence * pass->borrow_slots + pass->slots[layer]];
}

/* For each row: what they work with, and what they give. */
static size_t expert_floats(const gx_model *model)
{
    size_t most = 0;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        most = largest(most, gx_experts_scratch(model, &model->layers[n]));
    return most ? most + model->hidden_size : 0;
}

static gx_status init_scratch(gx_pass_scratch *scratch, size_t rows, size_t hidden, size_t wide, size_t experts, size_t longest, gx_error *error)
{
    const uint64_t row = 3 * (uint64_t)hidden + 2 * (uint64_t)wide + experts;
    uint64_t scores, elements;
    if (!gx_mul_u64(GX_ATTENTION_BLOCK, longest, &scores) || !gx_mul_u64(rows, row, &elements) ||
        !gx_add_u64(elements, scores, &elements))
        return gx_fail_memory(error);
    GX_TRY(gx_floats_alloc(&scratch->storage, elements, 1, error));
    scratch->normed = scratch->storage;
    scratch->output = scratch->normed + rows * hidden;
    scratch->branch = scratch->output + rows * hidden;
    scratch->wide = scratch->branch + rows * hidden;
    scratch->wide2 = scratch->wide + rows * wide;
    scratch->experts = scratch->wide2 + rows * wide;
    scratch->scores = scratch->experts + rows * experts;
    return GX_OK;
}

gx_status gx_pass_init(gx_pass *pass, gx_reference *reference, const gx_reference_sequence *sequences, size_t count, float *hidden,
                       gx_error *error)
{
    const gx_model *model = reference->model;
    *pass = (gx_pass){0};
    if (count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no sequences, expected at least one");
    *pass = (gx_pass){.reference = reference, .sequences = sequences, .sequence_count = count, .hidden = hidden};
    pass->threads = reference->options.tap ? 1 : reference->options.threads;
    pass->pasts = gx_alloc(count, sizeof *pass->pasts);
    pass->first_rows = gx_alloc(count, sizeof *pass->first_rows);
    pass->scratch = gx_alloc(pass->threads, sizeof *pass->scratch);
    if (!pass->pasts || !pass->first_rows || !pass->scratch)
        return gx_fail_memory(error);
    GX_TRY(measure(pass, error));
    pass->rows = gx_alloc(pass->row_count, sizeof *pass->rows);
    if (!pass->rows)
        return gx_fail_memory(error);
    place_rows(pass);

    const widths w = widest(model);
    GX_TRY(gx_floats_alloc(&pass->queries, pass->row_count, w.query, error));
    GX_TRY(assign_slots(pass, error));
    GX_TRY(borrow_key_values(pass, w.key, error));
    if (model->altup.streams)
        GX_TRY(gx_floats_alloc(&pass->streams, pass->row_count, (uint64_t)model->altup.streams * model->hidden_size, error));
    if (model->hidden_size_per_layer_input)
        GX_TRY(gx_floats_alloc(&pass->layer_inputs, pass->row_count, model->weights[GX_ROLE_PER_LAYER_MODEL_PROJECTION].rows, error));
    const size_t piece = pass->row_count < GX_PIECE_ROWS ? pass->row_count : GX_PIECE_ROWS;
    const size_t experts = expert_floats(model);
    for (unsigned worker = 0; worker < pass->threads; worker++)
        GX_TRY(init_scratch(&pass->scratch[worker], piece, model->hidden_size, w.wide, experts, pass->longest, error));
    return GX_OK;
}

void gx_pass_deinit(gx_pass *pass)
{
    for (unsigned worker = 0; pass->scratch && worker < pass->threads; worker++)
        gx_free(pass->scratch[worker].storage);
    for (size_t i = 0; pass->borrowed && i < pass->sequence_count * pass->borrow_slots; i++) {
        gx_free(pass->borrowed[i].keys);
        gx_free(pass->borrowed[i].values);
    }
    gx_free(pass->scratch);
    gx_free(pass->borrowed);
    gx_free(pass->slots);
    gx_free(pass->streams);
    gx_free(pass->layer_inputs);
    gx_free(pass->queries);
    gx_free(pass->rows);
    gx_free(pass->first_rows);
    gx_free(pass->pasts);
    *pass = (gx_pass){0};
}

void gx_pass_tap(const gx_pass *pass, const char *name, int layer, size_t first_row, size_t rows, size_t columns, const float *values)
{
    const gx_reference_options *options = &pass->reference->options;
    if (options->tap)
        options->tap(options->tap_context, name, layer, first_row, rows, columns, values);
}
