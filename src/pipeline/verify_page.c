/* Lays out verify.html. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/verify_page.h"
#include "report/page.h"

#define LARGEST_FP16 65504.0
#define PLOT_POINTS 256u
#define WORST_WEIGHTS 12u

bool gx_verify_is_half(const gx_verify_result *result)
{
    return strcmp(result->precision, "fp16") == 0 || strcmp(result->precision, "q4f16") == 0;
}

double gx_verify_magnitude_in(const gx_verify_result *result, const gx_verify_magnitude *magnitude)
{
    return magnitude->largest * (magnitude->is_stream ? result->residual_scale : 1);
}

static void summary_table(gx_buffer *out, const gx_verification *v)
{
    gx_buffer_append_text(out, "<div class=\"wide\"><table><tr><th>file</th><th>MB</th><th>mean KL, nats</th><th>largest KL</th><th>top-1 %</th>"
                               "<th>perplexity</th><th>largest error / std</th><th>KL past the window</th><th>cached</th><th>left-padded</th>"
                               "<th>greedy ids equal</th><th></th></tr>\n");
    for (size_t i = 0; i < v->result_count; i++) {
        const gx_verify_result *r = &v->results[i];
        gx_buffer_append_text(out, "<tr><td>");
        gx_page_text(out, r->file);
        gx_buffer_printf(out, "</td><td>%.1f</td><td>%.3g</td><td>%.3g</td><td>%.2f</td><td>%.4g</td><td>%.2g</td>", (double)r->nbytes / 1e6,
                         r->all.mean_kl, r->all.max_kl, 100 * r->all.same_top, r->all.found_perplexity,
                         r->all.max_error / r->all.standard_deviation);
        if (r->past_window.positions)
            gx_buffer_printf(out, "<td>%.3g</td>", r->past_window.mean_kl);
        else
            gx_buffer_append_text(out, "<td>–</td>");
        gx_buffer_printf(out, "<td>%.2g</td><td>%.2g</td><td>%zu, %zu, %zu of %zu</td><td class=\"%s\">%s</td></tr>\n", r->cached_error,
                         r->padded_error, r->same_greedy[0], r->same_greedy[1], r->same_greedy[2], v->truth.greedy_ids,
                         r->passed ? "ok" : "failed", r->passed ? "ok" : "failed");
    }
    gx_buffer_append_text(out, "</table></div>\n");
}

void gx_verify_failures(gx_buffer *out, const gx_verification *v)
{
    for (size_t i = 0; i < v->result_count; i++) {
        if (v->results[i].passed)
            continue;
        gx_buffer_append_text(out, "<p class=\"failed\">");
        gx_page_text(out, v->results[i].file);
        gx_buffer_append_text(out, ": ");
        gx_page_text(out, v->results[i].failure);
        gx_buffer_append_text(out, "</p>\n");
    }
}

/* KL by position, averaged over the windows and over neighbouring positions where there are many. */
static void kl_plot(gx_buffer *out, const gx_verification *v)
{
    const gx_verify_truth *truth = &v->truth;
    const size_t step = (truth->window_ids + PLOT_POINTS - 1) / PLOT_POINTS, points = truth->window_ids / step;
    double *values = gx_arena_alloc(v->arena, points * v->result_count, sizeof *values);
    gx_page_series *series = gx_arena_alloc(v->arena, v->result_count, sizeof *series);
    if (!values || !series) {
        out->failed = true;
        return;
    }
    for (size_t k = 0; k < v->result_count; k++) {
        double *mine = values + k * points;
        for (size_t w = 0; w < truth->windows; w++)
            for (size_t i = 0; i < points * step; i++)
                mine[i / step] += v->results[k].rows[w * truth->window_ids + i].kl / (double)(truth->windows * step);
        series[k] = (gx_page_series){.name = v->results[k].file, .values = mine, .count = points};
    }
    gx_page_log_plot(out, "KL divergence from the reference by position", step == 1 ? "position" : "position, in groups", "nats", series,
                     v->result_count);
}

static int by_error(const void *a, const void *b)
{
    const double x = (*(const gx_verify_weight *const *)a)->relative_error, y = (*(const gx_verify_weight *const *)b)->relative_error;
    return (x < y) - (x > y);
}

