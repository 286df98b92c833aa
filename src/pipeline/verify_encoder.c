/* The proof of an encoder: texts of many lengths, each alone and in padded batches, against the reference. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/encoder_set.h"
#include "pipeline/evaluation.h"
#include "pipeline/verify_internal.h"

#define TEXTS 8u
#define LONGEST_TEXT 512u

/* What a precision must reach: `distance` is 1 - cosine, on average. What quantisation costs is reported; its bar finds what is broken. */
typedef struct encoder_bars {
    const char *precision;
    double hidden_error; /* in standard deviations; 0: no bar */
    double distance;
    double consistency; /* of padded batches, in standard deviations */
} encoder_bars;

static const encoder_bars bars[] = {
    {"fp32", 2e-4, 1e-6, 2e-4}, {"fp16", 0, 1e-3, 0.05}, {"q4", 0, 0.5, 0.5}, {"q4f16", 0, 0.5, 0.5}, {"q8", 0, 0.05, 2e-4},
    {"int8", 0, 0.05, 0.5},
};

typedef struct truth {
    gx_encoder_text texts[TEXTS];
    size_t lengths[TEXTS];
    size_t rows; /* ids of all texts */
    float *hidden;
} truth;

typedef struct measuring {
    gx_verification *v;
    gx_verify_result *result;
    const truth *truth;
    gx_encoder_set set;
    size_t dimension;
    float *hidden, *expected, *alone, *padded; /* the embeddings: [TEXTS, dimension] */
} measuring;

/* ---- the texts ---- */

/* From a word to a page, or to what the graphs take. */
static gx_status choose_texts(truth *t, gx_verification *v, size_t longest, gx_error *error)
{
    static const size_t parts[TEXTS] = {256, 100, 43, 17, 8, 4, 2, 1};
    int64_t *ids = NULL;
    GX_TRY(gx_evaluation_ids(&ids, v->arena, v->options->output_dir, v->options->text_file, v->source.model->vocab_size, v->source.model->bos_token_id, TEXTS, longest,
                             error));
    for (size_t i = 0; i < TEXTS; i++) {
        t->lengths[i] = (longest + parts[i] - 1) / parts[i];
        t->texts[i] = (gx_encoder_text){ids + i * longest, t->lengths[i]};
        t->rows += t->lengths[i];
    }
    return GX_OK;
}

static gx_status make_truth(truth *t, gx_verification *v, gx_error *error)
{
    gx_reference_sequence sequences[TEXTS];
    const gx_reference_options options = {.threads = v->threads};
    for (size_t i = 0; i < TEXTS; i++)
        sequences[i] = (gx_reference_sequence){.ids = t->texts[i].ids, .count = t->texts[i].count};
    t->hidden = gx_alloc(t->rows * v->source.model->hidden_size, sizeof *t->hidden);
    if (!t->hidden)
        return gx_fail_memory(error);
    GX_TRY(gx_reference_new(&v->reference, v->source.model, &options, error));
    GX_TRY(gx_reference_forward(v->reference, sequences, TEXTS, t->hidden, error));
    return gx_verify_progress(v, 1, error);
}

/* ---- one file ---- */

static double largest_difference(const float *a, const float *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= worst)) /* a NaN counts */
            worst = difference;
    }
    return worst;
}

static double deviation(const float *values, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    return sqrt(fmax(squares / (double)count - sum / (double)count * (sum / (double)count), 1e-30));
}

static double cosine(const float *a, const float *b, size_t count)
{
    double product = 0, a_squares = 0, b_squares = 0;
    for (size_t i = 0; i < count; i++) {
        product += (double)a[i] * (double)b[i];
        a_squares += (double)a[i] * (double)a[i];
        b_squares += (double)b[i] * (double)b[i];
    }
    return product / sqrt(fmax(a_squares * b_squares, 1e-300));
}

static size_t nearest(const float *embeddings, size_t dimension, size_t text)
{
    size_t best = TEXTS;
    double best_cosine = -2;
    for (size_t i = 0; i < TEXTS; i++) {
        const double c = i == text ? -3 : cosine(embeddings + i * dimension, embeddings + text * dimension, dimension);
        if (c > best_cosine) {
            best = i;
            best_cosine = c;
        }
    }
    return best;
}

