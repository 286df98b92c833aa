/* What verify found of an encoder: a JSON document, a page, the table for the terminal. Beside a static form the files have convert's names. */
#include "pipeline/document.h"
#include "pipeline/verify_page.h"
#include "report/page.h"

static void add_result(yyjson_mut_doc *doc, yyjson_mut_val *precisions, size_t texts, const gx_verify_result *r)
{
    const gx_verify_embeddings *e = &r->embeddings;
    yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, precisions, r->precision);
    yyjson_mut_obj_add_str(doc, entry, "file", r->file);
    yyjson_mut_obj_add_uint(doc, entry, "bytes", r->nbytes);
    yyjson_mut_obj_add_bool(doc, entry, "passed", r->passed);
    if (!r->passed)
        yyjson_mut_obj_add_str(doc, entry, "failure", r->failure);
    yyjson_mut_obj_add_real(doc, entry, "mean_cosine_distance", e->mean_distance);
    yyjson_mut_obj_add_real(doc, entry, "max_cosine_distance", e->max_distance);
    yyjson_mut_val *distances = yyjson_mut_obj_add_arr(doc, entry, "cosine_distances");
    for (size_t i = 0; i < texts; i++)
        yyjson_mut_arr_add_real(doc, distances, e->distances[i]);
    yyjson_mut_obj_add_real(doc, entry, "embedding_error_in_standard_deviations", e->embedding_error);
    yyjson_mut_obj_add_real(doc, entry, "hidden_error_in_standard_deviations", e->hidden_error);
    yyjson_mut_obj_add_real(doc, entry, "padded_error", e->padded_error);
    yyjson_mut_obj_add_uint(doc, entry, "same_nearest_text", e->same_nearest);
    yyjson_mut_obj_add_uint(doc, entry, "load_warnings", r->warnings);
    gx_verify_add_weights(doc, entry, r);
}

static bool all_passed(const gx_verification *v)
{
    for (size_t i = 0; i < v->result_count; i++)
        if (!v->results[i].passed)
            return false;
    return true;
}

static void fill_document(yyjson_mut_doc *doc, const gx_verification *v, size_t texts, const size_t *lengths)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, root, "tool", "gemma-onnx");
    yyjson_mut_obj_add_str(doc, root, "version", gx_version());
    yyjson_mut_obj_add_bool(doc, root, "passed", all_passed(v));
    yyjson_mut_obj_add_str(doc, root, "onnxruntime", gx_runtime_version(v->runtime));
    yyjson_mut_obj_add_bool(doc, root, "judged_by_the_source", v->source_is_same);
    yyjson_mut_val *ids = yyjson_mut_obj_add_arr(doc, root, "text_ids");
    for (size_t i = 0; i < texts; i++)
        yyjson_mut_arr_add_uint(doc, ids, lengths[i]);
    yyjson_mut_val *precisions = yyjson_mut_obj_add_obj(doc, root, "precisions");
    for (size_t i = 0; i < v->result_count; i++)
        add_result(doc, precisions, texts, &v->results[i]);
}

static void fill_table(gx_buffer *out, const gx_verification *v, size_t texts)
{
    gx_buffer_append_text(out, "<div class=\"wide\"><table><tr><th>file</th><th>MB</th><th>1 - cosine</th><th>largest</th><th>embedding</th>"
                               "<th>hidden</th><th>padded</th><th>nearest</th><th></th></tr>\n");
    for (size_t i = 0; i < v->result_count; i++) {
        const gx_verify_result *r = &v->results[i];
        const gx_verify_embeddings *e = &r->embeddings;
        gx_buffer_append_text(out, "<tr><td>");
        gx_page_text(out, r->file);
        gx_buffer_printf(out, "</td><td>%.1f</td><td>%.3g</td><td>%.3g</td><td>%.2g</td><td>%.2g</td><td>%.2g</td><td>%zu of %zu</td><td class=\"%s\">%s</td></tr>\n",
                         (double)r->nbytes / 1e6, e->mean_distance, e->max_distance, e->embedding_error, e->hidden_error, e->padded_error, e->same_nearest, texts,
                         r->passed ? "ok" : "failed", r->passed ? "ok" : "failed");
    }
    gx_buffer_append_text(out, "</table></div>\n");
}

