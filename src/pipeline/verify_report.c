/* What verify found: verify.json and verify.html beside the models, and the table for the terminal. */
#include <string.h>

#include "pipeline/document.h"
#include "pipeline/verify_internal.h"
#include "pipeline/verify_page.h"

static void add_comparison(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const gx_comparison *c)
{
    yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, object, key);
    yyjson_mut_obj_add_uint(doc, entry, "positions", c->positions);
    if (c->positions == 0)
        return;
    yyjson_mut_obj_add_real(doc, entry, "mean_kl", c->mean_kl);
    yyjson_mut_obj_add_real(doc, entry, "max_kl", c->max_kl);
    yyjson_mut_obj_add_real(doc, entry, "max_error", c->max_error);
    yyjson_mut_obj_add_real(doc, entry, "mean_error", c->mean_error);
    yyjson_mut_obj_add_real(doc, entry, "max_error_in_standard_deviations", c->max_error / c->standard_deviation);
    yyjson_mut_obj_add_real(doc, entry, "logits_standard_deviation", c->standard_deviation);
    yyjson_mut_obj_add_real(doc, entry, "top1", c->same_top);
    yyjson_mut_obj_add_real(doc, entry, "perplexity", c->found_perplexity);
    yyjson_mut_obj_add_real(doc, entry, "reference_perplexity", c->expected_perplexity);
}

void gx_verify_add_weights(yyjson_mut_doc *doc, yyjson_mut_val *entry, const gx_verify_result *r)
{
    if (r->weight_count == 0)
        return;
    yyjson_mut_obj_add_real(doc, entry, "weight_error", r->weight_error);
    yyjson_mut_val *weights = yyjson_mut_obj_add_arr(doc, entry, "weights");
    for (size_t i = 0; i < r->weight_count; i++) {
        yyjson_mut_val *weight = yyjson_mut_arr_add_obj(doc, weights);
        yyjson_mut_obj_add_str(doc, weight, "name", r->weights[i].name);
        yyjson_mut_obj_add_str(doc, weight, "scheme", r->weights[i].scheme);
        yyjson_mut_obj_add_real(doc, weight, "relative_error", r->weights[i].relative_error);
        yyjson_mut_obj_add_real(doc, weight, "largest_error", r->weights[i].largest_error);
    }
}

static void add_result(yyjson_mut_doc *doc, yyjson_mut_val *precisions, const gx_verification *v, const gx_verify_result *r)
{
    yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, precisions, r->precision);
    yyjson_mut_obj_add_str(doc, entry, "file", r->file);
    yyjson_mut_obj_add_uint(doc, entry, "bytes", r->nbytes);
    yyjson_mut_obj_add_bool(doc, entry, "passed", r->passed);
    if (!r->passed)
        yyjson_mut_obj_add_str(doc, entry, "failure", r->failure);
    add_comparison(doc, entry, "all_positions", &r->all);
    add_comparison(doc, entry, "past_sliding_window", &r->past_window);
    yyjson_mut_obj_add_real(doc, entry, "all_at_once_error", r->shipped_error);
    yyjson_mut_obj_add_real(doc, entry, "cached_error", r->cached_error);
    yyjson_mut_obj_add_real(doc, entry, "left_padded_error", r->padded_error);
    yyjson_mut_val *greedy = yyjson_mut_obj_add_arr(doc, entry, "greedy_ids_equal");
    for (size_t i = 0; i < GX_VERIFY_PROMPTS; i++)
        yyjson_mut_arr_add_uint(doc, greedy, r->same_greedy[i]);
    yyjson_mut_obj_add_uint(doc, entry, "load_warnings", r->warnings);
    gx_verify_add_weights(doc, entry, r);
    if (!gx_verify_is_half(r))
        return;
    yyjson_mut_val *magnitudes = yyjson_mut_obj_add_obj(doc, entry, "fp16_magnitudes");
    for (size_t i = 0; i < v->magnitude_count; i++)
        yyjson_mut_obj_add_real(doc, magnitudes, v->magnitudes[i].name, gx_verify_magnitude_in(r, &v->magnitudes[i]));
}