static gx_status run_alone(measuring *m, gx_error *error)
{
    const size_t width = m->v->source.model->hidden_size;
    float *hidden = m->hidden;
    for (size_t i = 0; i < TEXTS; i++) {
        GX_TRY(gx_encoder_set_run(&m->set, &m->truth->texts[i], 1, GX_PAD_RIGHT, m->alone + i * m->dimension, hidden, width, error));
        hidden += m->truth->lengths[i] * width;
        GX_TRY(gx_verify_progress(m->v, 1, error));
    }
    return GX_OK;
}

static gx_status run_padded(measuring *m, double *worst, gx_error *error)
{
    const double scale = deviation(m->expected, TEXTS * m->dimension);
    for (int side = GX_PAD_RIGHT; side <= GX_PAD_LEFT; side++) {
        GX_TRY(gx_encoder_set_run(&m->set, m->truth->texts, TEXTS, (gx_padding_side)side, m->padded, NULL, 0, error));
        const double difference = largest_difference(m->padded, m->alone, TEXTS * m->dimension) / scale;
        *worst = difference <= *worst ? *worst : difference;
        GX_TRY(gx_verify_progress(m->v, 1, error));
    }
    return GX_OK;
}

static void compare(measuring *m)
{
    gx_verify_embeddings *e = &m->result->embeddings;
    const size_t hidden = m->truth->rows * m->v->source.model->hidden_size, all = TEXTS * m->dimension;
    e->hidden_error = largest_difference(m->hidden, m->truth->hidden, hidden) / deviation(m->truth->hidden, hidden);
    e->embedding_error = largest_difference(m->alone, m->expected, all) / deviation(m->expected, all);
    e->finite = isfinite(e->hidden_error) && isfinite(e->embedding_error);
    for (size_t i = 0; i < TEXTS; i++) {
        const double distance = 1 - cosine(m->alone + i * m->dimension, m->expected + i * m->dimension, m->dimension);
        e->distances[i] = distance;
        e->mean_distance += distance / TEXTS;
        e->max_distance = fmax(e->max_distance, distance);
        e->same_nearest += nearest(m->alone, m->dimension, i) == nearest(m->expected, m->dimension, i);
    }
}

static gx_status make_buffers(measuring *m, gx_error *error)
{
    const size_t all = TEXTS * m->dimension;
    m->hidden = gx_alloc(m->truth->rows * m->v->source.model->hidden_size, sizeof *m->hidden);
    m->expected = gx_alloc(all, sizeof *m->expected);
    m->alone = gx_alloc(all, sizeof *m->alone);
    m->padded = gx_alloc(all, sizeof *m->padded);
    m->result->embeddings.distances = GX_NEW_ARRAY(m->v->arena, double, TEXTS);
    return m->hidden && m->expected && m->alone && m->padded && m->result->embeddings.distances ? GX_OK : gx_fail_memory(error);
}

static gx_status measure(measuring *m, const gx_model_file *file, gx_error *error)
{
    gx_session_options options;
    gx_session_options_default(&options);
    options.threads = m->v->threads;
    GX_TRY(gx_encoder_set_open(&m->set, m->v->runtime, file, &options, error));
    m->dimension = gx_encoder_set_dimension(&m->set);
    if (m->dimension > m->v->source.model->sentence.dimension)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: embeddings of %zu values, the checkpoint's have %llu", file->path, m->dimension,
                       (unsigned long long)m->v->source.model->sentence.dimension);
    GX_TRY(make_buffers(m, error));
    GX_TRY(gx_reference_embed(m->v->reference, m->truth->hidden, m->truth->lengths, TEXTS, m->dimension, m->expected, error));
    GX_TRY(run_alone(m, error));
    GX_TRY(run_padded(m, &m->result->embeddings.padded_error, error));
    m->result->warnings = gx_encoder_set_warnings(&m->set);
    compare(m);
    return GX_OK;
}

static const gx_verify_weight *worst_weight(const gx_verify_result *r)
{
    const gx_verify_weight *worst = NULL;
    for (size_t i = 0; i < r->weight_count; i++)
        if (!worst || !(r->weights[i].relative_error <= worst->relative_error))
            worst = &r->weights[i];
    return worst;
}

