/*
 * Where a difference starts: every layer's output at two positions, after the prompt and after the last step, against the
 * reference's. The graphs are edited in memory to show them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/compare_internal.h"

/* Noise of fp32 sums; a layer that is wrong errs by far more. */
#define NOISE 1e-5

typedef struct seen {
    float *states; /* [layers, width]: of the last call's last id */
    size_t width;
} seen;

static void keep_state(void *context, size_t index, size_t columns, const float *values)
{
    const seen *s = context;
    if (columns == s->width)
        memcpy(s->states + index * columns, values, columns * sizeof *values);
}

static gx_compare_layer compare_layer(const float *found, const float *expected, size_t n, double scale)
{
    double dot = 0, found_square = 0, expected_square = 0, error = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)found[i] / scale, y = expected[i];
        dot += x * y;
        found_square += x * x;
        expected_square += y * y;
        error += (x - y) * (x - y);
    }
    return (gx_compare_layer){dot / sqrt(found_square * expected_square), sqrt(error / expected_square)};
}

/* Where the error grows most, from one layer to the next; layers within the noise are none. */
static void find_first(const gx_static_comparison *c, gx_compare_result *result)
{
    double steepest = 0;
    result->first_layer = -1;
    for (int phase = 0; phase < GX_COMPARE_PHASES; phase++) {
        double before = NOISE;
        for (size_t n = 0; n < c->layers; n++) {
            const double error = result->layers[(size_t)phase * c->layers + n].error, growth = isfinite(error) ? error / before : INFINITY;
            if (error > 2 * NOISE && growth > steepest) {
                steepest = growth;
                result->first_layer = (int)n;
                result->first_phase = phase;
            }
            before = error > NOISE ? error : NOISE;
        }
    }
}

static gx_status name_layers(const char ***out, gx_static_comparison *c, gx_error *error)
{
    const char **names = GX_NEW_ARRAY(c->arena, const char *, c->layers);
    for (size_t n = 0; names && n < c->layers; n++)
        if (!(names[n] = gx_arena_printf(c->arena, "/model/layers.%zu/feedforward_residual", n)))
            return gx_fail_memory(error);
    *out = names;
    return names ? GX_OK : gx_fail_memory(error);
}

/* The longest sequence in every row of a batch; row 0 is looked at. */
static gx_status feed(const gx_static_comparison *c, gx_decoder_state *state, size_t first, size_t count, gx_error *error)
{
    gx_static_row rows[8];
    gx_decoder_logits logits;
    for (size_t r = 0; r < c->batch && r < 8; r++)
        rows[r] = (gx_static_row){c->sequences[c->longest].ids + first, count};
    return gx_static_decoder_feed(state, rows, &logits, error);
}

static gx_status measure(gx_static_comparison *c, gx_compare_result *result, const gx_decoder *decoder, seen *s, const char *const *names, double scale,
                         gx_error *error)
{
    const gx_compare_sequence *longest = &c->sequences[c->longest];
    const gx_static_tap tap = {.names = names, .count = c->layers, .callback = keep_state, .context = s};
    gx_decoder_state *state = NULL;
    GX_TRY(gx_decoder_state_new(&state, decoder, c->batch, longest->prompt + c->steps, error));
    gx_status status = gx_static_decoder_set_tap(state, &tap, error);
    for (int phase = 0; status == GX_OK && phase < GX_COMPARE_PHASES; phase++) {
        if (phase == GX_COMPARE_PREFILL)
            status = feed(c, state, 0, longest->prompt, error);
        for (size_t i = 0; phase == GX_COMPARE_DECODE && status == GX_OK && i < c->steps; i++)
            status = feed(c, state, longest->prompt + i, 1, error);
        for (size_t n = 0; status == GX_OK && n < c->layers; n++)
            result->layers[(size_t)phase * c->layers + n] =
                compare_layer(s->states + n * s->width, c->layer_states + ((size_t)phase * c->layers + n) * s->width, s->width, scale);
    }
    gx_decoder_state_free(state);
    return status;
}

static double residual_scale(const gx_opened_model *model)
{
    const char *text = gx_session_metadata(model->sessions[0], "gemma_onnx.residual_scale");
    const double scale = text ? strtod(text, NULL) : 1;
    return scale > 0 ? scale : 1;
}

gx_status gx_compare_measure_layers(gx_static_comparison *c, gx_compare_result *result, gx_error *error)
{
    gx_session_options options;
    gx_opened_model model;
    const char **names = NULL;
    gx_session_options_default(&options);
    options.threads = c->threads;
    GX_TRY(name_layers(&names, c, error));
    seen s = {.width = c->source.model->hidden_size};
    s.states = gx_alloc(c->layers * s.width, sizeof *s.states);
    result->layers = GX_NEW_ARRAY(c->arena, gx_compare_layer, GX_COMPARE_PHASES * c->layers);
    if (!s.states || !result->layers) {
        gx_free(s.states);
        return gx_fail_memory(error);
    }
    gx_status status = gx_opened_model_open_static(&model, c->runtime, result->file, &(gx_shown_values){names, c->layers}, &options, error);
    if (status == GX_OK)
        status = measure(c, result, model.decoder, &s, names, residual_scale(&model), error);
    gx_opened_model_close(&model);
    gx_free(s.states);
    if (status == GX_OK)
        find_first(c, result);
    return status;
}