static void fill_document(yyjson_mut_doc *doc, const gx_verification *v)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    bool passed = true;
    for (size_t i = 0; i < v->result_count; i++)
        passed = passed && v->results[i].passed;
    yyjson_mut_obj_add_str(doc, root, "tool", "gemma-onnx");
    yyjson_mut_obj_add_str(doc, root, "version", gx_version());
    yyjson_mut_obj_add_bool(doc, root, "passed", passed);
    yyjson_mut_obj_add_str(doc, root, "onnxruntime", gx_runtime_version(v->runtime));
    yyjson_mut_obj_add_bool(doc, root, "judged_by_the_source", v->source_is_same);
    yyjson_mut_obj_add_uint(doc, root, "windows", v->truth.windows);
    yyjson_mut_obj_add_uint(doc, root, "window_ids", v->truth.window_ids);
    yyjson_mut_obj_add_uint(doc, root, "greedy_ids", v->truth.greedy_ids);
    yyjson_mut_val *precisions = yyjson_mut_obj_add_obj(doc, root, "precisions");
    for (size_t i = 0; i < v->result_count; i++)
        add_result(doc, precisions, v, &v->results[i]);
}

static gx_status write_json(const gx_verification *v, gx_error *error)
{
    char *path = gx_path_join(v->arena, v->options->output_dir, "verify.json");
    yyjson_mut_doc *doc = path ? gx_document_new() : NULL;
    if (!doc)
        return gx_fail_memory(error);
    fill_document(doc, v);
    const gx_status status = gx_document_keep(doc, path, v->options->format, v->options->text, v->options->text_context, error);
    yyjson_mut_doc_free(doc);
    return status;
}

static gx_status write_page(const gx_verification *v, gx_error *error)
{
    gx_buffer page = {0};
    char *path = gx_path_join(v->arena, v->options->output_dir, "verify.html");
    if (!path)
        return gx_fail_memory(error);
    gx_verify_page(&page, v);
    return gx_page_keep(&page, path, error);
}

static void print_table(gx_buffer *out, const gx_verification *v)
{
    gx_buffer_printf(out, "%zu windows of %zu ids against the fp32 reference on %s, ONNX Runtime %s\n\n", v->truth.windows, v->truth.window_ids,
                     v->source_path, gx_runtime_version(v->runtime));
    gx_buffer_printf(out, "%-22s %9s %10s %8s %10s %10s %9s %10s  %s\n", "file", "MB", "mean KL", "top-1 %", "perplexity", "error/std",
                     "cached", "padded", "greedy ids equal");
    for (size_t i = 0; i < v->result_count; i++) {
        const gx_verify_result *r = &v->results[i];
        gx_buffer_printf(out, "%-22s %9.1f %10.3g %8.2f %10.4g %10.2g %9.2g %10.2g  %zu, %zu, %zu of %zu  %s\n", r->file, (double)r->nbytes / 1e6,
                         r->all.mean_kl, 100 * r->all.same_top, r->all.found_perplexity, r->all.max_error / r->all.standard_deviation,
                         r->cached_error, r->padded_error, r->same_greedy[0], r->same_greedy[1], r->same_greedy[2], v->truth.greedy_ids,
                         r->passed ? "ok" : "FAILED");
    }
    gx_buffer_printf(out, "\nperplexity of the reference: %.4g. Details: %s/verify.html\n", v->results[0].all.expected_perplexity,
                     v->options->output_dir);
}

gx_status gx_verify_report(gx_verification *v, gx_error *error)
{
    GX_TRY(write_json(v, error));
    GX_TRY(write_page(v, error));
    if (v->options->format == GX_FORMAT_JSON)
        return GX_OK;
    gx_buffer text = {0};
    print_table(&text, v);
    return gx_text_finish(&text, v->options->text, v->options->text_context, error);
}