/* The weights that lost most of one file. */
static void worst_weights(gx_buffer *out, const gx_verification *v, const gx_verify_result *r)
{
    const gx_verify_weight **sorted = GX_NEW_ARRAY(v->arena, const gx_verify_weight *, r->weight_count);
    if (!sorted) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < r->weight_count; i++)
        sorted[i] = &r->weights[i];
    qsort(sorted, r->weight_count, sizeof *sorted, by_error);
    gx_buffer_append_text(out, "<details><summary>The worst of ");
    gx_page_text(out, r->file);
    gx_buffer_printf(out, " (all together: %.3g)</summary><div class=\"wide\"><table><tr><th>weight</th><th>error</th><th>of the largest</th></tr>\n", r->weight_error);
    for (size_t i = 0; i < r->weight_count && i < WORST_WEIGHTS; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s, %s", sorted[i]->name, sorted[i]->scheme);
        gx_page_bar(out, name, sorted[i]->relative_error, sorted[0]->relative_error);
    }
    gx_buffer_append_text(out, "</table></div></details>\n");
}

/* Of the matrices: a norm is rounded, never quantised. An exact file has no line, only its name and its colour in the key. */
static gx_page_series weight_series(const gx_verification *v, const gx_verify_result *r)
{
    gx_page_series series = {.name = r->file};
    double *values = r->weight_error > 0 ? GX_NEW_ARRAY(v->arena, double, r->weight_count) : NULL;
    for (size_t i = 0; values && i < r->weight_count; i++)
        if (r->weights[i].is_matrix)
            values[series.count++] = r->weights[i].relative_error;
    series.values = values;
    return series;
}

void gx_verify_weight_plot(gx_buffer *out, const gx_verification *v)
{
    gx_page_series *series = GX_NEW_ARRAY(v->arena, gx_page_series, v->result_count);
    bool any = false;
    out->failed = out->failed || !series;
    for (size_t k = 0; !out->failed && k < v->result_count; k++) {
        series[k] = weight_series(v, &v->results[k]);
        any = any || series[k].count > 0;
        out->failed = v->results[k].weight_error > 0 && !series[k].values;
    }
    if (out->failed || !any)
        return;
    gx_page_log_plot(out, "Error of each weight matrix", "matrix, in the file's order", "root mean square, relative", series, v->result_count);
    for (size_t k = 0; k < v->result_count; k++)
        if (v->results[k].weight_error > 0)
            worst_weights(out, v, &v->results[k]);
}

static void magnitude_tables(gx_buffer *out, const gx_verification *v)
{
    for (size_t k = 0; k < v->result_count; k++) {
        const gx_verify_result *r = &v->results[k];
        if (!gx_verify_is_half(r))
            continue;
        gx_buffer_append_text(out, "<h2>Largest magnitudes in ");
        gx_page_text(out, r->file);
        gx_buffer_printf(out,
                         "</h2><p>Of 65,504, the largest fp16 number; the residual stream is held times %g. From the reference's values on the "
                         "first ids.</p><div class=\"wide\"><table><tr><th>value</th><th>largest</th><th>of the range</th></tr>\n",
                         r->residual_scale);
        for (size_t i = 0; i < v->magnitude_count; i++)
            gx_page_bar(out, v->magnitudes[i].name, gx_verify_magnitude_in(r, &v->magnitudes[i]), LARGEST_FP16);
        gx_buffer_append_text(out, "</table></div>\n");
    }
}

void gx_verify_page(gx_buffer *out, const gx_verification *v)
{
    gx_page_begin(out, "gemma-onnx verify");
    gx_buffer_append_text(out, "<p>Every position of ");
    gx_buffer_printf(out, "%zu windows of %zu ids against the fp32 reference of <code>", v->truth.windows, v->truth.window_ids);
    gx_page_text(out, gx_path_name(v->source_path));
    gx_buffer_printf(out, "</code>, in ONNX Runtime %s. Cached: ids one by one against the same file in chunks; left-padded: three prompts as one batch against "
                          "each alone; both in standard deviations of the logits. Perplexity of the reference: %.4g.</p>\n",
                     gx_runtime_version(v->runtime), v->results[0].all.expected_perplexity);
    gx_verify_failures(out, v);
    summary_table(out, v);
    kl_plot(out, v);
    gx_verify_weight_plot(out, v);
    magnitude_tables(out, v);
    gx_page_end(out);
}
