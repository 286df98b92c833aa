/* comparison_report.json and comparison_report.html, and the table on stdout. */
#include <math.h>

#include "pipeline/compare_internal.h"
#include "pipeline/document.h"
#include "report/page.h"

/* ---- JSON ---- */

static void add_phase(yyjson_mut_doc *doc, yyjson_mut_val *entry, const char *name, const gx_comparison *p)
{
    yyjson_mut_val *phase = yyjson_mut_obj_add_obj(doc, entry, name);
    yyjson_mut_obj_add_uint(doc, phase, "positions", p->positions);
    yyjson_mut_obj_add_real(doc, phase, "max_error", p->max_error);
    yyjson_mut_obj_add_real(doc, phase, "mean_error", p->mean_error);
    yyjson_mut_obj_add_real(doc, phase, "standard_deviation", p->standard_deviation);
    yyjson_mut_obj_add_real(doc, phase, "mean_kl", p->mean_kl);
    yyjson_mut_obj_add_real(doc, phase, "max_kl", p->max_kl);
    yyjson_mut_obj_add_real(doc, phase, "top1", p->same_top);
}

/* Over all sequences; step 0 is the prompt's last position. */
static gx_comparison_row worst_of_step(const gx_static_comparison *c, const gx_compare_result *r, size_t step)
{
    gx_comparison_row worst = {.same_top = true};
    for (size_t i = 0; i < c->sequence_count; i++) {
        const gx_comparison_row *row = &r->rows[i * (1 + c->steps) + step];
        worst.kl += row->kl / (double)c->sequence_count;
        worst.max_error = fmax(worst.max_error, row->max_error);
        worst.same_top = worst.same_top && row->same_top;
    }
    return worst;
}

static void add_steps(yyjson_mut_doc *doc, yyjson_mut_val *entry, const gx_static_comparison *c, const gx_compare_result *r)
{
    yyjson_mut_val *steps = yyjson_mut_obj_add_arr(doc, entry, "steps");
    for (size_t step = 0; step <= c->steps; step++) {
        const gx_comparison_row worst = worst_of_step(c, r, step);
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, steps);
        yyjson_mut_obj_add_uint(doc, item, "step", step);
        yyjson_mut_obj_add_real(doc, item, "max_error", worst.max_error);
        yyjson_mut_obj_add_real(doc, item, "mean_kl", worst.kl);
        yyjson_mut_obj_add_bool(doc, item, "top1_in_all", worst.same_top);
    }
}

static void add_layers(yyjson_mut_doc *doc, yyjson_mut_val *entry, const gx_static_comparison *c, const gx_compare_result *r)
{
    static const char *const phases[GX_COMPARE_PHASES] = {"prefill", "decode"};
    if (!r->layers)
        return;
    yyjson_mut_obj_add_int(doc, entry, "difference_starts_in_layer", r->first_layer);
    yyjson_mut_val *layers = yyjson_mut_obj_add_obj(doc, entry, "layers");
    for (int phase = 0; phase < GX_COMPARE_PHASES; phase++) {
        yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, layers, phases[phase]);
        for (size_t n = 0; n < c->layers; n++) {
            yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
            yyjson_mut_obj_add_real(doc, item, "cosine", r->layers[(size_t)phase * c->layers + n].cosine);
            yyjson_mut_obj_add_real(doc, item, "relative_error", r->layers[(size_t)phase * c->layers + n].error);
        }
    }
}

