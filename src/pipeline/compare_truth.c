/* Prompts of telling lengths, and what the reference makes of them. */
#include <string.h>

#include "pipeline/compare_internal.h"
#include "pipeline/evaluation.h"

#define LONGEST_SEQUENCE 2048u /* the reference is no race car */
#define KEEP_WEIGHTS_NBYTES (UINT64_C(3) << 30)

/* One id, around the length of a prefill call, 2.5 calls, up to the last slot. */
static size_t prompt_length(const gx_static_comparison *c, size_t number, size_t call)
{
    const size_t room = c->max_length < LONGEST_SEQUENCE ? c->max_length : LONGEST_SEQUENCE, most = room - c->steps;
    const size_t lengths[] = {most, call * 5 / 2, call - 1, 1, call, 6, 31, 150};
    const size_t length = number < sizeof lengths / sizeof *lengths ? lengths[number] : 1 + number * 37 % most;
    return length < 1 ? 1 : length > most ? most : length;
}

/* Rows of a batch that cannot hold padding are equally long. */
static gx_status choose_prompts(gx_static_comparison *c, size_t call, bool equal_rows, gx_error *error)
{
    c->steps = c->options->steps < c->max_length / 2 ? c->options->steps : c->max_length / 2;
    c->sequence_count = (c->options->prompts + c->batch - 1) / c->batch * c->batch;
    c->sequences = GX_NEW_ARRAY(c->arena, gx_compare_sequence, c->sequence_count);
    if (!c->sequences)
        return gx_fail_memory(error);
    const size_t longest = prompt_length(c, 0, call) + c->steps;
    int64_t *ids = NULL;
    GX_TRY(gx_evaluation_ids(&ids, c->arena, c->options->output_dir, c->options->text_file, (uint32_t)c->vocabulary,
                             c->source.model->bos_token_id, c->sequence_count, longest, error));
    for (size_t i = 0; i < c->sequence_count; i++)
        c->sequences[i] = (gx_compare_sequence){ids + i * longest, prompt_length(c, equal_rows ? i / c->batch : i, call)};
    return GX_OK;
}

typedef struct tapped {
    gx_static_comparison *c;
    size_t positions[GX_COMPARE_PHASES];
} tapped;

static void keep_layer(void *context, const char *name, int layer, size_t first_row, size_t rows, size_t columns, const float *values)
{
    const tapped *t = context;
    if (strcmp(name, "feedforward_residual") != 0)
        return;
    for (int phase = 0; phase < GX_COMPARE_PHASES; phase++) {
        const size_t at = t->positions[phase];
        if (at >= first_row && at < first_row + rows)
            memcpy(t->c->layer_states + ((size_t)phase * t->c->layers + (size_t)layer) * columns, values + (at - first_row) * columns,
                   columns * sizeof *values);
    }
}

static gx_status open_reference(gx_static_comparison *c, tapped *tap, gx_error *error)
{
    gx_reference_free(c->reference);
    c->reference = NULL;
    const gx_reference_options options = {.threads = c->threads,
                                          .keep_weights = c->source.model->parameters * sizeof(float) <= KEEP_WEIGHTS_NBYTES,
                                          .tap = tap ? keep_layer : NULL,
                                          .tap_context = tap};
    return gx_reference_new(&c->reference, c->source.model, &options, error);
}

static gx_status forward(gx_static_comparison *c, size_t number, float *all, gx_error *error)
{
    const gx_compare_sequence *s = &c->sequences[number];
    const size_t width = c->source.model->hidden_size;
    const gx_reference_sequence sequence = {.ids = s->ids, .count = s->prompt + c->steps};
    GX_TRY(gx_reference_forward(c->reference, &sequence, 1, all, error));
    if (c->hidden)
        memcpy(c->hidden + number * (1 + c->steps) * width, all + (s->prompt - 1) * width, (1 + c->steps) * width * sizeof *all);
    return gx_compare_progress(c, sequence.count, error);
}

/* The longest one once more, with its layers looked at. */
static gx_status run_reference(gx_static_comparison *c, gx_error *error)
{
    const size_t width = c->source.model->hidden_size;
    for (size_t i = 0; i < c->sequence_count; i++)
        if (c->sequences[i].prompt > c->sequences[c->longest].prompt)
            c->longest = i;
    const size_t most = c->sequences[c->longest].prompt + c->steps;
    tapped tap = {c, {c->sequences[c->longest].prompt - 1, most - 1}};
    float *all = gx_alloc(most * width, sizeof *all);
    c->layer_states = gx_alloc(GX_COMPARE_PHASES * c->layers * width, sizeof *c->layer_states);
    if (!c->record.prefill)
        c->hidden = gx_alloc(c->sequence_count * (1 + c->steps) * width, sizeof *c->hidden);
    gx_status status = all && c->layer_states && (c->hidden || c->record.prefill) ? GX_OK : gx_fail_memory(error);
    if (status == GX_OK)
        status = open_reference(c, &tap, error);
    if (status == GX_OK)
        status = forward(c, c->longest, all, error);
    if (status == GX_OK)
        status = open_reference(c, NULL, error);
    for (size_t i = 0; status == GX_OK && c->hidden && i < c->sequence_count; i++)
        status = forward(c, i, all, error);
    gx_free(all);
    return status;
}

gx_status gx_compare_make_truth(gx_static_comparison *c, gx_error *error)
{
    gx_opened_model model;
    gx_session_options options;
    gx_session_options_default(&options);
    gx_status status = gx_opened_model_open(&model, c->runtime, &c->files[0], &options, error);
    size_t call = 1, caches = 0;
    bool equal_rows = false;
    if (status == GX_OK) {
        c->batch = gx_decoder_batch(model.decoder);
        c->max_length = gx_decoder_max_length(model.decoder);
        c->vocabulary = gx_decoder_vocabulary(model.decoder);
        caches = gx_decoder_layer_count(model.decoder);
        call = gx_static_decoder_longest_call(model.decoder);
        equal_rows = !gx_static_decoder_takes_padding(model.decoder);
    }
    gx_opened_model_close(&model);
    GX_TRY(status);
    c->layers = c->source.model ? c->source.model->num_hidden_layers : 0;
    if (c->source.model && (c->source.model->vocab_size != c->vocabulary || gx_model_cache_count(c->source.model) != caches))
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s is not the model that %s was made from", c->source_path, c->options->output_dir);
    GX_TRY(c->options->reference_file ? gx_compare_read_record(c, error) : choose_prompts(c, call, equal_rows, error));
    for (size_t i = 0; i < c->sequence_count; i++)
        c->total += (c->record.prefill ? 0 : c->sequences[i].prompt + c->steps) + (1 + c->steps) * c->result_count;
    return c->source.model ? run_reference(c, error) : GX_OK;
}

gx_status gx_compare_expected(gx_static_comparison *c, size_t sequence, size_t step, float *logits, gx_error *error)
{
    if (c->record.prefill) {
        const float *recorded = step == 0 ? c->record.prefill + sequence * c->vocabulary
                                          : c->record.decode + (sequence * c->steps + step - 1) * c->vocabulary;
        memcpy(logits, recorded, c->vocabulary * sizeof *logits);
        return GX_OK;
    }
    return gx_reference_logits(c->reference, c->hidden + (sequence * (1 + c->steps) + step) * c->source.model->hidden_size, 1, logits, error);
}
