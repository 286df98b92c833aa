/* gx_compare: static pairs driven as a host would, against the reference or a record. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/threads.h"
#include "pipeline/compare_internal.h"
#include "pipeline/local_source.h"

#define FP16_MEAN_KL 1e-3
#define FP16_SAME_TOP 0.98

void gx_compare_options_default(gx_compare_options *options)
{
    *options = (gx_compare_options){.size = sizeof *options, .tolerance = 1e-3, .max_kl = 1, .prompts = 8, .steps = 32};
}

gx_status gx_compare_progress(gx_static_comparison *c, uint64_t steps, gx_error *error)
{
    c->done += steps;
    const gx_progress progress = {.phase = "compare", .done = c->done, .total = c->total};
    if (c->options->progress && !c->options->progress(c->options->progress_context, &progress))
        return gx_fail(error, GX_ERROR_CANCELLED, "cancelled");
    return GX_OK;
}

/* ---- one pair ---- */

typedef struct driving {
    gx_static_comparison *c;
    gx_compare_result *result;
    gx_decoder_state *state;
    float *expected; /* [vocabulary] */
    double largest;  /* expected logit */
} driving;

static gx_status compare_step(driving *d, size_t first, size_t step, const gx_decoder_logits *logits, gx_error *error)
{
    gx_static_comparison *c = d->c;
    for (size_t r = 0; r < c->batch; r++) {
        GX_TRY(gx_compare_expected(c, first + r, step, d->expected, error));
        for (size_t i = 0; i < c->vocabulary; i++)
            d->largest = fmax(d->largest, fabs((double)d->expected[i]));
        d->result->rows[(first + r) * (1 + c->steps) + step] = gx_compare_row(d->expected, logits->values + r * c->vocabulary, c->vocabulary, -1);
    }
    return gx_compare_progress(c, c->batch, error);
}

/* Sequences first … first + batch - 1 as one batch: their prompts, then step by step. */
static gx_status drive_batch(driving *d, size_t first, gx_error *error)
{
    gx_static_comparison *c = d->c;
    gx_static_row rows[8];
    gx_decoder_logits logits;
    GX_TRY(gx_decoder_state_reset(d->state, NULL, error));
    for (size_t step = 0; step <= c->steps; step++) {
        for (size_t r = 0; r < c->batch; r++) {
            const gx_compare_sequence *s = &c->sequences[first + r];
            rows[r] = step == 0 ? (gx_static_row){s->ids, s->prompt} : (gx_static_row){s->ids + s->prompt + step - 1, 1};
        }
        GX_TRY(gx_static_decoder_feed(d->state, rows, &logits, error));
        GX_TRY(compare_step(d, first, step, &logits, error));
    }
    return GX_OK;
}

static gx_status summarise(driving *d, gx_error *error)
{
    const gx_static_comparison *c = d->c;
    gx_compare_result *r = d->result;
    gx_comparison_row *rows = gx_alloc(c->sequence_count * (1 + c->steps), sizeof *rows);
    if (!rows)
        return gx_fail_memory(error);
    size_t count = 0;
    for (size_t i = 0; i < c->sequence_count; i++)
        rows[count++] = r->rows[i * (1 + c->steps)];
    r->prefill = gx_comparison_summarise(rows, count, c->vocabulary, NULL);
    count = 0;
    for (size_t i = 0; i < c->sequence_count; i++)
        for (size_t step = 1; step <= c->steps; step++)
            rows[count++] = r->rows[i * (1 + c->steps) + step];
    r->decode = gx_comparison_summarise(rows, count, c->vocabulary, NULL);
    r->relative_error = d->largest > 0 ? fmax(r->prefill.max_error, r->decode.max_error) / d->largest : 0;
    gx_free(rows);
    return GX_OK;
}

