/* Measures one file: every position against the reference, the shipped file against itself, greedy text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "onnx/model_edit.h"
#include "pipeline/verify_internal.h"

#define MODEL_LIMIT (UINT64_C(2) << 30)
#define CHUNK_IDS 128u /* positions per step: bounds the logits in memory */
#define CACHED_IDS 8u  /* single steps at the end of a window */

typedef struct opened {
    gx_session *session;
    gx_decoder *decoder;
} opened;

static void close_opened(opened *o)
{
    gx_decoder_close(o->decoder);
    gx_session_close(o->session);
    *o = (opened){0};
}

static gx_status open_shipped(opened *o, gx_verification *v, const char *path, gx_error *error)
{
    gx_session_options options;
    gx_session_options_default(&options);
    options.threads = v->threads;
    GX_TRY(gx_session_open(&o->session, v->runtime, path, &options, error));
    return gx_decoder_open(&o->decoder, o->session, GX_DECODER_CACHE_DECLARED, error);
}

/* The same file, but with logits of every position: edited in memory, over the same weight file. */
static gx_status open_every_position(opened *o, gx_verification *v, const char *path, const char *folder, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    char *bytes = NULL;
    size_t nbytes = 0;
    gx_buffer edited = {0};
    gx_session_options options;
    gx_session_options_default(&options);
    options.threads = v->threads;
    gx_status status = arena ? gx_file_read_all(arena, path, MODEL_LIMIT, &bytes, &nbytes, error) : gx_fail_memory(error);
    if (status == GX_OK) {
        gx_error no_node = {0}; /* a file built with all logits needs no edit */
        if (gx_onnx_show_all_logits(&edited, bytes, nbytes, &no_node) == GX_OK)
            status = gx_session_open_bytes(&o->session, v->runtime, path, edited.data, edited.nbytes, folder, &options, error);
        else
            status = gx_session_open(&o->session, v->runtime, path, &options, error);
    }
    gx_buffer_deinit(&edited);
    gx_arena_free(arena);
    if (status == GX_OK)
        status = gx_decoder_open(&o->decoder, o->session, GX_DECODER_CACHE_DECLARED, error);
    return status;
}

/* ---- every position ---- */

typedef struct chunk {
    const int64_t *ids, *next; /* next id of each position; -1: none */
    const float *hidden;
    size_t count;
    gx_comparison_row *rows;
} chunk;

static gx_status compare_chunk(gx_verification *v, gx_decoder_state *state, const chunk *c, float *expected, float *last, gx_error *error)
{
    const size_t vocabulary = v->source.model->vocab_size;
    gx_decoder_logits logits;
    GX_TRY(gx_decoder_step(state, c->ids, c->count, &logits, error));
    if (logits.rows != c->count || logits.vocabulary != vocabulary)
        return gx_fail(error, GX_ERROR_MISMATCH, "logits of %zu positions and %zu ids, expected %zu and %zu", logits.rows, logits.vocabulary,
                       c->count, vocabulary);
    GX_TRY(gx_reference_logits(v->reference, c->hidden, c->count, expected, error));
    GX_TRY(gx_compare_rows(c->rows, expected, logits.values, c->count, vocabulary, c->next, v->threads, error));
    memcpy(last, gx_decoder_last_logits(&logits, 0), vocabulary * sizeof *last);
    return gx_verify_progress(v, c->count, error);
}

static gx_status compare_window(gx_verification *v, gx_verify_result *result, gx_decoder_state *state, size_t window, const int64_t *next,
                                float *expected, float *last, gx_error *error)
{
    const gx_verify_truth *truth = &v->truth;
    GX_TRY(gx_decoder_state_reset(state, NULL, error));
    for (size_t at = 0; at < truth->window_ids; at += CHUNK_IDS) {
        const size_t first = window * truth->window_ids + at, left = truth->window_ids - at;
        const chunk c = {.ids = truth->ids + first,
                         .next = next + first,
                         .hidden = truth->hidden + first * v->source.model->hidden_size,
                         .count = left < CHUNK_IDS ? left : CHUNK_IDS,
                         .rows = result->rows + first};
        GX_TRY(compare_chunk(v, state, &c, expected, last, error));
    }
    return GX_OK;
}