static void fill(yyjson_mut_doc *doc, const gx_static_comparison *c)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    bool passed = true;
    for (size_t i = 0; i < c->result_count; i++)
        passed = passed && c->results[i].passed;
    yyjson_mut_obj_add_str(doc, root, "tool", "gemma-onnx");
    yyjson_mut_obj_add_str(doc, root, "version", gx_version());
    yyjson_mut_obj_add_bool(doc, root, "passed", passed);
    yyjson_mut_obj_add_str(doc, root, "onnxruntime", gx_runtime_version(c->runtime));
    yyjson_mut_obj_add_strcpy(doc, root, "reference", c->record.prefill ? gx_path_name(c->options->reference_file) : "gemma-onnx");
    yyjson_mut_obj_add_real(doc, root, "tolerance", c->options->tolerance);
    yyjson_mut_obj_add_uint(doc, root, "batch_size", c->batch);
    yyjson_mut_obj_add_uint(doc, root, "max_length", c->max_length);
    yyjson_mut_obj_add_uint(doc, root, "decode_steps", c->steps);
    yyjson_mut_val *prompts = yyjson_mut_obj_add_arr(doc, root, "prompt_lengths");
    for (size_t i = 0; i < c->sequence_count; i++)
        yyjson_mut_arr_add_uint(doc, prompts, c->sequences[i].prompt);
    yyjson_mut_val *precisions = yyjson_mut_obj_add_obj(doc, root, "precisions");
    for (size_t i = 0; i < c->result_count; i++) {
        const gx_compare_result *r = &c->results[i];
        yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, precisions, r->file->precision);
        yyjson_mut_obj_add_bool(doc, entry, "passed", r->passed);
        if (!r->passed)
            yyjson_mut_obj_add_str(doc, entry, "failure", r->failure);
        yyjson_mut_obj_add_real(doc, entry, "relative_error", r->relative_error);
        add_phase(doc, entry, "prefill", &r->prefill);
        add_phase(doc, entry, "decode", &r->decode);
        add_steps(doc, entry, c, r);
        add_layers(doc, entry, c, r);
    }
}

static gx_status write_json(const gx_static_comparison *c, gx_error *error)
{
    char *path = gx_path_join(c->arena, c->options->output_dir, "comparison_report.json");
    yyjson_mut_doc *doc = path ? gx_document_new() : NULL;
    if (!doc)
        return gx_fail_memory(error);
    fill(doc, c);
    const gx_status status = gx_document_keep(doc, path, c->options->format, c->options->text, c->options->text_context, error);
    yyjson_mut_doc_free(doc);
    return status;
}

/* ---- HTML ---- */

static void page_table(gx_buffer *out, const gx_static_comparison *c)
{
    gx_buffer_append_text(out, "<div class=\"wide\"><table><tr><th>precision</th><th>phase</th><th>positions</th><th>largest error</th><th>mean error</th>"
                               "<th>largest error / std</th><th>mean KL, nats</th><th>top-1 %</th><th></th></tr>\n");
    for (size_t i = 0; i < c->result_count; i++) {
        const gx_compare_result *r = &c->results[i];
        const gx_comparison *phases[] = {&r->prefill, &r->decode};
        for (int phase = 0; phase < GX_COMPARE_PHASES; phase++) {
            const gx_comparison *p = phases[phase];
            gx_buffer_printf(out, "<tr><td>%s</td><td>%s</td><td>%zu</td><td>%.3g</td><td>%.3g</td><td>%.2g</td><td>%.3g</td><td>%.2f</td><td class=\"%s\">%s</td></tr>\n",
                             r->file->precision, phase == GX_COMPARE_PREFILL ? "prefill" : "decode", p->positions, p->max_error, p->mean_error,
                             p->max_error / p->standard_deviation, p->mean_kl, 100 * p->same_top, r->passed ? "ok" : "failed", r->passed ? "ok" : "failed");
        }
    }
    gx_buffer_append_text(out, "</table></div>\n");
}

typedef double (*point_function)(const gx_static_comparison *c, const gx_compare_result *r, size_t index);

static double error_of_step(const gx_static_comparison *c, const gx_compare_result *r, size_t step)
{
    return worst_of_step(c, r, step).max_error;
}

static double kl_of_step(const gx_static_comparison *c, const gx_compare_result *r, size_t step)
{
    return worst_of_step(c, r, step).kl;
}

static double prefill_layer(const gx_static_comparison *c, const gx_compare_result *r, size_t layer)
{
    (void)c;
    return r->layers ? r->layers[layer].error : 0;
}

static double decode_layer(const gx_static_comparison *c, const gx_compare_result *r, size_t layer)
{
    return r->layers ? r->layers[GX_COMPARE_DECODE * c->layers + layer].error : 0;
}