static void distance_plot(gx_buffer *out, const gx_verification *v, size_t texts)
{
    gx_page_series *series = GX_NEW_ARRAY(v->arena, gx_page_series, v->result_count);
    out->failed = out->failed || !series;
    for (size_t i = 0; series && i < v->result_count; i++)
        series[i] = (gx_page_series){.name = v->results[i].file, .values = v->results[i].embeddings.distances, .count = texts};
    if (series)
        gx_page_log_plot(out, "Distance from the reference by text", "text, shortest first", "1 - cosine", series, v->result_count);
}

static void fill_page(gx_buffer *out, const gx_verification *v, size_t texts, const size_t *lengths)
{
    gx_page_begin(out, "gemma-onnx verify");
    gx_buffer_printf(out, "<p>%zu texts of %zu to %zu ids against the fp32 reference of <code>", texts, lengths[0], lengths[texts - 1]);
    gx_page_text(out, gx_path_name(v->source_path));
    gx_buffer_printf(out, "</code>, in ONNX Runtime %s. 1 - cosine: on average, and the largest. Embedding, hidden: the largest error, in standard "
                          "deviations. Padded: all texts in batches, padded on either side, against each text alone. Nearest: texts whose nearest other one is the reference's.</p>\n", gx_runtime_version(v->runtime));
    gx_verify_failures(out, v);
    fill_table(out, v, texts);
    distance_plot(out, v, texts);
    gx_verify_weight_plot(out, v);
    gx_page_end(out);
}

static void print_table(gx_buffer *out, const gx_verification *v, size_t texts, const size_t *lengths, const char *page)
{
    gx_buffer_printf(out, "%zu texts of %zu to %zu ids against the fp32 reference on %s, ONNX Runtime %s\n\n", texts, lengths[0], lengths[texts - 1], v->source_path,
                     gx_runtime_version(v->runtime));
    gx_buffer_printf(out, "%-26s %9s %12s %10s %12s %10s %8s  %s\n", "file", "MB", "1 - cosine", "largest", "hidden/std", "padded", "nearest", "");
    for (size_t i = 0; i < v->result_count; i++) {
        const gx_verify_result *r = &v->results[i];
        const gx_verify_embeddings *e = &r->embeddings;
        gx_buffer_printf(out, "%-26s %9.1f %12.3g %10.3g %12.2g %10.2g %3zu of %zu  %s\n", r->file, (double)r->nbytes / 1e6, e->mean_distance, e->max_distance,
                         e->hidden_error, e->padded_error, e->same_nearest, texts, r->passed ? "ok" : "FAILED");
    }
    gx_buffer_printf(out, "\nDetails: %s\n", page);
}

static gx_status write_json(const gx_verification *v, size_t texts, const size_t *lengths, gx_error *error)
{
    char *path = gx_path_join(v->arena, v->options->output_dir, v->is_static ? "comparison_report.json" : "verify.json");
    yyjson_mut_doc *doc = path ? gx_document_new() : NULL;
    if (!doc)
        return gx_fail_memory(error);
    fill_document(doc, v, texts, lengths);
    const gx_status status = gx_document_keep(doc, path, v->options->format, v->options->text, v->options->text_context, error);
    yyjson_mut_doc_free(doc);
    return status;
}

gx_status gx_verify_encoder_report(gx_verification *v, size_t texts, const size_t *lengths, gx_error *error)
{
    gx_buffer page = {0}, text = {0};
    char *path = gx_path_join(v->arena, v->options->output_dir, v->is_static ? "comparison_report.html" : "verify.html");
    if (!path)
        return gx_fail_memory(error);
    GX_TRY(write_json(v, texts, lengths, error));
    fill_page(&page, v, texts, lengths);
    GX_TRY(gx_page_keep(&page, path, error));
    if (v->options->format == GX_FORMAT_JSON)
        return GX_OK;
    print_table(&text, v, texts, lengths, path);
    return gx_text_finish(&text, v->options->text, v->options->text_context, error);
}
