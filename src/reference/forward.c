/* Ids to final states: embedding, every layer in turn, final norm. Also the life of a reference. */
#include "base/threads.h"
#include "reference/state.h"

#define OUTSIDE_LAYERS (-1)

gx_status gx_reference_new(gx_reference **out, const gx_model *model, const gx_reference_options *options, gx_error *error)
{
    gx_reference *reference = gx_alloc(1, sizeof *reference);
    if (!reference)
        return gx_fail_memory(error);
    gx_status status;
    reference->model = model;
    reference->options = options ? *options : (gx_reference_options){0};
    if (reference->options.threads == 0)
        reference->options.threads = gx_cpu_count();
    if (!reference->options.plain_loops)
        reference->sgemm = gx_blas_find();
    reference->kept = gx_alloc(model->num_hidden_layers, sizeof *reference->kept);
    reference->rope_tables = gx_alloc(model->num_hidden_layers, sizeof *reference->rope_tables);
    if (!reference->kept || !reference->rope_tables) {
        status = gx_fail_memory(error);
        goto fail;
    }
    GX_TRY_GOTO(gx_floats_alloc(&reference->final_norm, 1, model->hidden_size, error), fail);
    GX_TRY_GOTO(gx_weight_read_vector(model, &model->weights[GX_ROLE_FINAL_NORM], reference->final_norm, error), fail);
    *out = reference;
    return GX_OK;
fail:
    gx_reference_free(reference);
    return status;
}

void gx_reference_free(gx_reference *reference)
{
    if (!reference)
        return;
    for (uint32_t n = 0; reference->kept && n < reference->model->num_hidden_layers; n++)
        gx_layer_weights_deinit(&reference->kept[n]);
    for (size_t i = 0; i < reference->rope_table_count; i++)
        gx_rope_table_deinit(&reference->rope_tables[i]);
    gx_free(reference->rope_tables);
    gx_free(reference->kept);
    gx_free(reference->kept_head);
    gx_free(reference->final_norm);
    gx_free(reference);
}

bool gx_reference_uses_blas(const gx_reference *reference)
{
    return reference->sgemm != NULL;
}

/* The table of a layer's rope, for all positions of the pass. */
static gx_status get_rope(const gx_pass *pass, const gx_layer *layer, const gx_rope_table **out, gx_error *error)
{
    gx_reference *reference = pass->reference;
    gx_rope_table *table = reference->rope_tables;
    gx_rope_table *end = table + reference->rope_table_count;
    while (table < end && !gx_rope_equal(&table->rope, &layer->rope))
        table++;
    if (table == end) {
        *table = (gx_rope_table){.rope = layer->rope};
        reference->rope_table_count++;
    }
    GX_TRY(gx_rope_table_extend(table, pass->longest, reference->options.rope_precision, error));
    *out = table;
    return GX_OK;
}

static gx_status embed_piece(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)worker;
    const gx_pass *pass = context;
    const gx_model *model = pass->reference->model;
    const size_t width = model->hidden_size;
    const size_t first = item * GX_PIECE_ROWS;
    const size_t end = pass->row_count - first < GX_PIECE_ROWS ? pass->row_count : first + GX_PIECE_ROWS;
    for (size_t row = first; row < end; row++) {
        const gx_pass_row *where = &pass->rows[row];
        const int64_t id = pass->sequences[where->sequence].ids[where->position - pass->pasts[where->sequence]];
        float *hidden = pass->hidden + row * width;
        GX_TRY(gx_weight_load_rows(model, &model->weights[GX_ROLE_EMBEDDING], (uint64_t)id, 1, hidden, error));
        for (size_t i = 0; i < width; i++)
            hidden[i] *= (float)model->embedding_multiplier;
    }
    gx_pass_tap(pass, "embedding", OUTSIDE_LAYERS, first, end - first, width, pass->hidden + first * width);
    return GX_OK;
}

static gx_status embed(gx_pass *pass, gx_error *error)
{
    return gx_parallel_for((pass->row_count + GX_PIECE_ROWS - 1) / GX_PIECE_ROWS, pass->threads, embed_piece, pass, error);
}

static gx_status run_layer(gx_pass *pass, uint32_t n, gx_error *error)
{
    gx_reference *reference = pass->reference;
    const gx_layer *layer = &reference->model->layers[n];
    const gx_rope_table *rope;
    GX_TRY(get_rope(pass, layer, &rope, error));
    gx_layer_weights *weights = &reference->kept[n];
    if (!weights->storage)
        GX_TRY(gx_layer_weights_load(weights, reference->model, layer, reference->options.threads, error));
    const gx_status status = gx_layer_run(pass, n, weights, rope, error);
    if (!reference->options.keep_weights)
        gx_layer_weights_deinit(weights);
    return status;
}

static void final_norm(gx_pass *pass)
{
    const gx_model *model = pass->reference->model;
    gx_norm_rows(pass->hidden, pass->row_count, model->hidden_size, pass->reference->final_norm, model->rms_norm_eps, pass->hidden);
    gx_pass_tap(pass, "final_norm", OUTSIDE_LAYERS, 0, pass->row_count, model->hidden_size, pass->hidden);
}

static gx_status run(gx_pass *pass, gx_error *error)
{
    GX_TRY(embed(pass, error));
    if (pass->layer_inputs)
        GX_TRY(gx_layer_inputs_run(pass, error));
    if (pass->streams)
        GX_TRY(gx_altup_begin(pass, error));
    for (uint32_t n = 0; n < pass->reference->model->num_hidden_layers; n++)
        GX_TRY(run_layer(pass, n, error));
    if (pass->streams)
        GX_TRY(gx_altup_end(pass, error));
    final_norm(pass);
    for (size_t s = 0; s < pass->sequence_count; s++)
        if (pass->sequences[s].cache)
            pass->sequences[s].cache->length += pass->sequences[s].count;
    return GX_OK;
}

gx_status gx_reference_forward(gx_reference *reference, const gx_reference_sequence *sequences, size_t count, float *hidden,
                               gx_error *error)
{
    gx_pass pass;
    gx_status status = gx_pass_init(&pass, reference, sequences, count, hidden, error);
    if (status == GX_OK)
        status = run(&pass, error);
    gx_pass_deinit(&pass);
    return status;
}