static void judge(gx_verify_result *r)
{
    const gx_verify_embeddings *e = &r->embeddings;
    const gx_verify_weight *worst = worst_weight(r);
    const encoder_bars *b = bars;
    while (strcmp(b->precision, r->precision) != 0)
        b++;
    r->failure[0] = 0;
    if (!e->finite)
        snprintf(r->failure, sizeof r->failure, "an output holds NaN or infinity");
    else if (b->hidden_error != 0 && !(e->hidden_error <= b->hidden_error))
        snprintf(r->failure, sizeof r->failure, "a hidden state is off by %.3g standard deviations, expected at most %g", e->hidden_error, b->hidden_error);
    else if (worst && !(worst->relative_error <= r->bars->weight_error))
        snprintf(r->failure, sizeof r->failure, "%.80s differs from the source by %.3g of its size, expected at most %g", worst->name, worst->relative_error,
                 r->bars->weight_error);
    else if (!(e->mean_distance <= b->distance))
        snprintf(r->failure, sizeof r->failure, "1 - cosine is %.3g on average, expected at most %g", e->mean_distance, b->distance);
    else if (!(e->padded_error <= b->consistency))
        snprintf(r->failure, sizeof r->failure, "padding changes an embedding by %.3g standard deviations, expected at most %g", e->padded_error, b->consistency);
    r->passed = r->failure[0] == 0;
}

static gx_status measure_file(gx_verification *v, gx_verify_result *result, const truth *t, const gx_model_file *file, gx_error *error)
{
    measuring m = {.v = v, .result = result, .truth = t};
    gx_status status = measure(&m, file, error);
    gx_encoder_set_close(&m.set);
    gx_free(m.hidden);
    gx_free(m.expected);
    gx_free(m.alone);
    gx_free(m.padded);
    if (status == GX_OK && !v->is_static)
        status = gx_verify_weigh(v, result, gx_path_join(v->arena, v->options->output_dir, "onnx"), error);
    if (status == GX_OK)
        judge(result);
    else
        gx_error_note(error, "%s", result->precision);
    return status;
}

/* ---- all ---- */

static const gx_model_file *find_file(const gx_model_file *files, size_t count, const gx_verification *v, const char *precision)
{
    for (size_t i = 0; i < count; i++)
        if (files[i].is_static == v->is_static && strcmp(files[i].precision, precision) == 0)
            return &files[i];
    return NULL;
}

/* The longest text that every graph takes. */
static gx_status find_longest(size_t *out, gx_verification *v, const gx_model_file *files, size_t count, gx_error *error)
{
    *out = v->options->window_ids ? v->options->window_ids : LONGEST_TEXT;
    if (*out > v->source.model->max_position_embeddings)
        *out = v->source.model->max_position_embeddings;
    for (size_t i = 0; i < v->result_count; i++) {
        const gx_model_file *file = find_file(files, count, v, v->results[i].precision);
        gx_encoder_set set;
        if (!file)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is listed, but not there", v->options->output_dir, v->results[i].file);
        if (!v->is_static)
            continue;
        gx_session_options options;
        gx_session_options_default(&options);
        const gx_status status = gx_encoder_set_open(&set, v->runtime, file, &options, error);
        const size_t most = status == GX_OK ? gx_encoder_set_max_length(&set) : 0;
        gx_encoder_set_close(&set);
        GX_TRY(status);
        if (most && most < *out)
            *out = most;
    }
    return GX_OK;
}

static gx_status run(gx_verification *v, truth *t, const gx_model_file *files, size_t count, gx_error *error)
{
    size_t longest = 0;
    GX_TRY(find_longest(&longest, v, files, count, error));
    v->total = 1 + v->result_count * (TEXTS + 2);
    GX_TRY(choose_texts(t, v, longest, error));
    GX_TRY(make_truth(t, v, error));
    for (size_t i = 0; i < v->result_count; i++)
        GX_TRY(measure_file(v, &v->results[i], t, find_file(files, count, v, v->results[i].precision), error));
    return gx_verify_encoder_report(v, TEXTS, t->lengths, error);
}

gx_status gx_verify_encoder(gx_verification *v, gx_error *error)
{
    gx_model_file files[GX_MAX_MODEL_FILES];
    size_t count = 0;
    truth t = {0};
    GX_TRY(gx_output_folder_models(files, &count, v->arena, v->options->output_dir, v->options->precisions, error));
    const gx_status status = run(v, &t, files, count, error);
    gx_free(t.hidden);
    return status;
}