static gx_status drive(driving *d, const gx_decoder *decoder, gx_error *error)
{
    gx_static_comparison *c = d->c;
    if (gx_decoder_batch(decoder) != c->batch || gx_decoder_vocabulary(decoder) != c->vocabulary || gx_decoder_max_length(decoder) != c->max_length)
        return gx_fail(error, GX_ERROR_FORMAT, "the pair in %s is not of one shape with the others beside it", d->result->file->precision);
    GX_TRY(gx_decoder_state_new(&d->state, decoder, c->batch, c->max_length, error));
    for (size_t first = 0; first < c->sequence_count; first += c->batch)
        GX_TRY(drive_batch(d, first, error));
    return summarise(d, error);
}

/* Over all positions: where a rounding to fp16 turns a token to another expert, one position says little. */
static double mean_of_both(const gx_compare_result *r)
{
    const double prefill = (double)r->prefill.positions, decode = (double)r->decode.positions;
    return (prefill * r->prefill.mean_kl + (decode > 0 ? decode * r->decode.mean_kl : 0)) / (prefill + decode);
}

static void judge(const gx_static_comparison *c, gx_compare_result *r)
{
    const double max_error = fmax(r->prefill.max_error, r->decode.max_error);
    const bool exact = strcmp(r->file->precision, "fp32") == 0, half = strcmp(r->file->precision, "fp16") == 0;
    const double kl = half ? mean_of_both(r) : fmax(r->prefill.mean_kl, r->decode.mean_kl);
    const double kl_bar = half ? FP16_MEAN_KL : c->options->max_kl;
    char where[96] = "";
    if (r->layers && r->first_layer >= 0)
        snprintf(where, sizeof where, "; the difference starts in layer %d (%s)", r->first_layer, r->first_phase == GX_COMPARE_PREFILL ? "prefill" : "decode");
    else if (r->layers)
        snprintf(where, sizeof where, "; no layer differs: the final norm or the head");
    r->failure[0] = 0;
    if (!r->prefill.finite || !r->decode.finite)
        snprintf(r->failure, sizeof r->failure, "logits hold NaN or infinity%s", where);
    else if (exact && !(max_error <= c->options->tolerance))
        snprintf(r->failure, sizeof r->failure, "a logit differs by %.3g, expected at most %g%s", max_error, c->options->tolerance, where);
    else if (!exact && !(kl <= kl_bar))
        snprintf(r->failure, sizeof r->failure, "mean KL %.4g nats, expected at most %g%s", kl, kl_bar, where);
    else if (half && r->decode.same_top < FP16_SAME_TOP)
        snprintf(r->failure, sizeof r->failure, "the likeliest id agrees in %.1f %% of steps%s", 100 * r->decode.same_top, where);
    r->passed = r->failure[0] == 0;
}

static gx_status measure(gx_static_comparison *c, gx_compare_result *result, gx_error *error)
{
    gx_opened_model model;
    gx_session_options options;
    gx_session_options_default(&options);
    options.threads = c->threads;
    result->rows = GX_NEW_ARRAY(c->arena, gx_comparison_row, c->sequence_count * (1 + c->steps));
    driving d = {.c = c, .result = result, .expected = gx_alloc(c->vocabulary, sizeof *d.expected)};
    if (!result->rows || !d.expected) {
        gx_free(d.expected);
        return gx_fail_memory(error);
    }
    gx_status status = gx_opened_model_open(&model, c->runtime, result->file, &options, error);
    if (status == GX_OK)
        status = drive(&d, model.decoder, error);
    gx_decoder_state_free(d.state);
    gx_opened_model_close(&model);
    gx_free(d.expected);
    if (status == GX_OK && c->layer_states)
        status = gx_compare_measure_layers(c, result, error);
    if (status == GX_OK)
        judge(c, result);
    return status;
}

/* ---- all ---- */

