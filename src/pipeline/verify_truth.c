/* What the reference says: states of every position, greedy text, the largest magnitudes on the way. */
#include <math.h>
#include <string.h>

#include "pipeline/evaluation.h"
#include "pipeline/verify_internal.h"

#define DEFAULT_WINDOW_IDS 512u
#define LARGEST_DEFAULT_WINDOW_IDS 2048u
#define KEEP_WEIGHTS_NBYTES (UINT64_C(3) << 30) /* models up to this size stay in memory while text is generated */

static uint64_t longest_sliding_window(const gx_model *model)
{
    uint64_t longest = 0;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        if (model->layers[n].sliding_window > longest)
            longest = model->layers[n].sliding_window;
    return longest;
}

/* Long enough to see past the sliding window, where that is not too long. */
static size_t choose_window_ids(const gx_verification *v)
{
    const gx_model *model = v->source.model;
    size_t ids = v->options->window_ids;
    if (ids == 0) {
        const uint64_t beyond = longest_sliding_window(model) * 5 / 4;
        ids = beyond > DEFAULT_WINDOW_IDS && beyond <= LARGEST_DEFAULT_WINDOW_IDS ? (size_t)beyond : DEFAULT_WINDOW_IDS;
    }
    if (ids < 16)
        ids = 16;
    return ids < model->max_position_embeddings ? ids : model->max_position_embeddings;
}

/* ---- magnitudes ---- */

static bool is_stream_value(const char *name)
{
    static const char *const stream[] = {"embedding", "attention_residual", "feedforward_residual", "post_attention_norm", "post_feedforward_norm"};
    for (size_t i = 0; i < sizeof stream / sizeof *stream; i++)
        if (strcmp(stream[i], name) == 0)
            return true;
    return false;
}

static void record_magnitude(void *context, const char *name, int layer, size_t first_row, size_t rows, size_t columns, const float *values)
{
    gx_verification *v = context;
    (void)layer;
    (void)first_row;
    size_t i = 0;
    while (i < v->magnitude_count && strcmp(v->magnitudes[i].name, name) != 0)
        i++;
    if (i == GX_VERIFY_MAX_VALUES)
        return;
    if (i == v->magnitude_count)
        v->magnitudes[v->magnitude_count++] = (gx_verify_magnitude){.name = name, .is_stream = is_stream_value(name)};
    float largest = 0;
    for (size_t k = 0; k < rows * columns; k++)
        largest = fmaxf(largest, fabsf(values[k]));
    v->magnitudes[i].largest = fmax(v->magnitudes[i].largest, (double)largest);
}

static bool wants_magnitudes(const gx_verification *v)
{
    for (size_t i = 0; i < v->result_count; i++)
        if (strstr(v->results[i].precision, "f16") || strcmp(v->results[i].precision, "fp16") == 0)
            return true;
    return false;
}

/* ---- states and text ---- */

static gx_status make_states(gx_verification *v, gx_error *error)
{
    gx_verify_truth *truth = &v->truth;
    const size_t hidden_size = v->source.model->hidden_size;
    truth->hidden = gx_alloc(truth->windows * truth->window_ids * hidden_size, sizeof *truth->hidden);
    if (!truth->hidden)
        return gx_fail_memory(error);
    for (size_t w = 0; w < truth->windows; w++) {
        const gx_reference_sequence sequence = {.ids = truth->ids + w * truth->window_ids, .count = truth->window_ids};
        GX_TRY(gx_reference_forward(v->reference, &sequence, 1, truth->hidden + w * truth->window_ids * hidden_size, error));
        GX_TRY(gx_verify_progress(v, truth->window_ids, error));
    }
    return GX_OK;
}

/* A few, a few dozen and a few hundred ids. */
static void choose_prompts(gx_verify_truth *truth)
{
    static const size_t counts[GX_VERIFY_PROMPTS] = {6, 31, 150};
    for (size_t i = 0; i < GX_VERIFY_PROMPTS; i++)
        truth->prompt_counts[i] = counts[i] < truth->window_ids / 2 ? counts[i] : truth->window_ids / 2;
}

static gx_status make_greedy(gx_verification *v, gx_error *error)
{
    gx_verify_truth *truth = &v->truth;
    gx_reference_prompt prompts[GX_VERIFY_PROMPTS];
    size_t lengths[GX_VERIFY_PROMPTS];
    choose_prompts(truth);
    truth->greedy_ids = v->options->greedy_ids;
    truth->greedy = GX_NEW_ARRAY(v->arena, int64_t, GX_VERIFY_PROMPTS * truth->greedy_ids);
    if (!truth->greedy)
        return gx_fail_memory(error);
    for (size_t i = 0; i < GX_VERIFY_PROMPTS; i++)
        prompts[i] = (gx_reference_prompt){.ids = truth->ids, .count = truth->prompt_counts[i]};
    GX_TRY(gx_reference_generate(v->reference, prompts, GX_VERIFY_PROMPTS, truth->greedy_ids, NULL, 0, truth->greedy, lengths, error));
    return gx_verify_progress(v, truth->greedy_ids, error);
}

static gx_status open_reference(gx_verification *v, bool tap, gx_error *error)
{
    gx_reference_free(v->reference);
    v->reference = NULL;
    const gx_reference_options options = {.threads = v->threads,
                                          .keep_weights = v->source.model->parameters * sizeof(float) <= KEEP_WEIGHTS_NBYTES,
                                          .tap = tap ? record_magnitude : NULL,
                                          .tap_context = v};
    return gx_reference_new(&v->reference, v->source.model, &options, error);
}

gx_status gx_verify_make_truth(gx_verification *v, gx_error *error)
{
    gx_verify_truth *truth = &v->truth;
    truth->windows = v->options->windows;
    truth->window_ids = choose_window_ids(v);
    v->total = truth->windows * truth->window_ids * (1 + v->result_count) + truth->windows * truth->window_ids / 2 * v->result_count;
    int64_t *ids = NULL;
    GX_TRY(gx_evaluation_ids(&ids, v->arena, v->options->output_dir, v->options->text_file, v->source.model->vocab_size,
                             v->source.model->bos_token_id, truth->windows, truth->window_ids, error));
    truth->ids = ids;
    if (wants_magnitudes(v)) { /* on the first window; a tapped pass is slower */
        GX_TRY(open_reference(v, true, error));
        const gx_reference_sequence sequence = {.ids = truth->ids, .count = truth->window_ids < 128 ? truth->window_ids : 128};
        float *unused = gx_alloc(sequence.count * v->source.model->hidden_size, sizeof *unused);
        const gx_status status = unused ? gx_reference_forward(v->reference, &sequence, 1, unused, error) : gx_fail_memory(error);
        gx_free(unused);
        GX_TRY(status);
    }
    GX_TRY(open_reference(v, false, error));
    GX_TRY(make_states(v, error));
    return make_greedy(v, error);
}

void gx_verify_free_truth(gx_verification *v)
{
    gx_free(v->truth.hidden);
    v->truth.hidden = NULL;
}