static void plot(gx_buffer *out, const gx_static_comparison *c, const char *title, const char *x, const char *y, size_t count, point_function point)
{
    gx_page_series *series = GX_NEW_ARRAY(c->arena, gx_page_series, c->result_count);
    double *values = GX_NEW_ARRAY(c->arena, double, c->result_count * count);
    if (!series || !values) {
        out->failed = true;
        return;
    }
    for (size_t k = 0; k < c->result_count; k++) {
        for (size_t i = 0; i < count; i++)
            values[k * count + i] = point(c, &c->results[k], i);
        series[k] = (gx_page_series){.name = c->results[k].file->precision, .values = values + k * count, .count = count};
    }
    gx_page_log_plot(out, title, x, y, series, c->result_count);
}

static void fill_page(gx_buffer *out, const gx_static_comparison *c)
{
    gx_page_begin(out, "gemma-onnx compare");
    gx_buffer_printf(out, "<p>%zu prompts of ", c->sequence_count);
    for (size_t i = 0; i < c->sequence_count; i++)
        gx_buffer_printf(out, "%s%zu", i == 0 ? "" : i + 1 == c->sequence_count ? " and " : ", ", c->sequences[i].prompt);
    gx_buffer_printf(out, " ids, each followed by %zu decoding steps, in batches of %zu, through the static pair of <code>", c->steps, c->batch);
    gx_page_text(out, gx_path_name(c->options->output_dir));
    gx_buffer_append_text(out, "</code> in ONNX Runtime ");
    gx_page_text(out, gx_runtime_version(c->runtime));
    gx_buffer_append_text(out, "; judged by ");
    gx_page_text(out, c->record.prefill ? gx_path_name(c->options->reference_file) : "the fp32 reference");
    gx_buffer_printf(out, ". An fp32 logit may differ by %g.</p>\n", c->options->tolerance);
    for (size_t i = 0; i < c->result_count; i++) {
        if (c->results[i].passed)
            continue;
        gx_buffer_printf(out, "<p class=\"failed\">%s: ", c->results[i].file->precision);
        gx_page_text(out, c->results[i].failure);
        gx_buffer_append_text(out, "</p>\n");
    }
    page_table(out, c);
    plot(out, c, "Largest error by step", "step (0: after the prompt)", "logits", 1 + c->steps, error_of_step);
    plot(out, c, "Mean KL divergence by step", "step (0: after the prompt)", "nats", 1 + c->steps, kl_of_step);
    if (c->results[0].layers) {
        plot(out, c, "Error of each layer's output after the longest prompt", "layer", "relative", c->layers, prefill_layer);
        plot(out, c, "Error of each layer's output after the last step", "layer", "relative", c->layers, decode_layer);
    }
    gx_page_end(out);
}

static gx_status write_page(const gx_static_comparison *c, gx_error *error)
{
    gx_buffer page = {0};
    char *path = gx_path_join(c->arena, c->options->output_dir, "comparison_report.html");
    if (!path)
        return gx_fail_memory(error);
    fill_page(&page, c);
    return gx_page_keep(&page, path, error);
}

/* ---- text ---- */

static void print_table(gx_buffer *out, const gx_static_comparison *c)
{
    gx_buffer_printf(out, "%zu prompts and %zu decoding steps after each, batches of %zu, against %s, ONNX Runtime %s\n\n", c->sequence_count, c->steps, c->batch,
                     c->record.prefill ? c->options->reference_file : c->source_path, gx_runtime_version(c->runtime));
    gx_buffer_printf(out, "%-8s %14s %14s %12s %12s %10s %10s\n", "", "prefill error", "decode error", "prefill KL", "decode KL", "top-1 %", "");
    for (size_t i = 0; i < c->result_count; i++) {
        const gx_compare_result *r = &c->results[i];
        gx_buffer_printf(out, "%-8s %14.3g %14.3g %12.3g %12.3g %10.2f %10s\n", r->file->precision, r->prefill.max_error, r->decode.max_error, r->prefill.mean_kl,
                         r->decode.mean_kl, 100 * r->decode.same_top, r->passed ? "ok" : "FAILED");
    }
    gx_buffer_printf(out, "\nDetails: %s/comparison_report.html\n", c->options->output_dir);
}

gx_status gx_compare_report(const gx_static_comparison *c, gx_error *error)
{
    GX_TRY(write_json(c, error));
    GX_TRY(write_page(c, error));
    if (c->options->format == GX_FORMAT_JSON)
        return GX_OK;
    gx_buffer text = {0};
    print_table(&text, c);
    return gx_text_finish(&text, c->options->text, c->options->text_context, error);
}