static void fill_next(int64_t *next, const gx_verify_truth *truth)
{
    for (size_t w = 0; w < truth->windows; w++)
        for (size_t i = 0; i < truth->window_ids; i++)
            next[w * truth->window_ids + i] = i + 1 < truth->window_ids ? truth->ids[w * truth->window_ids + i + 1] : -1;
}

static gx_comparison summarise_past(const gx_verification *v, const gx_verify_result *result, const int64_t *next, gx_comparison_row *rows,
                                    int64_t *ids)
{
    const gx_verify_truth *truth = &v->truth;
    size_t window = 0, count = 0;
    for (uint32_t n = 0; n < v->source.model->num_hidden_layers; n++)
        if (v->source.model->layers[n].sliding_window > window)
            window = v->source.model->layers[n].sliding_window;
    for (size_t i = 0; window != 0 && i < truth->windows * truth->window_ids; i++) {
        if (i % truth->window_ids < window)
            continue;
        rows[count] = result->rows[i];
        ids[count++] = next[i];
    }
    return gx_comparison_summarise(rows, count, v->source.model->vocab_size, ids);
}

typedef struct buffers {
    int64_t *next, *past_next;
    gx_comparison_row *past_rows;
    float *expected; /* [CHUNK_IDS, vocabulary] */
    float *last;     /* [vocabulary]: of the last window's last position */
} buffers;

static gx_status compare_every_position(gx_verification *v, gx_verify_result *result, const opened *o, const buffers *b, gx_error *error)
{
    const gx_verify_truth *truth = &v->truth;
    gx_decoder_state *state = NULL;
    GX_TRY(gx_decoder_state_new(&state, o->decoder, 1, truth->window_ids, error));
    gx_status status = GX_OK;
    for (size_t w = 0; status == GX_OK && w < truth->windows; w++)
        status = compare_window(v, result, state, w, b->next, b->expected, b->last, error);
    gx_decoder_state_free(state);
    if (status != GX_OK)
        return status;
    const size_t count = truth->windows * truth->window_ids;
    result->all = gx_comparison_summarise(result->rows, count, v->source.model->vocab_size, b->next);
    result->past_window = summarise_past(v, result, b->next, b->past_rows, b->past_next);
    return GX_OK;
}

/* ---- the file as it is ---- */