static gx_status pick_files(gx_static_comparison *c, gx_error *error)
{
    gx_model_file files[GX_MAX_MODEL_FILES];
    size_t count = 0;
    GX_TRY(gx_output_folder_models(files, &count, c->arena, c->options->output_dir, c->options->precisions, error));
    for (size_t i = 0; i < count; i++)
        if (files[i].is_static)
            c->files[c->result_count++] = files[i];
    if (c->result_count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: no static pair in it; is it a folder that convert wrote?", c->options->output_dir);
    c->results = GX_NEW_ARRAY(c->arena, gx_compare_result, c->result_count);
    if (!c->results)
        return gx_fail_memory(error);
    for (size_t i = 0; i < c->result_count; i++)
        c->results[i].file = &c->files[i];
    return GX_OK;
}

/* A record can do without the checkpoint; layers are then not looked at. */
static gx_status open_source(gx_static_comparison *c, gx_error *error)
{
    const gx_hub_request source = {.model = c->options->against, .options = c->options->hub, .progress = c->options->progress, .progress_context = c->options->progress_context};
    GX_TRY(gx_judge_locate(&c->source_path, c->arena, &source, c->options->output_dir, error));
    if (c->source_path && gx_path_exists(c->source_path))
        return gx_source_open(&c->source, c->source_path, error);
    if (c->options->reference_file && !c->options->against)
        return GX_OK;
    return gx_fail(error, GX_ERROR_ARGUMENT, "%s: the checkpoint it was made from is not known here; name it with --against MODEL",
                   c->options->output_dir);
}

static gx_status run(gx_static_comparison *c, gx_error *error)
{
    GX_TRY(pick_files(c, error));
    GX_TRY(gx_runtime_open(&c->runtime, c->options->ort_library, error));
    GX_TRY(open_source(c, error));
    GX_TRY(gx_compare_make_truth(c, error));
    for (size_t i = 0; i < c->result_count; i++) {
        const gx_status status = measure(c, &c->results[i], error);
        if (status != GX_OK) {
            gx_error_note(error, "%s", c->results[i].file->precision);
            return status;
        }
    }
    GX_TRY(gx_compare_report(c, error));
    for (size_t i = 0; i < c->result_count; i++)
        if (!c->results[i].passed)
            return gx_fail(error, GX_ERROR_MISMATCH, "%s, %s: %s", c->options->output_dir, c->results[i].file->precision, c->results[i].failure);
    return GX_OK;
}

/* Graphs of an encoder are compared as verify does it. */
static gx_status compare_encoders(const gx_compare_options *options, gx_error *error)
{
    gx_verify_options verify;
    if (options->reference_file)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s embeds texts: there are no logits to compare with those of %s", options->output_dir, options->reference_file);
    gx_verify_options_default(&verify);
    verify.output_dir = options->output_dir;
    verify.against = options->against;
    verify.hub = options->hub;
    verify.precisions = options->precisions;
    verify.text_file = options->text_file;
    verify.ort_library = options->ort_library;
    verify.threads = options->threads;
    verify.format = options->format;
    verify.progress = options->progress;
    verify.progress_context = options->progress_context;
    verify.text = options->text;
    verify.text_context = options->text_context;
    return gx_verify(&verify, error);
}

gx_status gx_compare(const gx_compare_options *options, gx_error *error)
{
    gx_error_clear(error);
    if (options->size != sizeof *options || !options->output_dir)
        return gx_fail(error, GX_ERROR_ARGUMENT, "nothing to compare: name a folder that convert wrote");
    if (options->prompts == 0 || options->prompts > 1024 || !(options->tolerance > 0))
        return gx_fail(error, GX_ERROR_ARGUMENT, "%u prompts, a tolerance of %g: expected 1 … 1024 and a number above 0", options->prompts, options->tolerance);
    bool embeds = false;
    GX_TRY(gx_output_folder_embeds(&embeds, options->output_dir, error));
    if (embeds)
        return compare_encoders(options, error);
    gx_static_comparison c = {.options = options, .arena = gx_arena_new()};
    if (!c.arena)
        return gx_fail_memory(error);
    c.threads = options->threads ? options->threads : gx_cpu_count();
    const gx_status status = run(&c, error);
    gx_free(c.hidden);
    gx_free(c.layer_states);
    gx_reference_free(c.reference);
    gx_runtime_close(c.runtime);
    gx_source_close(&c.source);
    gx_arena_free(c.arena);
    return status;
}