/* The larger one; NaN, which fmax passes over, is the worst. */
static double worse(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

static double largest_difference(const float *a, const float *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = worse(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

/* The last window at once, then again with its last ids one by one. Each must end where the chunks ended. */
static gx_status check_cached(gx_verification *v, gx_verify_result *result, const opened *o, const float *last, gx_error *error)
{
    const gx_verify_truth *truth = &v->truth;
    const int64_t *ids = truth->ids + (truth->windows - 1) * truth->window_ids;
    const size_t vocabulary = v->source.model->vocab_size, before = truth->window_ids - CACHED_IDS;
    gx_decoder_state *state = NULL;
    gx_decoder_logits logits;
    GX_TRY(gx_decoder_state_new(&state, o->decoder, 1, truth->window_ids, error));
    gx_status status = gx_decoder_step(state, ids, truth->window_ids, &logits, error);
    if (status == GX_OK)
        result->shipped_error = largest_difference(last, gx_decoder_last_logits(&logits, 0), vocabulary);
    if (status == GX_OK)
        status = gx_decoder_state_reset(state, NULL, error);
    if (status == GX_OK)
        status = gx_decoder_step(state, ids, before, &logits, error);
    for (size_t i = 0; status == GX_OK && i < CACHED_IDS; i++)
        status = gx_decoder_step(state, ids + before + i, 1, &logits, error);
    if (status == GX_OK)
        result->cached_error = largest_difference(last, gx_decoder_last_logits(&logits, 0), vocabulary);
    gx_decoder_state_free(state);
    return status;
}

/* Prompts of different length as one left-padded batch, against each alone; and one more step of the batch. */
static gx_status check_padded_batch(gx_verification *v, gx_verify_result *result, const opened *o, float *alone, gx_error *error)
{
    enum { ROWS = 3 };
    const gx_verify_truth *truth = &v->truth;
    const size_t vocabulary = v->source.model->vocab_size;
    const size_t width = truth->prompt_counts[ROWS - 1];
    size_t padding[ROWS];
    int64_t *ids = gx_alloc(ROWS * width, sizeof *ids);
    gx_decoder_state *batch = NULL, *single = NULL;
    gx_decoder_logits logits, expected;
    gx_status status = ids ? gx_decoder_state_new(&batch, o->decoder, ROWS, width + 1, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_decoder_state_new(&single, o->decoder, 1, width + 1, error);
    for (size_t r = 0; status == GX_OK && r < ROWS; r++) {
        padding[r] = width - truth->prompt_counts[r];
        memcpy(ids + r * width + padding[r], truth->ids, truth->prompt_counts[r] * sizeof *ids);
    }
    if (status == GX_OK)
        status = gx_decoder_state_reset(batch, padding, error);
    if (status == GX_OK)
        status = gx_decoder_step(batch, ids, width, &logits, error);
    const int64_t next[ROWS] = {truth->ids[1], truth->ids[1], truth->ids[1]};
    if (status == GX_OK)
        status = gx_decoder_step(batch, next, 1, &logits, error);
    for (size_t r = 0; status == GX_OK && r < ROWS; r++) {
        memcpy(alone, gx_decoder_last_logits(&logits, r), vocabulary * sizeof *alone);
        status = gx_decoder_state_reset(single, NULL, error);
        if (status == GX_OK)
            status = gx_decoder_step(single, truth->ids, truth->prompt_counts[r], &expected, error);
        if (status == GX_OK)
            status = gx_decoder_step(single, next, 1, &expected, error);
        if (status == GX_OK)
            result->padded_error = worse(result->padded_error, largest_difference(alone, gx_decoder_last_logits(&expected, 0), vocabulary));
    }
    gx_decoder_state_free(single);
    gx_decoder_state_free(batch);
    gx_free(ids);
    return status;
}

static int64_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int64_t)best;
}

/* How many greedy ids agree before the first that does not. */
static gx_status check_greedy(gx_verification *v, gx_verify_result *result, const opened *o, size_t prompt, gx_error *error)
{
    const gx_verify_truth *truth = &v->truth;
    const size_t count = truth->prompt_counts[prompt];
    const int64_t *expected = truth->greedy + prompt * truth->greedy_ids;
    gx_decoder_state *state = NULL;
    gx_decoder_logits logits;
    GX_TRY(gx_decoder_state_new(&state, o->decoder, 1, count + truth->greedy_ids, error));
    gx_status status = gx_decoder_step(state, truth->ids, count, &logits, error);
    size_t same = 0;
    while (status == GX_OK && same < truth->greedy_ids) {
        const int64_t id = likeliest(gx_decoder_last_logits(&logits, 0), logits.vocabulary);
        if (id != expected[same])
            break;
        if (++same < truth->greedy_ids)
            status = gx_decoder_step(state, &id, 1, &logits, error);
    }
    result->same_greedy[prompt] = same;
    gx_decoder_state_free(state);
    return status;
}

static gx_status check_shipped(gx_verification *v, gx_verify_result *result, const opened *o, const buffers *b, gx_error *error)
{
    result->warnings = gx_session_warning_count(o->session);
    GX_TRY(check_cached(v, result, o, b->last, error));
    GX_TRY(check_padded_batch(v, result, o, b->expected, error));
    for (size_t i = 0; i < GX_VERIFY_PROMPTS; i++)
        GX_TRY(check_greedy(v, result, o, i, error));
    return gx_verify_progress(v, v->truth.windows * v->truth.window_ids / 2, error);
}

/* ---- verdict ---- */

/* NULL: weights were not compared. */
static const gx_verify_weight *worst_weight(const gx_verify_result *r)
{
    const gx_verify_weight *worst = r->weights;
    for (size_t i = 1; i < r->weight_count; i++)
        if (!(r->weights[i].relative_error <= worst->relative_error))
            worst = &r->weights[i];
    return r->weight_count ? worst : NULL;
}

static void judge(const gx_verification *v, gx_verify_result *r)
{
    const gx_verify_bars *bars = r->bars;
    const double deviation = r->all.standard_deviation, kl_bar = bars->mean_kl != 0 ? bars->mean_kl : v->options->max_kl;
    r->shipped_error /= deviation;
    r->cached_error /= deviation;
    r->padded_error /= deviation;
    const gx_verify_weight *worst = worst_weight(r);
    const double inconsistency = worse(r->shipped_error, worse(r->cached_error, r->padded_error));
    r->failure[0] = 0;
    if (!r->all.finite)
        snprintf(r->failure, sizeof r->failure, "logits hold NaN or infinity");
    else if (bars->max_error != 0 && r->all.max_error > bars->max_error * deviation)
        snprintf(r->failure, sizeof r->failure, "largest error %.3g standard deviations, expected at most %g", r->all.max_error / deviation,
                 bars->max_error);
    else if (worst && !(worst->relative_error <= bars->weight_error))
        snprintf(r->failure, sizeof r->failure, "%.80s differs from the source by %.3g of its size, expected at most %g", worst->name,
                 worst->relative_error, bars->weight_error);
    else if (!(r->all.mean_kl <= kl_bar))
        snprintf(r->failure, sizeof r->failure, "mean KL %.4g nats, expected at most %g", r->all.mean_kl, kl_bar);
    else if (r->all.same_top < bars->same_top)
        snprintf(r->failure, sizeof r->failure, "the likeliest id agrees in %.2f %% of positions, expected %.2f %%", 100 * r->all.same_top,
                 100 * bars->same_top);
    else if (!(inconsistency <= bars->consistency))
        snprintf(r->failure, sizeof r->failure,
                 "the file disagrees with itself (all at once %.3g, cached %.3g, left-padded %.3g standard deviations), expected at most %g",
                 r->shipped_error, r->cached_error, r->padded_error, bars->consistency);
    r->passed = r->failure[0] == 0;
}

/* ---- all ---- */

static gx_status make_buffers(gx_verification *v, gx_verify_result *result, buffers *b, gx_error *error)
{
    const size_t count = v->truth.windows * v->truth.window_ids, vocabulary = v->source.model->vocab_size;
    result->rows = GX_NEW_ARRAY(v->arena, gx_comparison_row, count);
    b->next = gx_alloc(count, sizeof *b->next);
    b->past_next = gx_alloc(count, sizeof *b->past_next);
    b->past_rows = gx_alloc(count, sizeof *b->past_rows);
    b->expected = gx_alloc((uint64_t)CHUNK_IDS * vocabulary, sizeof *b->expected);
    b->last = gx_alloc(vocabulary, sizeof *b->last);
    if (!result->rows || !b->next || !b->past_next || !b->past_rows || !b->expected || !b->last)
        return gx_fail_memory(error);
    fill_next(b->next, &v->truth);
    return GX_OK;
}

static void free_buffers(buffers *b)
{
    gx_free(b->next);
    gx_free(b->past_next);
    gx_free(b->past_rows);
    gx_free(b->expected);
    gx_free(b->last);
}

static gx_status measure(gx_verification *v, gx_verify_result *result, const char *path, const char *folder, buffers *b, opened *o,
                         gx_error *error)
{
    GX_TRY(make_buffers(v, result, b, error));
    GX_TRY(open_every_position(o, v, path, folder, error));
    GX_TRY(compare_every_position(v, result, o, b, error));
    close_opened(o); /* one session at a time: each holds its own packed weights */
    GX_TRY(open_shipped(o, v, path, error));
    return check_shipped(v, result, o, b, error);
}

gx_status gx_verify_measure(gx_verification *v, gx_verify_result *result, const char *folder, gx_error *error)
{
    const char *path = gx_path_join(v->arena, folder, result->file);
    if (!path)
        return gx_fail_memory(error);
    gx_file *file = NULL;
    GX_TRY(gx_file_open(&file, path, error));
    result->nbytes += gx_file_nbytes(file);
    gx_file_close(file);
    buffers b = {0};
    opened o = {0};
    gx_status status = measure(v, result, path, folder, &b, &o, error);
    close_opened(&o);
    free_buffers(&b);
    if (status == GX_OK)
        status = gx_verify_weigh(v, result, folder, error);
    if (status == GX_OK)
        judge(v, result);
    return status;
}
